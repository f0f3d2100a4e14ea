"""The players: shapes, first weights, names; fast convolutions against PyTorch's own; images as tensors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from anonrep.networks import Autoencoder, Discriminator, Players, PrivateClassifier
from anonrep.utils.convolutions import FromOneChannel, ToOneChannel, cropped
from anonrep.utils.images import blur, pixel_std

SMALL = {"height": 9, "width": 8, "n_private": 3, "hidden": 4, "channels": 2, "adversary_channels": 2}


def starts(**changes: object) -> dict[str, torch.Tensor]:
    """The first weights of each player, flat."""
    players = Players.build(**(SMALL | {"variational": False, "seed": 0} | changes))
    return {
        name: torch.cat([weight.detach().flatten() for weight in player.parameters()])
        for name, player in vars(players).items()
    }


@given(height=st.integers(3, 26), width=st.integers(3, 26), n=st.integers(1, 3), hidden=st.integers(1, 5))
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
    autoencoder, x = Autoencoder(height=8, width=8, hidden=3, channels=2, variational=True), torch.rand(2, 1, 8, 8)
    mean, log_variance = autoencoder.encode_distribution(x)
    assert mean.shape == log_variance.shape == (2, 3)
    assert torch.equal(autoencoder(x), autoencoder.decode(mean))


def test_the_seed_alone_decides_the_first_weights():
    torch.manual_seed(1)
    first, state = starts(), torch.get_rng_state()
    torch.manual_seed(2)
    again, other = starts(), starts(seed=1)
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("change", "changed"), [({"hidden": 5}, "autoencoder"), ({"n_private": 4}, "private_classifier")]
)
def test_a_change_to_one_player_leaves_the_others_start_alone(change, changed):
    first, second = starts(), starts(**change)
    assert [name for name in first if not torch.equal(first[name], second[name])] == [changed]


def test_weights_keep_their_names_so_that_saved_ones_fit():
    players = Players.build(**SMALL, variational=True, seed=0)
    layers = [
        ["encoder.0", "encoder.2", "encoder.5", "mean", "log_variance", "expand.0", "expand.2", "upper.0", "lower"]
    ]
    layers += 2 * [["layers.0", "layers.2", "layers.5", "layers.7"]]
    for player, names in zip(players, layers, strict=True):
        assert list(player.state_dict()) == [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]


# Faster forms of the same sums.


@given(
    height=st.integers(1, 9), width=st.integers(1, 9), n=st.integers(1, 3), channels=st.integers(1, 4), to=st.booleans()
)
def test_one_channel_in_or_out_is_pytorchs_convolution_with_its_gradients(height, width, n, channels, to):
    if to:
        layer, plain = ToOneChannel(channels, 1, 4, stride=2, padding=1), nn.ConvTranspose2d.forward
    else:
        layer, plain = FromOneChannel(1, channels, 3, stride=2, padding=1), nn.Conv2d.forward
    image = torch.rand(n, channels if to else 1, height, width, requires_grad=True)
    outputs = layer(image), plain(layer, image)
    torch.testing.assert_close(*outputs)
    slope, wanted = torch.rand_like(outputs[0]), [image, *layer.parameters()]
    first = [torch.autograd.grad(value, wanted, slope, create_graph=True) for value in outputs]
    for one, two in zip(*first, strict=True):
        torch.testing.assert_close(one, two)
    penalties = [gradient.square().sum() for gradient, *_ in first]  # as R1's, on the image's gradient
    torch.testing.assert_close(*[torch.autograd.grad(penalty, layer.weight) for penalty in penalties])


def test_one_channel_in_gives_the_channels_last_layout_with_a_gradient_and_without():
    layer = FromOneChannel(1, 4, 3, stride=2, padding=1).to(memory_format=torch.channels_last)
    for wants in (True, False):
        image = torch.rand(2, 1, 6, 6, requires_grad=wants)
        assert layer(image).is_contiguous(memory_format=torch.channels_last)


@given(height=st.integers(3, 26), width=st.integers(3, 26))
def test_what_is_cropped_is_a_slice_whose_gradient_keeps_the_channels_last_layout(height, width):
    image = torch.rand(2, 3, height + height % 2, width + 1).to(memory_format=torch.channels_last).requires_grad_()
    found = cropped(image, height, width)
    assert torch.equal(found, image[:, :, :height, :width])
    (gradient,) = torch.autograd.grad(found, image, torch.ones_like(found))
    assert torch.equal(gradient, nn.functional.pad(torch.ones(2, 3, height, width), (0, 1, 0, height % 2)))
    assert gradient.is_contiguous(memory_format=torch.channels_last)


# Images as tensors.


@given(height=st.integers(1, 9), width=st.integers(1, 9), box=st.sampled_from([1, 3, 5, 11]))
def test_a_blur_is_average_pooling(height, width, box):
    x = torch.rand(2, 1, height, width)
    torch.testing.assert_close(blur(x, box), nn.functional.avg_pool2d(x, box, stride=1, padding=box // 2))


def test_the_pixel_standard_deviation_is_the_mean_deviation_over_images():
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 5), np.uint8)
    assert pixel_std(images) == pytest.approx(images.std(0, ddof=1).mean() / 255)
    assert pixel_std(images[:1].repeat(7, axis=0)) == 0
