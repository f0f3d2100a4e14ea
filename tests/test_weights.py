"""Weights with their checksum: back bit by bit, and no change of a single bit goes unseen."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.methods.code_encoder import CodeEncoder, features, load_encoder, save_encoder
from anonrep.utils.weights import digest, load_weights, save_weights

WEIGHTS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "steps": torch.tensor(7),
    "half": torch.tensor([1.5, -0.0], dtype=torch.bfloat16),
    "none": torch.zeros(0, 4),
}


@pytest.fixture
def path(tmp_path) -> Path:
    """Weights on disk."""
    save_weights(tmp_path / "w.safetensors", WEIGHTS)
    return tmp_path / "w.safetensors"


def same(one: dict, other: dict) -> bool:
    """Names, types, shapes and bits."""
    return one.keys() == other.keys() and digest(one) == digest(other)


def test_come_back_bit_by_bit_and_the_same_twice(path, tmp_path):
    assert same(load_weights(path), WEIGHTS)
    save_weights(tmp_path / "again.safetensors", dict(reversed(WEIGHTS.items())))
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_the_checksum_tells_names_types_shapes_and_values_apart():
    others = [
        {**WEIGHTS, "a": WEIGHTS["a"].reshape(3, 2)},
        {**WEIGHTS, "a": WEIGHTS["a"].view(torch.int32)},
        {**WEIGHTS, "half": torch.tensor([1.5, 0.0], dtype=torch.bfloat16)},
        {("b" if name == "a" else name): value for name, value in WEIGHTS.items()},
        {name: value for name, value in WEIGHTS.items() if name != "none"},
    ]
    assert len({digest(weights) for weights in [WEIGHTS, *others]}) == 1 + len(others)


def test_every_flipped_bit_is_refused_or_changes_nothing(path):
    whole, refused = path.read_bytes(), 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            found = load_weights(path)
        except (SafetensorError, ValueError):
            refused += 1
            continue
        assert same(found, WEIGHTS), position
    assert refused > 0.8 * len(whole)


def test_a_changed_value_names_the_checksum(path):
    damaged = bytearray(path.read_bytes())
    damaged[-10] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(SafetensorError, match=r"the checksum says .* they have changed"):
        load_weights(path)


def test_weights_of_others_have_no_checksum_and_are_read(tmp_path):
    save_file(WEIGHTS, tmp_path / "theirs.safetensors")
    assert same(load_weights(tmp_path / "theirs.safetensors"), WEIGHTS)
    header = (tmp_path / "theirs.safetensors").read_bytes()
    assert "__metadata__" not in json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])


# What is made of them; the players are in test_checkpoints.


@pytest.fixture
def reader(tmp_path) -> tuple[NetworkAttacker, Path]:
    """The network that reads digits, fitted and on disk."""
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    fitted = NetworkAttacker(epochs=1).fit(images, np.arange(40) % 4)
    fitted.save(tmp_path / "reader.safetensors")
    return fitted, tmp_path / "reader.safetensors"


def test_a_reader_comes_back_as_it_was(reader):
    fitted, path = reader
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 8), np.uint8)
    assert (NetworkAttacker().load(path).predict_proba(images) == fitted.predict_proba(images)).all()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone", "other weights"])
def test_a_damaged_reader_is_named(reader, damage):
    _, path = reader
    whole = bytearray(path.read_bytes())
    whole[-50] ^= 4
    path.write_bytes({"cut": whole[:-50], "empty": b""}.get(damage, whole))
    if damage == "gone":
        path.unlink()
    elif damage == "other weights":
        save_weights(path, WEIGHTS)
    with pytest.raises(ValueError, match=r"reader\.safetensors holds no attacker .*run `dvc repro`"):
        NetworkAttacker().load(path)


def test_a_flipped_bit_in_an_encoder_is_named(tmp_path):
    architecture = {"height": 16, "width": 16}
    torch.manual_seed(0)
    save_encoder(tmp_path / "e", CodeEncoder(*features(architecture), 4, 8), architecture)
    load_encoder(tmp_path / "e")
    path = tmp_path / "e.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-7] ^= 64
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"e\.safetensors and \.json are no encoder .*checksum"):
        load_encoder(tmp_path / "e")
