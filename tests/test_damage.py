"""Damage to every kind of artefact and raw file is named by its reader; nothing loads with other values and no word.

Where a reader has nothing to tell by, `dvc status` tells, which test_pipeline shows.
"""

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_ferg import THREE, put
from test_unipen import GOOD

from anonrep.data import pendigits
from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import read as read_ferg
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.methods.code_encoder import CodeEncoder, features, load_encoder, save_encoder
from anonrep.networks import Players
from anonrep.stages.checkpoints import load_players, save_players
from anonrep.utils.files import read_arrays, read_json, write_arrays, write_json

IMAGES, Z = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8), np.arange(40) % 4
ROWS = [{"method": "stabilised", "setting": 1, "accuracy": 0.125, "collapsed": None, "source": "synthetic"}] * 20
PLAYERS = {"height": 9, "width": 8, "n_private": 3, "hidden": 4, "channels": 2, "adversary_channels": 3}
PLAYERS["variational"] = True
SHAPE = {"height": 16, "width": 16}


def save_dataset(path: Path) -> None:
    Dataset(IMAGES, Z, {"digit": Z * 2}, np.arange(40, dtype=np.uint8) % 3, {"source": "synthetic"}).save(path)


def load_dataset(path: Path) -> dict:
    return {name: value for name, value in vars(Dataset.load(path)).items()}


def save_unipen(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(pendigits.FILE, GOOD)


def save_reader(path: Path) -> None:
    NetworkAttacker(epochs=1).fit(IMAGES, Z).save(path)


def save_code_encoder(path: Path) -> None:
    torch.manual_seed(0)
    save_encoder(path.with_suffix(""), CodeEncoder(*features(SHAPE), 4, 8), SHAPE)


KINDS = {  # where it lies, what writes it, what reads it
    "data set": ("some.npz", save_dataset, load_dataset),
    "codebook": (
        "codes-4.npz",
        lambda path: Codebook(IMAGES[:4], Z).save(path, {"source": "uci"}),
        lambda path: vars(Codebook.load(path)),
    ),
    "snapshots": (
        "snapshots-0.npz",
        lambda path: write_arrays(path, {"source": "uci"}, snapshots=IMAGES),
        lambda path: read_arrays(path),
    ),
    "players": (
        "seed-5.safetensors",
        lambda path: save_players(path.with_suffix(""), Players.build(**PLAYERS, seed=5), PLAYERS),
        lambda path: [player.state_dict() for player in load_players(path.with_suffix(""))],
    ),
    "encoder": ("codes-4.safetensors", save_code_encoder, lambda path: load_encoder(path.with_suffix("")).state_dict()),
    "reader": ("reader.safetensors", save_reader, lambda path: NetworkAttacker().load(path).module_.state_dict()),
    "UNIPEN zip": (
        "data/raw/pendigits/raw.zip",
        save_unipen,
        lambda path: pendigits.raw_files(pendigits.Options(source="raw"), path.parents[3])[0][0],
    ),
    "FERG zip": ("faces.zip", lambda path: put(path, THREE), lambda path: read_ferg(path).images),
    "FERG image": (
        f"faces/{next(iter(THREE))}",
        lambda path: put(path.parents[3], THREE),
        lambda path: read_ferg(path.parents[3]).images,
    ),
}


def flat(value: object) -> object:
    """Arrays and tensors as bytes, so that whatever was read can be compared."""
    if isinstance(value, dict):
        return {key: flat(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [flat(inner) for inner in value]
    return np.asarray(value).tobytes() if isinstance(value, np.ndarray | torch.Tensor) else value


@pytest.fixture(params=KINDS)
def kind(request, tmp_path) -> tuple[Path, Callable]:
    """An artefact on disk, and what reads it: what was read and None, or None and what was said."""
    file, save, load = KINDS[request.param]
    save(tmp_path / file)

    def outcome() -> tuple[object, str | None]:
        try:
            return flat(load(tmp_path / file)), None
        except ValueError as error:  # every reader's own error is one
            return None, str(error)

    return tmp_path / file, outcome


@pytest.mark.filterwarnings("ignore:.*is not the known")
def test_a_file_cut_anywhere_is_named(kind):
    path, outcome = kind
    whole, (before, _) = path.read_bytes(), outcome()
    assert before is not None
    for keep in (0, 1, 7, 100, len(whole) // 2, len(whole) - 20, len(whole) - 1):
        path.write_bytes(whole[:keep])
        found, said = outcome()
        assert said or found == before, keep
        assert said or keep >= len(whole) - 20, keep  # the last bytes of a PNG say no more than that it ends
        assert not said or path.name in said or path.stem in said, said


@pytest.mark.filterwarnings("ignore:.*is not the known")
def test_a_flipped_bit_anywhere_is_named_or_changes_nothing(kind):
    path, outcome = kind
    whole, (before, _), named, chance = path.read_bytes(), outcome(), 0, random.Random(0)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        found, said = outcome()
        assert said or found == before
        assert not said or path.name in said or path.stem in said, said
        named += bool(said)
    assert named > 33


def test_json_cut_short_or_with_bytes_that_are_no_text_is_named(tmp_path):
    """A changed figure is still JSON: DVC's checksum finds it (test_pipeline)."""
    path = tmp_path / "rows.json"
    write_json(path, ROWS)
    whole = path.read_bytes()
    assert read_json(path) == ROWS
    cuts = [whole[:keep] for keep in (0, 1, 40, -3)]
    bits = [whole[:at] + bytes([whole[at] ^ 128]) + whole[at + 1 :] for at in range(0, len(whole), 13)]
    for damaged in cuts + bits:
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"rows\.json is damaged .*delete it and run `dvc repro`"):
            read_json(path)
