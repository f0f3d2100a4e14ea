"""Releasing new images: no name and no metadata gets out, nothing half-written, nothing unaudited."""

import csv
import json
import shutil
import stat
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from test_code_encoder import fresh

from anonrep.data.codebook import Codebook
from anonrep.data.image_files import ImageTreeError
from anonrep.data.image_folder import load_folder, read
from anonrep.methods.code_encoder import make_codebook, save_encoder
from anonrep.networks import Autoencoder, Players
from anonrep.release import folder as module
from anonrep.release.anonymiser import Anonymiser, audited, change, load
from anonrep.release.folder import REFUSALS, ReleaseRefused, png, release_folder
from anonrep.stages.checkpoints import save_players
from anonrep.utils.files import read_json, write_json, write_sealed
from anonrep.utils.seeds import seeded_initialisation

SHAPE = (9, 8)
ARCHITECTURE = {
    **{"height": 9, "width": 8, "n_private": 3, "hidden": 4},
    **{"channels": 2, "adversary_channels": 2, "variational": True},
}
SECRETS = ("anna", "bertil", "cleo", "holiday", "Hasselblad", "pytest")


def grey(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def photographs(folder: Path, n: int, *, first: int = 0, shape: tuple[int, int] = SHAPE) -> Path:
    """n images of each of three people, with a camera's name and a place in their metadata."""
    exif = Image.Exif()
    exif[0x010F], exif[0x010E] = "Hasselblad", "anna on holiday"
    exif.get_ifd(0x8825)[1] = "N"
    for i, person in enumerate(("anna", "bertil", "cleo")):
        for j in range(first, first + n):
            (folder / person).mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(grey(1000 * (i + 1) + j, shape))
            image.save(folder / person / f"holiday-{j}.png", exif=exif)
    return folder


def facts(model: Anonymiser, usual: float = 1.0, collapsed: str | None = None) -> dict:
    """What an audit of the model would have written."""
    data = {"name": "own images", "source": "own", "private": "person", "size": list(SHAPE), "people": 3}
    data |= {"people_in_test": 3, "images": {"train": 80, "validation": 20, "test": 20}, "chance": 0.3}
    data |= {"sha256": "0", "resized": False, "inverted": False, "turned_to_grey": 0}
    row = {"on": "released", "m": 1, "attacker": "svm", "accuracy": 0.4, "low": 0.22, "high": 0.61, "n": 20}
    row["n_train"] = 80
    model_facts = {**model.facts(), "audited": True, "collapsed": collapsed}
    return {"data": data, "model": model_facts, "attackers": [row], "certificate": None, "utility": [], "usual": usual}


def made(folder: Path, **options: object) -> Path:
    """An untrained finite model on photographs, its weights large, so that images differ; with an audit."""
    data = load_folder(photographs(folder / "images", 40), **options)
    with seeded_initialisation(0):
        shape = {key: ARCHITECTURE[key] for key in ("height", "width", "hidden", "channels")}
        autoencoder = Autoencoder(**shape).eval()
    for weight in autoencoder.parameters():
        weight.data *= 3
    encoder, path = fresh(autoencoder), folder / "models" / "codes-40-seed-0"
    codes = make_codebook(autoencoder, encoder, data).codes
    codewords = np.stack([grey(i) for i in range(codes.max() + 1)])  # an untrained decoder's are nearly constant
    Codebook(codewords, codes).save(path.with_suffix(".npz"), {})
    save_encoder(path, encoder, ARCHITECTURE, provenance=data.provenance, lam=0.5, seed=0)
    write_sealed(f"{path}.audit.json", facts(load(path)))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model's folder to copy from."""
    return made(tmp_path_factory.mktemp("made")).parents[1]


@pytest.fixture
def path(trained, tmp_path):
    """A model of one's own."""
    shutil.copytree(trained / "models", tmp_path / "models")
    return tmp_path / "models" / "codes-40-seed-0"


@pytest.fixture
def new(tmp_path):
    """New photographs of the same people."""
    return photographs(tmp_path / "new", 4, first=100)


def images(folder: Path) -> dict[str, np.ndarray]:
    return {file.name: np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))}


def redrawn(path: Path, folder: Path) -> dict[str, bytes]:
    """What should be released for each file, by its name."""
    files = sorted(folder.rglob("*.png"))
    found = load(path).redraw(np.stack([np.asarray(Image.open(file)) for file in files]))
    return {file.relative_to(folder).as_posix(): png(image) for file, image in zip(files, found, strict=True)}


def adversarial(folder: Path, provenance: dict, **description: object) -> Path:
    players = Players.build(**ARCHITECTURE, seed=1)
    save_players(folder / "seed-1", players, ARCHITECTURE, provenance=provenance, **description)
    return folder / "seed-1"


def everything(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# --- what is written


@pytest.mark.parametrize("kind", ["finite", "adversarial"])
def test_every_image_becomes_a_numbered_file_beside_the_card(kind, path, new, tmp_path):
    if kind == "adversarial":
        path = adversarial(tmp_path / "game", load(path).provenance, lam=0.5, seed=1, collapsed=None)
        write_sealed(f"{path}.audit.json", facts(load(path)))
    card = release_folder(f"{path}.safetensors", new, tmp_path / "out")
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {f"{i:02d}.png" for i in range(1, 13)} | {"privacy-card.html", "privacy-card.json"}
    released = Counter(file.read_bytes() for file in (tmp_path / "out").glob("*.png"))
    assert released == Counter(redrawn(path, new).values())
    assert len(released) > 3  # a model that releases one image would pass everything here
    if kind == "finite":
        codewords = {codeword.tobytes() for codeword in Codebook.load(f"{path}.npz").images}
        assert all(image.tobytes() in codewords for image in images(tmp_path / "out").values())
    assert read_json(tmp_path / "out/privacy-card.json") == json.loads(json.dumps(card))
    assert card["release"] == {"images": 12, "unlike": 0, "synthetic": False}
    assert (card["model"]["kind"], card["model"]["lam"], card["forced"]) == (kind, 0.5, [])


def test_no_name_no_place_and_no_metadata_gets_out(path, new, tmp_path):
    """Every byte of the release, in the files as they are and in the text of the cards."""
    release_folder(path, new, tmp_path / "out", mapping=tmp_path / "which.csv")
    for file in (tmp_path / "out").iterdir():
        data = file.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in data], file.name
        if file.suffix == ".png":
            picture = Image.open(file)
            assert not picture.getexif()
            assert not picture.info
            assert chunks(data) == ["IHDR", "IDAT", "IEND"]


def chunks(data: bytes) -> list[str]:
    """The names of a PNG's chunks."""
    found, at = [], 8
    while at < len(data):
        found.append(data[at + 4 : at + 8].decode())
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return found


@pytest.mark.parametrize("which", ["model", "images"])
def test_what_is_synthetic_stays_so_in_every_file(which, path, new, tmp_path):
    """Read back, a release of a program's drawings is synthetic again, whichever side they came in by."""
    if which == "model":
        description = read_json(f"{path}.json")
        description["provenance"]["source"] = "synthetic"
        write_json(f"{path}.json", description)
        given = load(path)
        write_sealed(f"{path}.audit.json", facts(given) | {"data": facts(given)["data"] | {"source": "synthetic"}})
    else:
        for file in new.rglob("*.png"):
            file.write_bytes(png(np.asarray(Image.open(file)), "Synthetic"))
    assert read(new).synthetic == (which == "images")
    card = release_folder(path, new, tmp_path / "out")
    assert card["notices"][0].startswith("Synthetic")
    for file in (tmp_path / "out").glob("privacy-card.*"):
        file.unlink()
    assert read(tmp_path / "out").synthetic


def test_the_order_is_nobodys_to_repeat_and_the_mapping_its_owners_alone(path, new, tmp_path):
    orders, expected = [], redrawn(path, new)
    for i, seed in enumerate((None, None, None, 3, 3)):
        out, mapping = tmp_path / f"out{i}", tmp_path / f"secret/{i}.csv"
        release_folder(path, new, out, mapping=mapping, order_seed=seed)
        orders.append(mapping.read_text())
        header, *rows = csv.reader(orders[-1].splitlines())
        assert header == ["released", "original"]
        assert sorted(original for _, original in rows) == sorted(expected)
        assert all((out / name).read_bytes() == expected[original] for name, original in rows)
        assert stat.S_IMODE(mapping.stat().st_mode) == 0o600
    assert len(set(orders)) == 4
    assert orders[3] == orders[4]


# --- reading as in training


@pytest.mark.parametrize("options", [{"invert": True}, {"size": SHAPE}], ids=["ink on paper", "resized"])
def test_new_images_are_read_as_the_training_images_were(options, tmp_path):
    path = made(tmp_path, **options)
    shape = (27, 16) if "size" in options else SHAPE
    release_folder(path, photographs(tmp_path / "new", 3, first=100, shape=shape), tmp_path / "out")
    codewords = Codebook.load(f"{path}.npz").images
    seen = {codeword.tobytes() for codeword in (255 - codewords if "invert" in options else codewords)}
    assert all(image.tobytes() in seen for image in images(tmp_path / "out").values())


def test_wrong_new_images_are_named_and_nothing_is_written(path, new, tmp_path):
    large = photographs(tmp_path / "large", 2, shape=(27, 16))
    with pytest.raises(ValueError, match=r"large: images of 27 x 16 pixels; expected 9 x 8"):
        release_folder(path, large, tmp_path / "out")
    (new / "anna/broken.png").write_bytes(b"")
    with pytest.raises(ImageTreeError, match=r"anna/broken\.png: unreadable"):
        release_folder(path, new, tmp_path / "out")
    assert {file.name for file in tmp_path.iterdir()} == {"models", "new", "large"}


def test_unlike_images_are_counted(path, new, tmp_path):
    differences = change(*(np.stack([grey(1), grey(2)]), np.stack([grey(2), grey(2)])))
    assert differences[1] == 0
    assert differences[0] == pytest.approx(np.square(grey(1) / 255 - grey(2) / 255).mean(), rel=1e-5)
    write_sealed(f"{path}.audit.json", facts(load(path), usual=0.0))
    assert release_folder(path, new, tmp_path / "out")["release"]["unlike"] == 12


# --- what is refused


def refused(path: Path, folder: Path, out: Path, **options: object) -> tuple[str, ...]:
    with pytest.raises(ReleaseRefused) as error:
        release_folder(path, folder, out, **options)
    assert not out.exists()
    assert all(repr(reason) in str(error.value) for reason in error.value.reasons)
    return error.value.reasons


def test_an_unaudited_model_is_refused_unless_forced(path, new, tmp_path):
    Path(f"{path}.audit.json").unlink()
    assert refused(path, new, tmp_path / "out") == ("unaudited",)
    assert refused(path, new, tmp_path / "out", force=["collapsed"]) == ("unaudited",)
    with pytest.raises(ValueError, match="force names haste; expected some of collapsed, unaudited"):
        release_folder(path, new, tmp_path / "out", force=["haste"])
    card = release_folder(path, new, tmp_path / "out", force=["unaudited"])
    assert (card["forced"], card["model"]["audited"], card["release"]["unlike"]) == (["unaudited"], False, None)
    assert len(images(tmp_path / "out")) == 12


@pytest.mark.parametrize("changed", ["weights", "codewords"])
def test_an_audit_of_other_files_does_not_count(changed, path, new, tmp_path):
    if changed == "weights":
        weights = load_file(f"{path}.safetensors")
        name = next(key for key in weights if key.startswith("head") and weights[key].is_floating_point())
        weights[name].view(-1)[0] += 1e-3
        save_file(weights, f"{path}.safetensors")
    else:
        book = Codebook.load(f"{path}.npz")
        book.images[0, 0, 0] ^= 1
        book.save(f"{path}.npz", {})
    assert refused(path, new, tmp_path / "out") == ("unaudited",)


def test_a_collapsed_model_is_refused_and_gets_no_number(path, new, tmp_path):
    write_sealed(f"{path}.audit.json", facts(load(path), collapsed="collapsed: its output is nearly constant"))
    assert refused(path, new, tmp_path / "out") == ("collapsed",)
    card = release_folder(path, new, tmp_path / "out", force=["collapsed"])
    assert (card["forced"], card["attackers"], card["certificate"]) == (["collapsed"], [], None)


def test_a_game_that_collapsed_is_refused_by_its_own_record(path, new, tmp_path):
    description = {"lam": 2, "seed": 1, "collapsed": "collapsed in epoch 3 of the private phase"}
    lost = adversarial(tmp_path / "game", load(path).provenance, **description)
    assert refused(lost, new, tmp_path / "out") == ("collapsed", "unaudited")
    assert refused(lost, new, tmp_path / "out", force=["collapsed"]) == ("unaudited",)
    card = release_folder(lost, new, tmp_path / "out", force=REFUSALS)
    assert card["forced"] == ["collapsed", "unaudited"]
    assert any("collapsed in epoch 3 of the private phase" in notice for notice in card["notices"])


def test_a_prepared_model_hides_nobody_and_is_never_released(path, new, tmp_path):
    prepared = adversarial(tmp_path / "start", load(path).provenance, game={})
    with pytest.raises(ValueError, match="prepared and not trained at a lambda: it copies images and hides nobody"):
        release_folder(prepared, new, tmp_path / "out", force=REFUSALS)


# --- models


def test_a_model_that_was_moved_and_renamed_keeps_its_lambda_and_its_audit(path, new, tmp_path):
    for kind in ("safetensors", "json", "npz", "audit.json"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        Path(f"{path}.{kind}").rename(tmp_path / f"elsewhere/mine.{kind}")
    moved = load(tmp_path / "elsewhere/mine.safetensors")
    assert (moved.lam, moved.seed) == (0.5, 0)
    assert release_folder(tmp_path / "elsewhere/mine", new, tmp_path / "out")["model"]["audited"]


@pytest.mark.parametrize("kind", ["json", "safetensors", "npz"])
def test_a_missing_damaged_or_unfitting_part_is_named(kind, path):
    file = Path(f"{path}.{kind}")
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=rf"codes-40-seed-0\.{kind} .*notebooks/own_images\.ipynb"):
        load(path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=rf"codes-40-seed-0\.{kind} is missing"):
        load(path)
    if kind == "npz":
        Codebook(np.zeros((2, *SHAPE), np.uint8), np.zeros(3, np.int64)).save(file, {})
        with pytest.raises(ValueError, match=r"codes-40-seed-0\.npz holds \(2, 9, 8\); expected \d+ codewords"):
            load(path)


@pytest.mark.parametrize("kind", ["json", "audit.json"])
def test_no_flipped_bit_of_a_description_or_an_audit_goes_unnoticed(kind, path):
    """Otherwise one bit could make a bound of 0.089 one of 0.009, and synthetic data real."""
    file, honest = Path(f"{path}.{kind}"), audited(path, load(path))
    whole = file.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 100)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        with suppress(ValueError):  # a damaged file is an error, and no other audit
            assert audited(path, load(path)) in (None, honest)


# --- places


def test_nothing_that_exists_is_mixed_or_lost(path, new, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine"
    release_folder(path, new, out, mapping=tmp_path / "which.csv")
    (tmp_path / "notes.csv").write_text("file,mood")
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    before = everything(tmp_path)
    for place, options, part in (
        (out, {}, "or give replace=True"),
        (tmp_path / "other", {"mapping": tmp_path / "which.csv"}, "or give replace=True"),
        (out, {"mapping": tmp_path / "notes.csv", "replace": True}, "it is no earlier mapping"),
        (mine, {"replace": True}, "it is no earlier release"),
    ):
        with pytest.raises(FileExistsError, match=part):
            release_folder(path, new, place, **options)
    assert everything(tmp_path) == before
    release_folder(path, photographs(tmp_path / "few", 1), out, replace=True, mapping=tmp_path / "which.csv")
    assert len(images(out)) == 3
    assert len((tmp_path / "which.csv").read_text().splitlines()) == 4


def test_places_inside_one_another_are_refused(path, new, tmp_path):
    for out in (new / "out", new, tmp_path):
        with pytest.raises(ValueError, match="lie inside one another"):
            release_folder(path, new, out)
    for mapping in ("out/deep/which.csv", "out", "out/../out/which.csv"):
        with pytest.raises(ValueError, match="would be published with the release"):
            release_folder(path, new, tmp_path / "out", mapping=tmp_path / mapping)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["png", "write_card", "_write_mapping", "rename"])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_release_is_whole_or_not_there(where, earlier, path, new, tmp_path, monkeypatch):
    out, mapping, rename = tmp_path / "out", tmp_path / "which.csv", Path.rename
    if earlier:
        release_folder(path, new, out, mapping=mapping)
    before = everything(tmp_path)

    def full(self: object = None, *given: object, **_: object) -> object:
        if where == "rename" and self.name != "room":  # the new folder alone cannot take its place
            return rename(self, *given)
        raise OSError("no space left on device")

    if where == "rename":
        monkeypatch.setattr(Path, "rename", full)
    else:
        monkeypatch.setattr(module, where, full)
    with pytest.raises(OSError, match="no space"):
        release_folder(path, new, out, mapping=mapping, replace=earlier)
    assert everything(tmp_path) == before
    assert out.exists() == earlier


def test_an_earlier_release_survives_a_kill_during_its_replacement(path, new, tmp_path):
    out = tmp_path / "out"
    release_folder(path, new, out)
    before = everything(out)
    put_by = tmp_path / ".out-partial-99999999-abcdefgh"  # a number that no process has
    put_by.mkdir()
    out.rename(put_by / "earlier")
    with pytest.raises(FileExistsError, match=r"was killed while it replaced it"):
        release_folder(path, new, out)
    assert everything(out) == before
    assert not put_by.exists()
    release_folder(path, new, out, replace=True)
