"""Releasing new images: nothing of their names and metadata gets out, nothing half-written, nothing unaudited."""

import csv
import json
import shutil
import stat
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from test_code_encoder import fresh

from anonrep.data.codebook import Codebook
from anonrep.data.folder_reader import read
from anonrep.data.image_folder import load_folder
from anonrep.data.image_tree import ImageTreeError
from anonrep.methods.code_encoder import make_codebook, save_encoder
from anonrep.networks import Autoencoder, Players
from anonrep.release.anonymiser import Anonymiser, audited, change, load
from anonrep.release.folder import ReleaseRefused, png, release, release_folder
from anonrep.release.privacy_card import USUAL
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
    data |= {"people_in_test": 3, "images": {"train": 80, "validation": 20, "test": 20}, "blind": 0.3}
    data |= {"sha256": "0", "resized": False, "inverted": False, "turned_to_grey": 0}
    row = {"on": "released", "m": 1, "attacker": "svm", "accuracy": 0.4, "low": 0.22, "high": 0.61, "n": 20}
    model_facts = {**model.facts(), "audited": True, "collapsed": collapsed}
    return {"data": data, "model": model_facts, "attackers": [row], "certificate": None, "kept": [], "usual": usual}


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
    pictures = np.stack([grey(i) for i in range(codes.max() + 1)])  # an untrained decoder's are all but constant
    Codebook(pictures, codes).save(path.with_suffix(".npz"), {})
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


# --- what is written


def test_every_image_becomes_a_numbered_picture_beside_the_card(path, new, tmp_path):
    card = release_folder(path, new, tmp_path / "out")
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {f"{i:02d}.png" for i in range(1, 13)} | {"privacy-card.html", "privacy-card.json"}
    pictures = {picture.tobytes() for picture in Codebook.load(f"{path}.npz").images}
    assert all(image.tobytes() in pictures for image in images(tmp_path / "out").values())
    released = Counter(file.read_bytes() for file in (tmp_path / "out").glob("*.png"))
    assert released == Counter(redrawn(path, new).values())
    assert len(released) > 3  # a model that releases one picture would pass everything here
    assert read_json(tmp_path / "out/privacy-card.json") == json.loads(json.dumps(card))
    assert card["release"] == {"images": 12, "unlike": 0, "synthetic": False}
    assert card["model"]["lam"] == 0.5


def test_no_name_no_place_and_no_metadata_gets_out(path, new, tmp_path):
    """Every byte of the release, in the files as they are and in the text of the cards."""
    release_folder(path, new, tmp_path / "out", mapping=tmp_path / "which.csv")
    for file in (tmp_path / "out").iterdir():
        data = file.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in data, f"{secret} in {file.name}"
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
            file.write_bytes(png(np.asarray(Image.open(file)), synthetic=True))
    card = release_folder(path, new, tmp_path / "out")
    assert card["notices"][0].startswith("Synthetic")
    for file in (tmp_path / "out").glob("privacy-card.*"):
        file.unlink()
    assert read(tmp_path / "out").synthetic
    assert read(new).synthetic == (which == "images")


def test_the_order_is_nobodys_to_repeat_but_by_a_seed(path, new, tmp_path):
    orders = []
    for i, seed in enumerate((None, None, None, 3, 3)):
        release_folder(path, new, tmp_path / f"out{i}", mapping=tmp_path / f"which{i}.csv", order_seed=seed)
        orders.append((tmp_path / f"which{i}.csv").read_text())
    assert len(set(orders)) == 4
    assert orders[3] == orders[4]
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("out3", "out4"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]


def test_the_mapping_is_right_and_its_owners_alone(path, new, tmp_path):
    release_folder(path, new, tmp_path / "out", mapping=tmp_path / "secret/which.csv")
    with (tmp_path / "secret/which.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["released", "original"]
    expected = redrawn(path, new)
    assert sorted(original for _, original in rows) == sorted(expected)
    assert all((tmp_path / "out" / name).read_bytes() == expected[original] for name, original in rows)
    assert stat.S_IMODE((tmp_path / "secret/which.csv").stat().st_mode) == 0o600


@pytest.mark.parametrize(("n", "first"), [(3, "1.png"), (4, "01.png"), (34, "001.png")])
def test_numbers_have_as_many_figures_as_are_needed(n, first, path, tmp_path):
    release_folder(path, photographs(tmp_path / "new", n, first=100), tmp_path / "out")
    assert min(images(tmp_path / "out")) == first


def test_images_may_lie_flat(path, tmp_path):
    (tmp_path / "new").mkdir()
    for i in range(3):
        Image.fromarray(grey(i)).save(tmp_path / f"new/{i}.png")
    assert release_folder(path, tmp_path / "new", tmp_path / "out")["release"]["images"] == 3


# --- reading as in training


def test_ink_on_paper_comes_back_as_ink_on_paper(tmp_path):
    path = made(tmp_path, invert=True)
    release_folder(path, photographs(tmp_path / "new", 3, first=100), tmp_path / "out")
    pictures = {(255 - picture).tobytes() for picture in Codebook.load(f"{path}.npz").images}
    assert all(image.tobytes() in pictures for image in images(tmp_path / "out").values())


def test_new_images_are_resized_where_the_training_images_were(tmp_path):
    path = made(tmp_path, size=SHAPE)
    large = photographs(tmp_path / "new", 3, first=100, shape=(27, 16))
    release_folder(path, large, tmp_path / "out")
    assert {image.shape for image in images(tmp_path / "out").values()} == {SHAPE}


def test_new_images_of_another_size_are_named(path, tmp_path):
    with pytest.raises(ValueError, match=r"new: images of 27 x 16 pixels; expected 9 x 8, as the model was trained on"):
        release_folder(path, photographs(tmp_path / "new", 2, shape=(27, 16)), tmp_path / "out")


def test_bad_new_images_are_named_and_nothing_is_written(path, new, tmp_path):
    (new / "anna/broken.png").write_bytes(b"")
    with pytest.raises(ImageTreeError, match=r"anna/broken\.png: unreadable"):
        release_folder(path, new, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageTreeError, match="no images"):
        release_folder(path, tmp_path / "empty", tmp_path / "out")
    assert {file.name for file in tmp_path.iterdir()} == {"models", "new", "empty"}


def test_unlike_images_are_counted(path, new, tmp_path):
    differences = change(*(np.stack([grey(1), grey(2)]), np.stack([grey(2), grey(2)])))
    assert differences[1] == 0
    assert differences[0] == pytest.approx(np.square(grey(1) / 255 - grey(2) / 255).mean(), rel=1e-5)
    write_sealed(f"{path}.audit.json", facts(load(path), usual=0.0))
    card = release_folder(path, new, tmp_path / "out")
    assert card["release"]["unlike"] == 12
    assert "12 of these 12 images are further" in card["notices"][0]
    assert f"{100 * USUAL:.1f} %" in card["notices"][0]


# --- what is refused


def refused(path: Path, folder: Path, out: Path, **options: object) -> tuple[str, ...]:
    with pytest.raises(ReleaseRefused) as error:
        release_folder(path, folder, out, **options)
    assert not out.exists()
    assert all(repr(reason) in str(error.value) for reason in error.value.reasons)
    return error.value.reasons


def test_an_unaudited_model_is_refused_unless_told_otherwise(path, new, tmp_path):
    Path(f"{path}.audit.json").unlink()
    assert refused(path, new, tmp_path / "out") == ("unaudited",)
    assert refused(path, new, tmp_path / "out", despite=["collapsed"]) == ("unaudited",)
    card = release_folder(path, new, tmp_path / "out", despite=["unaudited"])
    assert (card["against"], card["model"]["audited"], card["release"]["unlike"]) == (["unaudited"], False, None)
    assert [row["says"] for row in card["statements"]] == ["Nothing is known about the privacy of these images."]
    assert len(images(tmp_path / "out")) == 12


def test_an_audit_of_other_weights_is_none(path, new, tmp_path):
    weights = load_file(f"{path}.safetensors")
    name = next(key for key in weights if key.startswith("head") and weights[key].is_floating_point())
    before = load(path).sha256
    weights[name].view(-1)[0] += 1e-3
    save_file(weights, f"{path}.safetensors")
    after = load(path).sha256
    assert [before[file] == after[file] for file in before] == [False, True, True]
    assert refused(path, new, tmp_path / "out") == ("unaudited",)


def test_an_audit_of_other_pictures_is_none(path, new, tmp_path):
    book = Codebook.load(f"{path}.npz")
    book.images[0, 0, 0] ^= 1
    before = load(path).sha256
    book.save(f"{path}.npz", {})
    assert [before[file] == digest for file, digest in load(path).sha256.items()] == [True, True, False]
    assert refused(path, new, tmp_path / "out") == ("unaudited",)


def test_a_collapsed_model_is_refused_and_has_no_number(path, new, tmp_path):
    write_sealed(f"{path}.audit.json", facts(load(path), collapsed="collapsed: its output is all but constant"))
    assert refused(path, new, tmp_path / "out") == ("collapsed",)
    card = release_folder(path, new, tmp_path / "out", despite=["collapsed"])
    assert (card["against"], card["attackers"], card["certificate"]) == (["collapsed"], [], None)
    assert any("no evidence of privacy" in notice for notice in card["notices"])


def test_a_game_that_collapsed_is_refused_by_its_own_record(path, new, tmp_path):
    description = {"lam": 2, "seed": 1, "collapsed": "collapsed in epoch 3 of the private phase"}
    lost = adversarial(tmp_path / "game", load(path).provenance, **description)
    assert refused(lost, new, tmp_path / "out") == ("collapsed", "unaudited")
    assert refused(lost, new, tmp_path / "out", despite=["collapsed"]) == ("unaudited",)
    card = release_folder(lost, new, tmp_path / "out", despite=release.REFUSALS)
    assert card["against"] == ["collapsed", "unaudited"]
    assert any("collapsed in epoch 3 of the private phase" in notice for notice in card["notices"])


def test_a_prepared_model_hides_nobody_and_is_never_released(path, new, tmp_path):
    prepared = adversarial(tmp_path / "start", load(path).provenance, game={})
    with pytest.raises(ValueError, match="prepared and not trained at a lambda: it copies images and hides nobody"):
        release_folder(prepared, new, tmp_path / "out", despite=release.REFUSALS)


def test_an_unknown_excuse_is_named(path, new, tmp_path):
    with pytest.raises(ValueError, match="despite names haste; expected some of collapsed, unaudited"):
        release_folder(path, new, tmp_path / "out", despite=["haste"])


# --- models


def test_a_model_that_plays_is_released_with_its_audit(path, new, tmp_path):
    game = adversarial(tmp_path / "game", load(path).provenance, lam=2, seed=1, collapsed=None)
    model = load(game)
    assert (model.pictures, model.lam, model.seed) == (None, 2, 1)
    assert set(model.sha256) == {"seed-1.safetensors", "seed-1.json"}
    write_sealed(f"{game}.audit.json", facts(model))
    assert audited(game, model) == facts(model)
    card = release_folder(f"{game}.safetensors", new, tmp_path / "out")
    assert card["model"]["kind"] == "adversarial"
    assert any("no certificate" in line for line in card["not_covered"])
    released = Counter(file.read_bytes() for file in (tmp_path / "out").glob("*.png"))
    assert released == Counter(redrawn(game, new).values())


def test_a_model_that_was_moved_and_renamed_keeps_its_lambda_and_its_audit(path, new, tmp_path):
    for kind in ("safetensors", "json", "npz", "audit.json"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        Path(f"{path}.{kind}").rename(tmp_path / f"elsewhere/mine.{kind}")
    moved = load(tmp_path / "elsewhere/mine.safetensors")
    assert (moved.lam, moved.seed) == (0.5, 0)
    assert release_folder(tmp_path / "elsewhere/mine", new, tmp_path / "out")["model"]["audited"]


def test_pictures_that_do_not_fit_are_named(path):
    Codebook(np.zeros((2, *SHAPE), np.uint8), np.zeros(3, np.int64)).save(f"{path}.npz", {})
    with pytest.raises(
        ValueError, match=r"codes-40-seed-0\.npz: pictures \(2, 9, 8\) for \d+ codes of images \(9, 8\)"
    ):
        load(path)


@pytest.mark.parametrize("kind", ["json", "safetensors", "npz"])
def test_a_missing_part_is_named(kind, path):
    Path(f"{path}.{kind}").unlink()
    with pytest.raises(FileNotFoundError, match=rf"codes-40-seed-0\.{kind} is missing"):
        load(path)


@pytest.mark.parametrize("kind", ["json", "safetensors", "npz"])
def test_a_damaged_part_is_named_with_what_makes_it_again(kind, path):
    file = Path(f"{path}.{kind}")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(ValueError, match=rf"codes-40-seed-0\.{kind} .*notebooks/own_images\.ipynb"):
        load(path)


@pytest.mark.parametrize("kind", ["json", "audit.json"])
def test_no_bit_of_a_description_or_an_audit_turns_unseen(kind, path, new, tmp_path):
    """Or one bit could make a bound of 0.089 one of 0.009, and synthetic data real."""
    file, honest = Path(f"{path}.{kind}"), audited(path, load(path))
    whole = file.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 300)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        found, said = None, "codes-40-seed-0"
        try:
            found = audited(path, load(path))
        except ValueError as error:
            said = str(error)
        assert found in (None, honest)
        assert "codes-40-seed-0" in said


# --- places


def test_what_is_there_is_never_mixed_or_lost(path, new, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine"
    release_folder(path, new, out, mapping=tmp_path / "which.csv")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(FileExistsError, match=r"out is there already; expected a new folder: or say replace=True"):
        release_folder(path, new, out)
    with pytest.raises(FileExistsError, match=r"which\.csv is there already.* or say replace=True"):
        release_folder(path, new, tmp_path / "other", mapping=tmp_path / "which.csv")
    (tmp_path / "notes.csv").write_text("file,mood")
    with pytest.raises(FileExistsError, match="it is no earlier list of names, which could be replaced"):
        release_folder(path, new, out, mapping=tmp_path / "notes.csv", replace=True)
    assert (tmp_path / "notes.csv").read_text() == "file,mood"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="it is no earlier release, which could be replaced"):
        release_folder(path, new, mine, replace=True)
    assert (mine / "letter.txt").read_text() == "dear"
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    release_folder(path, photographs(tmp_path / "few", 1), out, replace=True, mapping=tmp_path / "which.csv")
    assert len(images(out)) == 3
    assert len((tmp_path / "which.csv").read_text().splitlines()) == 4


def test_places_inside_one_another_are_refused(path, new, tmp_path):
    for out in (new / "out", new, tmp_path):
        with pytest.raises(ValueError, match="lie inside one another"):
            release_folder(path, new, out)
    for mapping in ("out/which.csv", "out/deep/which.csv", "out", "out/../out/which.csv"):
        with pytest.raises(ValueError, match="would be published with the release"):
            release_folder(path, new, tmp_path / "out", mapping=tmp_path / mapping)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["png", "privacy_card.write", "_write_table"])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_release_is_whole_or_not_there(where, earlier, path, new, tmp_path, monkeypatch):
    out, mapping = tmp_path / "out", tmp_path / "which.csv"
    if earlier:
        release_folder(path, new, out, mapping=mapping)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(f"anonrep.release.folder.{where}", full)
    with pytest.raises(OSError, match="no space"):
        release_folder(path, new, out, mapping=mapping, replace=earlier)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert out.exists() == earlier


def test_an_earlier_release_survives_when_the_new_one_cannot_take_its_place(path, new, tmp_path, monkeypatch):
    out = tmp_path / "out"
    release_folder(path, new, out)
    before, rename = {file.name: file.read_bytes() for file in out.iterdir()}, Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "room":
            raise OSError("busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="busy"):
        release_folder(path, new, out, replace=True, mapping=tmp_path / "which.csv")
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert not (tmp_path / "which.csv").exists()


def test_an_earlier_release_survives_a_kill_between_its_going_and_the_new_ones_coming(path, new, tmp_path):
    out = tmp_path / "out"
    release_folder(path, new, out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    put_by = tmp_path / ".out-partial-99999999-abcdefgh"  # a number that no process has
    put_by.mkdir()
    out.rename(put_by / "earlier")
    with pytest.raises(FileExistsError, match=r"put by when a release was killed: say replace=True"):
        release_folder(path, new, out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert not put_by.exists()
    release_folder(path, new, out, replace=True)
