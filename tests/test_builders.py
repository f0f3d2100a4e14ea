"""One path for every data set: from its name and its options to one file a split; a third one is one module."""

import numpy as np
import pytest

import anonrep.data
from anonrep.data import builders, ferg, ferg_reader, pendigits
from anonrep.data.dataset import Dataset
from anonrep.data.synthetic import ferg as synthetic

THIRD = '''
"""Scikit-learn's digits; which half of the file an image is in stands for a person."""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

from anonrep.data.builders import check_options, check_splits
from anonrep.data.dataset import Dataset, random_split
from anonrep.utils.seeds import numpy_generator

SPLIT_WAYS = ("random",)


@dataclass(frozen=True)
class Options:
    split_sizes: tuple[int, int, int] = (60, 20, 20)
    seed: int = 0

    def __post_init__(self):
        check_options(self)


def build_splits(options, splits, root="."):
    check_splits(splits, SPLIT_WAYS)
    images, digit = load_digits(return_X_y=True)
    dataset = Dataset(
        images=np.rint(images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8),
        z=np.arange(len(digit)) * 2 // len(digit),
        attributes={"digit": digit.astype(np.int64)},
        split=random_split(len(digit), options.split_sizes, numpy_generator(options.seed, "split")),
        provenance={"dataset": "third", "source": "sklearn", "private": "half", "utility": "digit", "split": "random"},
    )
    return dict.fromkeys(splits, dataset)
'''


def test_a_third_data_set_is_one_module(tmp_path, monkeypatch):
    (tmp_path / "third.py").write_text(THIRD)
    monkeypatch.setattr(anonrep.data, "__path__", [*anonrep.data.__path__, str(tmp_path)])
    builders.build("third", {"seed": 3}, ["random"], tmp_path / "out")
    dataset = Dataset.load(tmp_path / "out/random.npz")
    assert (len(dataset), dataset.private, dataset.utility) == (1797, "half", "digit")
    assert np.unique(dataset.task("half")).tolist() == [0, 1]
    with pytest.raises(ValueError, match="seed is -1; expected a whole number from 0"):
        builders.build("third", {"seed": -1}, ["random"], tmp_path / "out")


SMALL = {
    "pendigits": {"source": "synthetic", "synthetic_digits_per_writer": 10, "split_sizes": [3, 1, 1]},
    "ferg": {"source": "synthetic", "images": 126, "artificial": 7, "size": 16, "split_sizes": [2, 1, 1]},
}


@pytest.fixture(autouse=True)
def small_faces(monkeypatch):
    """Faces are drawn and read at 64 pixels, in a tenth of the time."""
    for module in (ferg_reader, synthetic):
        monkeypatch.setattr(module, "SIZE", 64)


@pytest.mark.parametrize("name", SMALL)
def test_every_data_set_says_what_it_is_and_comes_out_the_same_twice(name, tmp_path):
    splits = builders.module_of(name).SPLIT_WAYS
    for out in ("one", "two"):
        builders.build(name, SMALL[name], splits, tmp_path / out, root=tmp_path / out)
    files = sorted(path.name for path in (tmp_path / "one").glob("*.npz"))
    assert {f"{split}.npz" for split in splits} <= set(files)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    for split in splits:
        dataset = Dataset.load(tmp_path / f"one/{split}.npz")
        assert dataset.provenance["dataset"] == name
        assert dataset.provenance["split"] == split
        assert dataset.source == "synthetic"
        assert set(np.unique(dataset.split)) == {0, 1, 2}
        assert len(dataset.task(dataset.private)) == len(dataset.task(dataset.utility)) == len(dataset)
    other = builders.build(name, SMALL[name] | {"seed": 1}, splits, tmp_path / "other", root=tmp_path)
    assert (tmp_path / "other" / files[0]).read_bytes() != (tmp_path / "one" / files[0]).read_bytes()
    assert sorted(f"{split}.npz" for split in other) == files


def test_the_artificial_person_stands_beside_every_split_of_the_faces(tmp_path):
    built = builders.build("ferg", SMALL["ferg"], ["clips"], tmp_path, root=tmp_path)
    assert list(built) == ["clips", "artificial"]
    assert built["artificial"].z.tolist() == [6] * 7
    assert built["artificial"].images.shape[1:] == built["clips"].images.shape[1:]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("pendigits", {"sise": 20}, "unknown options sise of data set pendigits; expected source, size, frame"),
        ("pendigits", {"source": "web"}, "source is 'web'; expected one of auto, raw, shared, download, synthetic"),
        ("pendigits", {"source": None}, "source is None; expected one of"),
        ("pendigits", {"size": 7}, "size is 7; expected a whole number from 8 to 128"),
        ("pendigits", {"size": 20.0}, "size is 20.0; expected a whole number"),
        ("pendigits", {"seed": True}, "seed is True; expected a whole number"),
        ("pendigits", {"split_sizes": [1, 1]}, r"split_sizes is \(1, 1\); expected 3 whole numbers from 1"),
        ("pendigits", {"split_sizes": [9, 0, 1]}, "expected 3 whole numbers from 1"),
        ("pendigits", {"split_sizes": "111"}, "expected 3 whole numbers from 1"),
        ("pendigits", {"frame": "page", "seed": -1}, "frame is 'page'.*\nseed is -1"),
        ("ferg", {"source": "download"}, "source is 'download'; expected one of auto, raw, shared, synthetic"),
        ("ferg", {"images": 41}, "images is 41; expected a whole number from 42"),
        ("ferg", {"run": 0}, "run is 0; expected a whole number from 1"),
        ("unipen", {}, "no data set 'unipen'; expected the name of a module in anonrep.data that builds one"),
        ("nothing", {}, "no data set 'nothing'"),
        ("..utils", {}, "no data set"),
    ],
)
def test_wrong_options_are_named_all_at_once(name, options, said):
    with pytest.raises(ValueError, match=said):
        builders.options_of(name, options)


@pytest.mark.parametrize("module", [pendigits, ferg])
def test_an_unknown_split_is_named_before_anything_is_read(module, tmp_path):
    with pytest.raises(ValueError, match=f"split 'frames'; expected one of {', '.join(module.SPLIT_WAYS)}"):
        module.build_splits(module.Options(source="raw"), ["frames"], tmp_path)


def test_defaults_are_options_too():
    assert builders.options_of("ferg", {"split_sizes": [45, 10, 45]}) == ferg.Options(split_sizes=(45, 10, 45))
    assert pendigits.Options().split_sizes == (5494, 1000, 1000)  # the paper's, Section 3
