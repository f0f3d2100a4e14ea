"""A release: whatever makes released images out of a data set, in one form for every judge.

The folder of a release (`paths.release_folder`) has `releases.json`, a row for each set of released images in it:

method, setting, target, seed  what people call it: setting is lambda or the method's own number, target the person
                               whose images are shown; null where there is none
codes                          of a codebook, how many codes were asked for; null elsewhere
file                           where it lies in the folder: a `Dataset`, or a `Codebook` where `codes` is a number; null
                               for a run that collapsed
collapsed                      why a run is no evidence of privacy, or null
attacked, certified            whether the attackers are trained on it, whether its certificate is computed
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import UNSEEN, Dataset
from anonrep.utils.files import read_json, write_json

INDEX = "releases.json"


@dataclass(frozen=True)
class Release:
    """Released images, as judges are handed them.

    key                  dataset, split, people ("known" or "unseen"), method, setting, target, seed
    data                 the data set with released images in the place of raw ones
    codebook             where the images are codewords; `codes` is how many were asked for
    attacked, certified  as in `releases.json`
    unseen               the same release of people who took part in nothing, as a `Release` of their own; None where
                         there are none, or where the method cannot be applied to them
    """

    key: dict
    data: Dataset
    codebook: Codebook | None
    codes: int | None
    attacked: bool
    certified: bool
    unseen: "Release | None" = None


def row(
    method: str,
    setting: float | None,
    seed: int | None,
    file: str | None,
    *,
    target: int | None = None,
    codes: int | None = None,
    collapsed: str | None = None,
    attacked: bool = True,
    certified: bool = False,
) -> dict:
    """A row of `releases.json`; a run that collapsed has no file."""
    return {
        "method": method,
        "setting": setting,
        "target": target,
        "seed": seed,
        "codes": codes,
        "file": None if collapsed else file,
        "collapsed": collapsed,
        "attacked": attacked,
        "certified": certified,
    }


def save_index(folder: str | Path, rows: list[dict]) -> None:
    """Write `releases.json`."""
    write_json(Path(folder) / INDEX, rows)


def read_index(folder: str | Path) -> list[dict]:
    """The rows of `releases.json`."""
    return read_json(Path(folder) / INDEX)


def key_of(data: Dataset, found: Mapping) -> dict:
    """The columns that name a release in every table."""
    names = ("method", "setting", "target", "seed")
    of = {"dataset": data.provenance["dataset"], "split": data.provenance["split"], "people": "known"}
    return of | {name: found[name] for name in names}


def load(folder: str | Path, data: Dataset, found: Mapping) -> Release:
    """One release of a folder: `found` is its row, `data` the raw data set with its unseen people."""
    path, book = Path(folder) / found["file"], None
    if found["codes"] is None:
        released = Dataset.load(path)
    else:
        book = Codebook.load(path)
        released = data.released(book.release())
    flags = {name: found[name] for name in ("attacked", "certified")}
    return apart(Release(key_of(data, found), released, book, found["codes"], **flags))


def apart(release: Release) -> Release:
    """The known people's part of a release of everybody, with the unseen people's as `unseen`."""
    data, book, others = release.data, release.codebook, release.data.split == UNSEEN
    found = data.unseen()
    if found is not None:
        key = release.key | {"people": "unseen"}
        found = replace(release, key=key, data=found, codebook=book and book.take(others))
    return replace(release, data=data.known(), codebook=book and book.take(~others), unseen=found)


def load_all(folder: str | Path, data: Dataset) -> Iterator[Release]:
    """Every release of a folder that did not collapse."""
    return (load(folder, data, found) for found in read_index(folder) if found["file"])


def pick_device(wish: str = "auto") -> str:
    """ "auto" is CUDA where there is one, else the CPU; any other word is PyTorch's name of a device."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if wish == "auto" else wish
