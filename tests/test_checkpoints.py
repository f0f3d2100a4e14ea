"""Players on disk: back bit by bit, damage named, and no pickle anywhere."""

import ast
import json
from pathlib import Path

import pytest
import torch
from small_game import same, weights

import anonrep
from anonrep.networks import Players
from anonrep.stages.checkpoints import load_players, save_players

ARCHITECTURE = {"height": 9, "width": 8, "n_private": 3, "hidden": 4, "channels": 2, "adversary_channels": 3}
ARCHITECTURE |= {"variational": True}


@pytest.fixture
def saved(tmp_path):
    """Where players are on disk, and as they were."""
    players = Players.build(**ARCHITECTURE, seed=5)
    save_players(tmp_path / "deep" / "seed-5", players, ARCHITECTURE, game={"lam": 1.0}, collapsed=None)
    return tmp_path / "deep" / "seed-5", players


def test_come_back_bit_by_bit_and_the_global_generator_is_left_alone(saved):
    path, players = saved
    state = torch.get_rng_state()
    found = load_players(path)
    assert torch.equal(state, torch.get_rng_state())
    assert same(weights(*players), weights(*found))
    x = torch.rand(4, 1, 9, 8)
    assert torch.equal(players.autoencoder(x), found.autoencoder(x))


def test_same_weights_same_bytes_whatever_the_layout_and_the_description_beside_them(saved, tmp_path):
    path, players = saved
    for player in players:
        player.to(memory_format=torch.contiguous_format)
    save_players(tmp_path / "again", players, ARCHITECTURE, game={"lam": 1.0}, collapsed=None)
    for kind in ("safetensors", "json"):
        assert Path(f"{path}.{kind}").read_bytes() == (tmp_path / f"again.{kind}").read_bytes()
    facts = json.loads(Path(f"{path}.json").read_text())
    assert facts == {"architecture": ARCHITECTURE, "game": {"lam": 1.0}, "collapsed": None}


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_named(saved, keep):
    file = Path(f"{saved[0]}.safetensors")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"seed-5\.safetensors cannot be used .*delete it and run `dvc repro`"):
        load_players(saved[0])


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_missing_file_is_named(saved, kind):
    Path(f"{saved[0]}.{kind}").unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=rf"seed-5\.{kind} .*`dvc repro`"):
        load_players(saved[0])


@pytest.mark.parametrize("text", [b"", b'{"architecture": {"hei', b"\xff\xfe{}"])
def test_a_damaged_description_is_named(saved, text):
    Path(f"{saved[0]}.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"seed-5\.json is damaged .*delete it and run `dvc repro`"):
        load_players(saved[0])


def test_weights_that_do_not_fit_the_description_are_named(saved):
    path = Path(f"{saved[0]}.json")
    path.write_text(path.read_text().replace('"hidden": 4', '"hidden": 5'))
    with pytest.raises(ValueError, match=r"(?s)seed-5\.safetensors cannot be used .*size mismatch"):
        load_players(saved[0])


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
    for path in Path(anonrep.__file__).parent.rglob("*.py"):
        assert not pickles(path.read_text(encoding="utf-8")), path
    for path in (Path(__file__).parents[1] / "notebooks").rglob("*.ipynb"):
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
