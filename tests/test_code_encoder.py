"""The encoder of a finite release: codes that are kept stay the same, codewords come from training images alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anonrep.data.dataset import Dataset
from anonrep.methods.code_encoder import CodeEncoder, load_encoder, make_codebook, save_encoder
from anonrep.networks import Autoencoder
from anonrep.utils.images import to_tensor
from anonrep.utils.seeds import seeded_initialisation

ARCHITECTURE = {
    **{"height": 9, "width": 8, "n_private": 3, "hidden": 4},
    **{"channels": 2, "adversary_channels": 2, "variational": True},
}
SHAPE = {key: ARCHITECTURE[key] for key in ("height", "width", "hidden", "channels")}
CODES, UNITS = 40, 16


def grey(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 9, 8), np.uint8)


def people(n: int = 120) -> Dataset:
    """Noise: half of it trains, the rest is validation and test, all shuffled."""
    split = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [n - 2 * (n // 4), n // 4, n // 4]))
    provenance = {"source": "synthetic", "private": "writer"}
    return Dataset(grey(n), np.arange(n) % 3, {}, split.astype(np.uint8), provenance)


def network() -> Autoencoder:
    """Untrained, its weights large, so that images differ in features and outputs as they would after training."""
    with seeded_initialisation(0):
        autoencoder = Autoencoder(**SHAPE)
    for weight in autoencoder.parameters():
        weight.data *= 3
    return autoencoder.eval()


def fresh(autoencoder: Autoencoder) -> CodeEncoder:
    """Untrained, but for the running means of its features; without biases many codes are somebody's likeliest."""
    with seeded_initialisation(0):
        encoder = CodeEncoder(autoencoder.encoder, autoencoder.mean.in_features, CODES, UNITS)
    for layer in encoder.head:
        layer.momentum = 1.0
    encoder.head[-1].bias.data.zero_()
    encoder(to_tensor(grey(200, seed=9)))
    return encoder.eval()


# --- the network


def test_the_head_learns_and_the_features_do_not():
    autoencoder = network()
    encoder = CodeEncoder(autoencoder.encoder, autoencoder.mean.in_features, 6, UNITS)
    assert encoder.features is autoencoder.encoder
    assert not any(weight.requires_grad for weight in encoder.features.parameters())
    assert all(weight.requires_grad for weight in encoder.head.parameters())
    encoder(to_tensor(grey(7))).square().sum().backward()
    assert all(weight.grad is None for weight in autoencoder.parameters())
    assert all(weight.grad is not None for weight in encoder.head.parameters())


@given(st.lists(st.booleans(), min_size=CODES, max_size=CODES).filter(any))
def test_codes_that_are_kept_keep_their_logits_and_their_order(used):
    encoder, x = fresh(network()), to_tensor(grey(20))
    before = encoder(x)
    encoder.keep(torch.tensor(used))
    after = encoder(x)
    assert after.shape == (20, sum(used))
    torch.testing.assert_close(after, before[:, torch.tensor(used)])
    assert encoder.head[-1].out_features == sum(used)
    assert all(weight.requires_grad for weight in encoder.head.parameters())


# --- the codebook


def test_codes_that_no_training_image_has_are_dropped():
    data, encoder = people(), fresh(network())
    train = data.split == 0
    before = encoder.codes(data.images)
    used = np.unique(before[train])
    assert set(before[~train]) - set(used)  # the control: some others have a code that is dropped
    book = make_codebook(network(), encoder, data)
    assert len(book) == encoder.head[-1].out_features == len(used) < CODES
    np.testing.assert_array_equal(np.unique(book.codes[train]), np.arange(len(used)))
    stay = np.isin(before, used)
    np.testing.assert_array_equal(used[book.codes[stay]], before[stay])


def test_each_codeword_is_the_decoding_of_the_mean_hidden_layer_of_its_training_images():
    data, autoencoder = people(), network()
    book = make_codebook(autoencoder, fresh(autoencoder), data)
    assert book.images.dtype == np.uint8
    assert book.images.shape == (len(book), 9, 8)
    train = data.split == 0
    for code, codeword in enumerate(book.images):
        own = to_tensor(data.images[train & (book.codes == code)])
        expected = autoencoder.decode(autoencoder.encode(own).mean(0, keepdim=True))[0, 0].detach().numpy() * 255
        assert np.abs(codeword - expected).max() < 0.51


def test_nothing_but_training_images_decides_the_codewords():
    data = people()
    first = make_codebook(network(), fresh(network()), data)
    for split, changes in ((1, False), (2, False), (0, True)):
        images = np.where((data.split == split)[:, None, None], grey(len(data), 1), data.images)
        second = make_codebook(network(), fresh(network()), replace(data, images=images))
        assert np.array_equal(first.images, second.images) != changes
        assert not np.array_equal(first.codes, second.codes)


# --- on disk


@pytest.fixture
def saved(tmp_path):
    """An encoder on disk, that has dropped codes, and as it was."""
    encoder = fresh(network())
    make_codebook(network(), encoder, people())
    save_encoder(tmp_path / "deep" / "codes-40-seed-5", encoder, ARCHITECTURE, config={"steps": 3})
    return tmp_path / "deep" / "codes-40-seed-5", encoder


def test_comes_back_and_gives_the_same_codes(saved):
    path, encoder = saved
    again = load_encoder(path)
    assert not again.training
    images = grey(300, seed=4)
    np.testing.assert_array_equal(again.codes(images), encoder.codes(images))
    assert again.state_dict().keys() == encoder.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("change", [{"codes": 40}, {"architecture": ARCHITECTURE | {"channels": 3}}], ids=str)
def test_a_description_that_does_not_fit_the_weights_is_named(saved, change):
    file = Path(f"{saved[0]}.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=r"(?s)codes-40-seed-5\.safetensors and \.json are no encoder .*`dvc repro`"):
        load_encoder(saved[0])
