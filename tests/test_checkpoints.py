"""Weights on disk: back bit by bit, damage named, and no pickle anywhere."""

import ast
import errno
import json
from pathlib import Path

import pytest
import torch

import anonrep
from anonrep.networks import Players
from anonrep.stages.checkpoints import load_players, save_players
from anonrep.utils.files import CannotWrite

ARCHITECTURE = {
    "height": 9,
    "width": 8,
    "n_private": 3,
    "hidden": 4,
    "channels": 2,
    "adversary_channels": 3,
    "variational": True,
}


@pytest.fixture
def saved(tmp_path):
    """Players on disk, and as they were."""
    players = Players.build(**ARCHITECTURE, seed=5)
    save_players(tmp_path / "deep" / "seed-5", players, ARCHITECTURE, game={"lam": 1.0}, collapsed=None)
    return tmp_path / "deep" / "seed-5", players


def test_come_back_bit_by_bit(saved):
    path, players = saved
    for one, other in zip(players, load_players(path), strict=True):
        assert one.state_dict().keys() == other.state_dict().keys()
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())
    x = torch.rand(4, 1, 9, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(players.autoencoder(x), load_players(path).autoencoder(x))


def test_come_back_from_any_memory_layout(tmp_path):
    players = Players.build(**ARCHITECTURE, seed=5)
    for player in players:
        player.to(memory_format=torch.channels_last)
    save_players(tmp_path / "a", players, ARCHITECTURE)
    for one, other in zip(players, load_players(tmp_path / "a"), strict=True):
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def test_same_weights_same_bytes_and_the_description_beside_them(saved, tmp_path):
    path, players = saved
    save_players(tmp_path / "again", players, ARCHITECTURE, game={"lam": 1.0}, collapsed=None)
    for kind in ("safetensors", "json"):
        assert Path(f"{path}.{kind}").read_bytes() == (tmp_path / f"again.{kind}").read_bytes()
    facts = json.loads(Path(f"{path}.json").read_text())
    assert facts == {"architecture": ARCHITECTURE, "game": {"lam": 1.0}, "collapsed": None}
    assert {file.name for file in path.parent.iterdir()} == {"seed-5.json", "seed-5.safetensors"}


def test_reading_leaves_the_global_generator_alone(saved):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    load_players(saved[0])
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, -1])
def test_a_truncated_file_is_named(saved, keep):
    file = Path(f"{saved[0]}.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"seed-5\.safetensors cannot be used .*delete it and run `dvc repro`"):
        load_players(saved[0])


def test_a_flipped_bit_in_the_header_is_named_or_harmless(saved):
    """Every bit of the header, one at a time: an error that names the file, or the very same weights."""
    file = Path(f"{saved[0]}.safetensors")
    whole, named = file.read_bytes(), 0
    for position in range(0, 8 + int.from_bytes(whole[:8], "little"), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        file.write_bytes(damaged)
        try:
            players = load_players(saved[0])
        except ValueError as error:
            assert "seed-5.safetensors cannot be used" in str(error)  # noqa: PT017 (harmless ones raise nothing)
            named += 1
            continue
        for one, other in zip(saved[1], players, strict=True):
            assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items()), position
    assert named > 100


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_missing_file_is_named(saved, kind):
    Path(f"{saved[0]}.{kind}").unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=rf"seed-5\.{kind} .*`dvc repro`"):
        load_players(saved[0])


@pytest.mark.parametrize("text", [b"", b"{", b'{"architecture": {"hei', b"\xff\xfe{}"])
def test_a_damaged_description_is_named(saved, text):
    Path(f"{saved[0]}.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"seed-5\.json is damaged .*delete it and run `dvc repro`"):
        load_players(saved[0])


def test_weights_that_do_not_fit_the_description_are_named(saved):
    path = Path(f"{saved[0]}.json")
    facts = json.loads(path.read_text())
    facts["architecture"]["hidden"] = 5
    path.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"(?s)seed-5\.safetensors cannot be used .*size mismatch"):
        load_players(saved[0])


def test_a_failed_write_leaves_the_earlier_file(saved, monkeypatch):
    path, players = saved
    before = Path(f"{path}.safetensors").read_bytes()

    def full(temporary, data):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CannotWrite, match=r"seed-5\.safetensors cannot be written"):
        save_players(path, players, ARCHITECTURE)
    assert Path(f"{path}.safetensors").read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} == {"seed-5.json", "seed-5.safetensors"}


PICKLING = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def pickles(source: str) -> list[str]:
    """What in a piece of code reads or writes pickles: modules, torch.load and torch.save, allow_pickle=True."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PICKLING]
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            found += [node.module] if node.module.split(".")[0] in PICKLING else []
            found += [f"torch.{name}" for name in names & {"load", "save"} if node.module.split(".")[0] == "torch"]
        elif isinstance(node, ast.Attribute) and node.attr in ("load", "save", "read_pickle", "to_pickle"):
            if node.attr.endswith("pickle") or (isinstance(node.value, ast.Name) and node.value.id == "torch"):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found += [] if isinstance(node.value, ast.Constant) and node.value.value is False else ["allow_pickle"]
    return found


def test_the_library_and_the_notebooks_do_not_pickle():
    folder = Path(anonrep.__file__).parent
    for path in folder.rglob("*.py"):
        assert not pickles(path.read_text(encoding="utf-8")), path
    for path in (Path(__file__).parents[1] / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in (cell for cell in cells if cell["cell_type"] == "code"):
            assert not pickles("".join(cell["source"])), path


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import dump",
        "from torch import load",
        "import torch\ntorch.load(p)",
        "torch.save(model, p)",
        "np.load(p, allow_pickle=True)",
        "table.to_pickle(p)",
    ],
)
def test_pickles_are_seen(source):
    assert pickles(source)
