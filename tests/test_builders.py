"""One path for every data set: from its name and its options to one file a split; a third one is one module."""

import sys
from dataclasses import make_dataclass
from pathlib import Path

import numpy as np
import pytest

import anonrep.data
from anonrep.data import builders, ferg, ferg_reader, pendigits
from anonrep.data.dataset import Dataset
from anonrep.data.synthetic import ferg as synthetic
from anonrep.utils.checks import check_fields

SMALL = {
    "pendigits": {"source": "synthetic", "synthetic_digits_per_writer": 10, "split_sizes": [3, 1, 1]},
    "ferg": {"source": "synthetic", "images": 84, "artificial": 7, "size": 16, "split_sizes": [1, 1, 1]},
    "eights": {"images": 150, "split_sizes": [3, 1, 1]},
}


@pytest.fixture(autouse=True)
def third(monkeypatch):
    """tests/eights.py is a data set too. Faces are drawn and read at 64 pixels, in a tenth of the time."""
    monkeypatch.setattr(anonrep.data, "__path__", [*anonrep.data.__path__, str(Path(__file__).parent)])
    for module in (ferg_reader, synthetic):
        monkeypatch.setattr(module, "SIZE", 64)
    yield
    sys.modules.pop("anonrep.data.eights", None)


@pytest.mark.parametrize("name", SMALL)
def test_every_data_set_says_what_it_is_and_comes_out_the_same_twice(name, tmp_path):
    splits = builders.module_of(name).SPLIT_WAYS
    for out in ("one", "two"):
        builders.build(name, SMALL[name], splits, tmp_path / out, root=tmp_path / out)
    files = sorted(path.name for path in (tmp_path / "one").glob("*.npz"))
    assert files == sorted([f"{split}.npz" for split in splits] + ["artificial.npz"] * (name == "ferg"))
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    for split in splits:
        dataset = Dataset.load(tmp_path / f"one/{split}.npz")
        assert (dataset.provenance["dataset"], dataset.provenance["split"]) == (name, split)
        assert dataset.source == "synthetic"
        assert set(np.unique(dataset.known().split)) == {0, 1, 2}
        assert (dataset.unseen() is not None) == (name == "pendigits")
        assert len(dataset.task(dataset.private)) == len(dataset.task(dataset.utility)) == len(dataset)
    builders.build(name, SMALL[name] | {"seed": 1}, splits, tmp_path / "other", root=tmp_path)
    assert (tmp_path / "other" / files[0]).read_bytes() != (tmp_path / "one" / files[0]).read_bytes()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("pendigits", {"sise": 20}, "unknown options sise of data set pendigits; expected source, size, split_sizes"),
        ("pendigits", {"source": "web"}, "source is 'web'; expected one of auto, raw, shared, download, synthetic"),
        ("pendigits", {"source": None}, "source is None; expected one of"),
        ("pendigits", {"size": 7}, "size is 7; expected a whole number from 8 to 128"),
        ("pendigits", {"size": 20.0}, "size is 20.0; expected a whole number"),
        ("pendigits", {"seed": True}, "seed is True; expected a whole number"),
        ("pendigits", {"split_sizes": [1, 1]}, r"split_sizes is \(1, 1\); expected 3 whole numbers from 1"),
        ("pendigits", {"split_sizes": [9, 0, 1]}, "expected 3 whole numbers from 1"),
        ("pendigits", {"split_sizes": "111"}, "expected 3 whole numbers from 1"),
        ("pendigits", {"source": "web", "seed": -1}, "source is 'web'.*\nseed is -1"),
        ("ferg", {"source": "download"}, "source is 'download'; expected one of auto, raw, shared, synthetic"),
        ("ferg", {"images": 41}, "images is 41; expected a whole number from 42"),
        ("ferg", {"run": 0}, "run is 0; expected a whole number from 1"),
        ("unipen", {}, "no data set 'unipen'; expected the name of a module in anonrep.data that builds one"),
        ("nothing", {}, "no data set 'nothing'"),
        ("..utils", {}, "no data set"),
    ],
)
def test_wrong_options_are_named_all_at_once(name, options, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        builders.build(name, options, ["random"], tmp_path, tmp_path)


def test_numbers_and_flags_are_checked_too():
    kind = make_dataclass("Some", [("rate", float, 0.1), ("flag", bool, True), ("share", float, 0.5)])
    check_fields(kind(1, False), share=(0, 1))
    with pytest.raises(ValueError, match=r"rate is nan; .*number from 0\nflag is 1; .*\nshare is 2; .*from 0 to 1"):
        check_fields(kind(float("nan"), 1, 2), share=(0, 1))


@pytest.mark.parametrize("module", [pendigits, ferg])
def test_an_unknown_split_is_named_before_anything_is_read(module, tmp_path):
    name = module.__name__.rpartition(".")[2]
    said = f"unknown splits frames of data set {name}; expected {', '.join(module.SPLIT_WAYS)}"
    with pytest.raises(ValueError, match=said):
        builders.build(name, {"source": "raw"}, ["frames"], tmp_path, tmp_path)


def test_the_papers_split_is_the_default():
    assert pendigits.Options().split_sizes == (5494, 1000, 1000)  # Section 3
