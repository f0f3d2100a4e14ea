"""The players: what goes in and comes out, and where their first weights come from."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.networks import Autoencoder, Discriminator, Players, PrivateClassifier
from anonrep.utils.convolutions import FromOneChannel, ToOneChannel
from anonrep.utils.convolutions import cropped as crop
from anonrep.utils.images import blur, pixel_std

SMALL = {"height": 9, "width": 8, "n_private": 3, "hidden": 4, "channels": 2, "adversary_channels": 2}


def starts(**changes: object) -> dict[str, torch.Tensor]:
    """The first weights of each player, flat."""
    players = Players.build(**(SMALL | {"variational": False, "seed": 0} | changes))
    names = ("autoencoder", "discriminator", "private_classifier")
    return {
        name: torch.cat([weight.detach().flatten() for weight in player.parameters()])
        for name, player in zip(names, players, strict=True)
    }


@given(height=st.integers(3, 26), width=st.integers(3, 26), n=st.integers(1, 3), hidden=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
@torch.no_grad()
def test_every_player_takes_images_of_any_size_from_three_pixels(height, width, n, hidden):
    x, size = torch.rand(n, 1, height, width), {"height": height, "width": width}
    autoencoder = Autoencoder(**size, hidden=hidden, channels=2)
    x_hat = autoencoder(x)
    assert autoencoder.encode(x).shape == (n, hidden)
    assert x_hat.shape == x.shape
    assert 0 <= x_hat.min() <= x_hat.max() <= 1
    assert Discriminator(**size, channels=2)(x).shape == (n,)
    assert PrivateClassifier(**size, n_private=7, channels=2)(x).shape == (n, 7)


@torch.no_grad()
def test_what_is_released_is_the_mean_of_the_hidden_distribution():
    autoencoder = Autoencoder(height=8, width=8, hidden=3, channels=2, variational=True)
    x = torch.rand(2, 1, 8, 8)
    mean, log_variance = autoencoder.encode_distribution(x)
    assert mean.shape == log_variance.shape == (2, 3)
    assert torch.equal(autoencoder(x), autoencoder.decode(mean))


def test_same_seed_same_start_and_the_global_generator_has_no_say():
    torch.manual_seed(1)
    first, state = starts(), torch.get_rng_state()
    torch.manual_seed(2)
    second = starts()
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_is_another_start_for_every_player():
    first, second = starts(), starts(seed=1)
    assert not any(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("change", "moved"),
    [({"hidden": 5}, "autoencoder"), ({"n_private": 4}, "private_classifier")],
)
def test_a_change_to_one_player_leaves_the_others_start_alone(change, moved):
    first, second = starts(), starts(**change)
    assert [name for name in first if not torch.equal(first[name], second[name])] == [moved]


# Faster forms of the same sums.


@given(height=st.integers(1, 9), width=st.integers(1, 9), n=st.integers(1, 3), channels=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_one_channel_out_is_pytorchs_transposed_convolution(height, width, n, channels):
    layer = ToOneChannel(channels, 1, 4, stride=2, padding=1)
    image = torch.rand(n, channels, height, width, requires_grad=True)
    ours, other = layer(image), torch.nn.ConvTranspose2d.forward(layer, image)
    torch.testing.assert_close(ours, other)
    slope, wanted = torch.rand_like(ours), [image, *layer.parameters()]
    gradients = (torch.autograd.grad(value, wanted, slope) for value in (ours, other))
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


@given(height=st.integers(1, 9), width=st.integers(1, 9), n=st.integers(1, 3), channels=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_one_channel_in_is_pytorchs_convolution_up_to_its_second_gradient(height, width, n, channels):
    layer = FromOneChannel(1, channels, 3, stride=2, padding=1)
    image = torch.rand(n, 1, height, width, requires_grad=True)
    ours, other = layer(image), torch.nn.Conv2d.forward(layer, image)
    torch.testing.assert_close(ours, other)
    slope, wanted = torch.rand_like(ours), [image, *layer.parameters()]
    first = [torch.autograd.grad(value, wanted, slope, create_graph=True) for value in (ours, other)]
    for one, two in zip(*first, strict=True):
        torch.testing.assert_close(one, two)
    penalties = [gradient.square().sum() for gradient, *_ in first]  # as R1's, on the image's gradient
    second = [torch.autograd.grad(penalty, layer.weight) for penalty in penalties]
    torch.testing.assert_close(*second)


def test_one_channel_in_gives_the_channels_last_layout_with_a_gradient_and_without():
    layer = FromOneChannel(1, 4, 3, stride=2, padding=1).to(memory_format=torch.channels_last)
    for wants in (True, False):
        image = torch.rand(2, 1, 6, 6, requires_grad=wants)
        assert layer(image).is_contiguous(memory_format=torch.channels_last)


@given(height=st.integers(1, 9), width=st.integers(1, 9), box=st.sampled_from([1, 3, 5, 11]))
@settings(max_examples=30, deadline=None)
def test_a_blur_is_average_pooling(height, width, box):
    x = torch.rand(2, 1, height, width)
    pooled = torch.nn.functional.avg_pool2d(x, box, stride=1, padding=box // 2)
    torch.testing.assert_close(blur(x, box), pooled)


def test_the_spread_is_the_mean_deviation_over_images():
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 5), np.uint8)
    assert pixel_std(images) == pytest.approx(images.std(0, ddof=1).mean() / 255)


@given(height=st.integers(3, 26), width=st.integers(3, 26))
@settings(max_examples=30, deadline=None)
def test_what_is_cropped_is_a_slice_and_its_gradient_keeps_the_channels_last_layout(height, width):
    image = torch.rand(2, 3, height + height % 2, width + 1).to(memory_format=torch.channels_last).requires_grad_()
    cropped = crop(image, height, width)
    assert torch.equal(cropped, image[:, :, :height, :width])
    (gradient,) = torch.autograd.grad(cropped, image, torch.ones_like(cropped))
    assert torch.equal(gradient, torch.nn.functional.pad(torch.ones(2, 3, height, width), (0, 1, 0, height % 2)))
    assert gradient.is_contiguous(memory_format=torch.channels_last)
