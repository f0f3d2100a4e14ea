"""Where raw data comes from: the order, the forced sources, and no network."""

import warnings
from pathlib import Path

import pytest

from anonrep.data import sources
from anonrep.data.sources import fetch, raw_path

ORDER = ("raw", "shared", "download")


def look(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.txt"))), None)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ANONREP_DATA", str(tmp_path / "elsewhere"))
    return tmp_path / "project"


@pytest.fixture
def places(root) -> dict[str, Path]:
    """A file in each place, by the word of its source."""
    folders = {"raw": "data/raw/some", "shared": "../elsewhere/some", "download": "build/downloads"}
    found = {word: root / folder / "file.txt" for word, folder in folders.items()}
    for path in found.values():
        path.parent.mkdir(parents=True)
        path.write_text("data")
    return found


def find(source: str, root: Path, download=look) -> Path | None:
    return raw_path("some", source, root, look=look, advice="ask for it", download=download)


def test_places_are_tried_in_order_and_a_forced_one_alone(root, places):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for word in ORDER:
            assert find("auto", root).samefile(places[word])
            assert find(word, root).samefile(places[word])
            if word != "download":
                places[word].unlink()
                with pytest.raises(FileNotFoundError, match=r"nothing in .*some: ask for it"):
                    find(word, root)
        assert find("synthetic", root) is None


def test_in_a_temporary_copy_of_dvc_the_owners_files_are_found(root, places):
    """`dvc exp run --temp` copies tracked files, and so not what somebody put into data/raw."""
    copy = root / ".dvc/tmp/exps/standalone/tmp1"
    (copy / "data/raw/some").mkdir(parents=True)
    assert find("raw", copy).samefile(places["raw"])
    (copy / "data/raw/some/own.txt").write_text("data")
    assert find("auto", copy).samefile(copy / "data/raw/some/own.txt")


def test_without_the_variable_the_shared_folder_is_beside_the_project(root, monkeypatch):
    monkeypatch.delenv("ANONREP_DATA")
    path = root / ".." / "shared" / "data" / "some" / "file.txt"
    path.parent.mkdir(parents=True)
    path.write_text("data")
    assert find("shared", root).samefile(path)


def fail(folder: Path) -> Path:
    return fetch("https://nowhere/file.txt", "0" * 64, "file.txt", folder, "put it here")


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("SHA256 hash of downloaded file does not match")])
def test_offline_says_what_to_do_and_goes_on_with_synthetic_data(root, monkeypatch, error):
    def retrieve(*args: object, downloader: object) -> str:
        assert max(downloader.kwargs["timeout"]) <= 30
        raise error

    monkeypatch.setattr(sources.pooch, "retrieve", retrieve)
    with pytest.warns(UserWarning, match="SYNTHETIC DATA TAKES ITS PLACE") as caught:
        assert find("auto", root, fail) is None
    for words in (str(error), "put it here", "`dvc repro --force --single-item data@some`"):
        assert words in str(caught[0].message)
    with pytest.raises(ConnectionError, match=r"the download failed .*: put it here"):
        find("download", root, fail)


def test_where_there_is_no_download_none_is_tried(root):
    with pytest.warns(UserWarning, match=r"TAKES ITS PLACE\. ask for it"):
        assert find("auto", root, None) is None
