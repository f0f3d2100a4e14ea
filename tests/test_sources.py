"""Where the raw data comes from: the order, the forced sources, damaged files, and no network."""

import hashlib
import warnings
import zipfile
from pathlib import Path

import pytest

from anonrep.data import sources
from anonrep.data.sources import DROP, PENDIGITS, pendigits_raw
from anonrep.data.synthetic import pendigits as synthetic
from anonrep.reports.plots import source_name

TEXT = b'.SEGMENT DIGIT 0 ? "1"\n.COMMENT 1 1 1\n.PEN_DOWN\n1 1\n.PEN_UP\n' * 40


def compressed(data: bytes) -> bytes:
    """LZW as Unix `compress -b 16` writes it, block mode, without ever clearing its table."""
    table = {bytes([value]): value for value in range(256)}
    codes, word = [], b""
    for value in data:
        longer = word + bytes([value])
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        if len(table) < 65535:
            table[longer] = len(table) + 1  # 256 is the clear code
        word = longer[-1:]
    codes.append(table[word])
    out, group, bits, entries = bytearray(b"\x1f\x9d\x90"), [], 9, 256
    for number, code in enumerate(codes):
        if entries >= (1 << bits) - 1 and bits < 16:
            out += packed(group, bits)
            group, bits = [], bits + 1
        group.append(code)
        entries += number > 0
    return bytes(out + packed(group, bits, last=True))


def packed(codes: list[int], bits: int, last: bool = False) -> bytes:
    """Codes from the lowest bit up; a group that is not the last is filled up to eight codes."""
    if not last:
        codes = codes + [0] * (-len(codes) % 8)
    value = sum(code << (bits * place) for place, code in enumerate(codes))
    return value.to_bytes((bits * len(codes) + 7) // 8, "little")


def zipped(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """An empty project whose shared folder is empty too, and no network."""
    monkeypatch.setenv("ANONREP_DATA", str(tmp_path / "elsewhere"))

    def offline(*args, **kwargs):
        raise OSError("no network here")

    monkeypatch.setattr(sources.pooch, "retrieve", offline)
    root = tmp_path / "project"
    (root / DROP).mkdir(parents=True)
    (root / DROP / "README.md").write_text("put it here")
    (tmp_path / "elsewhere").mkdir()
    return root


@pytest.fixture
def known(monkeypatch) -> None:
    """Let TEXT be the known training file."""
    monkeypatch.setattr(sources, "PENDIGITS_SHA256", hashlib.sha256(TEXT).hexdigest())


def put(path: Path, form: str) -> None:
    path.mkdir(exist_ok=True)
    if form == "plain":
        (path / PENDIGITS).write_bytes(TEXT)
    elif form == "Z":
        (path / f"{PENDIGITS}.Z").write_bytes(compressed(TEXT))
    elif form == "zip of plain":
        zipped(path / "any.zip", **{f"folder/{PENDIGITS}": TEXT, "other": b"x"})
    else:
        zipped(path / "any.zip", **{f"../../{PENDIGITS}.Z": compressed(TEXT), "pendigits-orig.tes.Z": b"x"})


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("form", ["plain", "Z", "zip of plain", "zip of Z"])
@pytest.mark.parametrize("source", ["auto", "raw"])
def test_every_form_in_data_raw_is_read(root, form, source):
    put(root / DROP, form)
    before = sorted(root.rglob("*"))
    raw = pendigits_raw(source, root)
    assert raw.data == TEXT
    assert (raw.provenance["source"], raw.provenance["licence"]) == ("uci", "CC BY 4.0")
    assert raw.provenance["sha256"] == hashlib.sha256(TEXT).hexdigest()
    assert raw.provenance["sha256_known"]
    assert str(root) not in str(raw.provenance)
    assert sorted(root.rglob("*")) == before  # nothing is unpacked beside it


@pytest.mark.usefixtures("known")
def test_the_way_that_the_bytes_came_leaves_no_trace(root):
    found = []
    for form in ("plain", "Z", "zip of Z"):
        put(root / DROP, form)
        found.append(pendigits_raw("raw", root).provenance)
    assert found[0] == found[1] == found[2]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("place", ["elsewhere", "elsewhere/pendigits"])
def test_the_shared_folder_comes_after_data_raw(root, place):
    put(root.parent / place, "plain")
    assert Path(pendigits_raw("auto", root).where).parent == root.parent / place
    put(root / DROP, "Z")
    assert Path(pendigits_raw("auto", root).where).parent == root / DROP
    assert Path(pendigits_raw("shared", root).where).parent == root.parent / place


@pytest.mark.usefixtures("known")
def test_without_the_variable_the_shared_folder_is_beside_the_project(root, monkeypatch):
    monkeypatch.delenv("ANONREP_DATA")
    (root.parent / "shared").mkdir()
    put(root.parent / "shared" / "data", "plain")
    assert pendigits_raw("shared", root).data == TEXT


@pytest.mark.usefixtures("known")
def test_the_download_goes_to_build_with_its_checksum_and_short_time_outs(root, monkeypatch):
    asked = {}

    def retrieve(url, known_hash, fname, path, downloader):
        asked.update(url=url, known_hash=known_hash, path=path, timeout=downloader.kwargs["timeout"])
        path.mkdir(parents=True)
        zipped(path / fname, **{f"{PENDIGITS}.Z": compressed(TEXT)})
        return str(path / fname)

    monkeypatch.setattr(sources.pooch, "retrieve", retrieve)
    assert pendigits_raw("auto", root).data == TEXT
    assert asked["url"] == sources.PENDIGITS_URL
    assert asked["known_hash"] == f"sha256:{sources.PENDIGITS_ZIP_SHA256}"
    assert asked["path"] == root / "build" / "downloads"
    assert max(asked["timeout"]) <= 30


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("SHA256 hash of downloaded file does not match")])
def test_offline_says_what_to_do_and_goes_on_with_synthetic_data(root, monkeypatch, error):
    def retrieve(*args, **kwargs):
        raise error

    monkeypatch.setattr(sources.pooch, "retrieve", retrieve)
    with pytest.warns(UserWarning, match="SYNTHETIC DATA") as caught:
        raw = pendigits_raw("auto", root, synthetic_digits_per_writer=10)
    message = str(caught[0].message)
    for words in (str(error), sources.PENDIGITS_URL, sources.PENDIGITS_ZIP_SHA256, str(DROP)):
        assert words in message
    assert raw.provenance["source"] == "synthetic"
    with pytest.raises(ConnectionError, match="the download failed"):
        pendigits_raw("download", root)


def test_a_forced_synthetic_source_looks_nowhere_else_and_warns_of_nothing(root):
    put(root / DROP, "plain")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw = pendigits_raw("synthetic", root, seed=3, synthetic_digits_per_writer=10)
    assert raw.data == synthetic.synthetic_pendigits(3, digits_per_writer=10)
    assert raw.provenance["source"] == "synthetic"
    assert raw.provenance["sha256"] == hashlib.sha256(raw.data).hexdigest()


@pytest.mark.parametrize("source", ["raw", "shared"])
def test_a_forced_source_that_has_nothing_is_an_error(root, source):
    with pytest.raises(FileNotFoundError, match=r"nothing in .*: put https"):
        pendigits_raw(source, root)


def test_an_unknown_word_is_an_error(root):
    with pytest.raises(ValueError, match="source 'uci'; expected one of auto, raw, shared, download, synthetic"):
        pendigits_raw("uci", root)


@pytest.mark.parametrize(
    ("name", "data"),
    {
        "any.zip": b"no zip at all",
        f"{PENDIGITS}.Z": b"no LZW",
        "cut.zip": None,
        "without.zip": None,
        "bomb.zip": None,
    }.items(),
)
def test_a_damaged_file_is_named_and_not_passed_over(root, name, data):
    path = root / DROP / name
    if name == "cut.zip":
        zipped(path, **{PENDIGITS: TEXT})
        path.write_bytes(path.read_bytes()[:-30])
    elif name == "without.zip":
        zipped(path, **{"readme.txt": b"x"})
    elif name == "bomb.zip":
        zipped(path, **{PENDIGITS: bytes(sources.LIMIT + 1)})
    else:
        path.write_bytes(data)
    put(root.parent / "elsewhere", "plain")
    with pytest.raises(ValueError, match=f"{name} is damaged or another file"):
        pendigits_raw("auto", root)


@pytest.mark.parametrize("flip", range(3, 200, 7))
def test_damaged_lzw_never_fails_in_another_way(root, flip):
    data = bytearray(compressed(TEXT))
    data[flip % len(data)] ^= 255
    (root / DROP / f"{PENDIGITS}.Z").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            message = (
                pendigits_raw("raw", root).provenance["file"] + ".Z is damaged in a way that only its checksum shows"
            )
        except ValueError as error:
            message = str(error)
    assert f"{PENDIGITS}.Z is damaged" in message


def test_another_file_than_the_known_one_is_read_with_a_warning(root):
    put(root / DROP, "plain")
    with pytest.warns(UserWarning, match="is not the known"):
        raw = pendigits_raw("raw", root)
    assert not raw.provenance["sha256_known"]
    assert raw.provenance["source"] == raw.provenance["licence"] == "unknown"
    assert "UCI pen-digits" not in source_name("unknown")


@pytest.mark.parametrize("change", ["none", "a blank line", "a comment", "flipped bits", "no first line"])
def test_synthetic_data_under_the_real_name_never_passes_as_the_real_thing(root, change):
    data = synthetic.synthetic_pendigits(0, writers=1, digits_per_writer=10)
    variants = {
        "none": [data],
        "a blank line": [b"\n" + data],
        "a comment": [b".COMMENT mine\n" + data],
        "flipped bits": [data[:k] + bytes([data[k] ^ 1]) + data[k + 1 :] for k in range(len(synthetic.HEADER) - 1)],
        "no first line": [data.partition(b"\n")[2]],  # nobody can know it, but it is not UCI's
    }[change]
    for variant in variants:
        (root / DROP / PENDIGITS).write_bytes(variant)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pendigits_raw("raw", root).provenance["source"]
        assert found == ("unknown" if change == "no first line" else "synthetic")


def test_lzw_with_a_full_table_is_read(root):
    """Long enough for the codes to grow from 9 bits to 16 and for the table to fill up."""
    text = synthetic.synthetic_pendigits(0, writers=8, digits_per_writer=150)
    (root / DROP / f"{PENDIGITS}.Z").write_bytes(compressed(text))
    assert pendigits_raw("raw", root).data == text
