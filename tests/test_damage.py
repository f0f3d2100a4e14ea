"""Damage to every kind of artefact and raw file is named: by the reader, or, where a reader has nothing to tell by, by
`dvc status`, which the pipeline's own test does in test_pipeline. Nothing loads with other values and no word."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_ferg import THREE, put
from test_unipen import GOOD

from anonrep.data import sources
from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import read as read_ferg
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.methods.code_encoder import CodeEncoder, features, load_encoder, save_encoder
from anonrep.networks import Players
from anonrep.stages.checkpoints import load_players, save_players
from anonrep.utils.files import read_arrays, read_json, write_arrays, write_json

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 8, 8), np.uint8)
ROWS = [{"variant": "stabilised", "lam": 1, "accuracy": 0.125, "collapsed": None, "source": "synthetic"}] * 20
ARCHITECTURE = {"height": 9, "width": 8, "n_private": 3, "hidden": 4, "channels": 2, "adversary_channels": 3}


def bits(players: Players) -> list[bytes]:
    """The weights of players."""
    return [value.numpy().tobytes() for player in players for value in player.state_dict().values()]


def make_dataset(folder: Path) -> tuple[Path, Callable]:
    z = np.arange(40) % 4
    data = Dataset(IMAGES, z, {"digit": z * 2}, np.arange(40, dtype=np.uint8) % 3, {"source": "synthetic"})
    data.save(folder / "pendigits.npz")

    def load():
        found = Dataset.load(folder / "pendigits.npz")
        parts = (found.images, found.z, found.split, *found.attributes.values())
        return [part.tobytes() for part in parts], list(found.attributes), found.provenance

    return folder / "pendigits.npz", load


def make_codebook(folder: Path) -> tuple[Path, Callable]:
    Codebook(IMAGES[:4], np.arange(40) % 4).save(folder / "codes-4-seed-0.npz", {"source": "uci"})

    def load():
        found = Codebook.load(folder / "codes-4-seed-0.npz")
        return found.images.tobytes(), found.codes.tobytes()

    return folder / "codes-4-seed-0.npz", load


def make_snapshots(folder: Path) -> tuple[Path, Callable]:
    write_arrays(folder / "snapshots-0.npz", {"source": "uci"}, snapshots=IMAGES)
    return folder / "snapshots-0.npz", lambda: read_arrays(folder / "snapshots-0.npz")["snapshots"].tobytes()


def make_players(folder: Path) -> tuple[Path, Callable]:
    architecture = {**ARCHITECTURE, "variational": True}
    save_players(folder / "seed-5", Players.build(**architecture, seed=5), architecture)
    return folder / "seed-5.safetensors", lambda: bits(load_players(folder / "seed-5"))


def make_encoder(folder: Path) -> tuple[Path, Callable]:
    architecture = {"height": 16, "width": 16}
    torch.manual_seed(0)
    save_encoder(folder / "codes-4-seed-0", CodeEncoder(*features(architecture), 4, 8), architecture)
    path = folder / "codes-4-seed-0"
    return Path(f"{path}.safetensors"), lambda: [v.numpy().tobytes() for v in load_encoder(path).state_dict().values()]


def make_reader(folder: Path) -> tuple[Path, Callable]:
    path = folder / "reader.safetensors"
    NetworkAttacker(epochs=1).fit(IMAGES, np.arange(40) % 4).save(path)

    def load():
        reader = NetworkAttacker().load(path)
        return reader.classes_.tolist(), [value.numpy().tobytes() for value in reader.module_.state_dict().values()]

    return path, load


def make_unipen_zip(folder: Path) -> tuple[Path, Callable]:
    path = folder / sources.DROP / "raw.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(sources.PENDIGITS, GOOD)
    return path, lambda: sources.pendigits_raw("raw", folder).data


def make_ferg_zip(folder: Path) -> tuple[Path, Callable]:
    path, packed = folder / "faces.zip", io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, data in THREE.items():
            file.writestr(name, data)
    path.write_bytes(packed.getvalue())

    def load():
        found = read_ferg(path)
        parts = (found.images, found.character, found.expression, found.frame)
        return [np.asarray(part).tobytes() for part in parts]

    return path, load


def make_ferg_image(folder: Path) -> tuple[Path, Callable]:
    put(folder / "faces", THREE)
    path = folder / "faces" / next(iter(THREE))
    return path, lambda: read_ferg(folder / "faces").images.tobytes()


KINDS = {
    "data set": make_dataset,
    "codebook": make_codebook,
    "snapshots": make_snapshots,
    "players": make_players,
    "encoder": make_encoder,
    "reader": make_reader,
    "UNIPEN zip": make_unipen_zip,
    "FERG zip": make_ferg_zip,
    "FERG image": make_ferg_image,
}


@pytest.fixture(params=KINDS)
def kind(request, tmp_path) -> tuple[Path, Callable]:
    """An artefact on disk, and what reads it."""
    return KINDS[request.param](tmp_path)


def outcome(load: Callable) -> tuple[object, str | None]:
    """What was read and None, or None and what was said."""
    try:
        return load(), None
    except ValueError as error:  # every reader's own error is one
        return None, str(error)


@pytest.mark.filterwarnings("ignore:.*is not the known")
def test_a_file_cut_anywhere_is_named(kind):
    path, load = kind
    whole, before = path.read_bytes(), load()
    for keep in (0, 1, 7, 100, len(whole) // 2, len(whole) - 20, len(whole) - 1):
        path.write_bytes(whole[:keep])
        found, said = outcome(load)
        assert said or found == before, keep
        assert said or keep >= len(whole) - 20, keep  # the last bytes of a PNG say no more than that it ends
        assert not said or path.name in said or path.stem in said, said


@pytest.mark.filterwarnings("ignore:.*is not the known")
def test_a_flipped_bit_anywhere_is_named_or_changes_nothing(kind):
    path, load = kind
    whole, before, named = path.read_bytes(), load(), 0
    chance = random.Random(0)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        found, said = outcome(load)
        assert said or found == before
        assert not said or path.name in said or path.stem in said, said
        named += bool(said)
    assert named > 50


def test_a_flipped_bit_in_plain_strokes_is_named_by_their_checksum(tmp_path, monkeypatch):
    """Text has no checksum inside: the known file's is what tells, whatever of it is changed."""
    monkeypatch.setattr(sources, "PENDIGITS_SHA256", sources.hashlib.sha256(GOOD).hexdigest())
    path = tmp_path / sources.DROP / sources.PENDIGITS
    path.parent.mkdir(parents=True)
    path.write_bytes(GOOD)
    assert sources.pendigits_raw("raw", tmp_path).provenance["sha256_known"]
    for position in range(0, len(GOOD), 11):
        damaged = bytearray(GOOD)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match=rf"{sources.PENDIGITS} is not the known"):
            assert not sources.pendigits_raw("raw", tmp_path).provenance["sha256_known"]


@pytest.mark.parametrize("keep", [0, 1, 40, -3])
def test_metrics_cut_short_are_named(tmp_path, keep):
    """A changed figure is still JSON: DVC's checksum finds it (test_pipeline)."""
    path = tmp_path / "fig2.json"
    write_json(path, ROWS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"fig2\.json is damaged .*delete it and run `dvc repro`"):
        read_json(path)


def test_bits_of_json_that_are_no_json_are_named(tmp_path):
    path = tmp_path / "fig2.json"
    write_json(path, ROWS)
    whole = path.read_bytes()
    for position in range(0, len(whole), 13):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 128]) + whole[position + 1 :])
        with pytest.raises(ValueError, match=r"fig2\.json is damaged"):
            read_json(path)
    assert json.loads(whole) == ROWS
