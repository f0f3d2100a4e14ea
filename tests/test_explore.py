"""The explorer without a browser: what it shows is what the pipeline left, and it says what is missing or collapsed."""

import base64
import io
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

from anonrep.data.dataset import Dataset
from anonrep.data.pendigits import build
from anonrep.data.synthetic.pendigits import synthetic_pendigits
from anonrep.data.unipen import parse_unipen
from anonrep.game import reconstruct
from anonrep.methods.code_encoder import CodeEncoder, make_codebook, save_encoder
from anonrep.networks import Players
from anonrep.reports import explore_html
from anonrep.reports.explore import Explorer, Pad, Walk
from anonrep.reports.explore_data import ALL, Artefacts, Missing, load
from anonrep.reports.explore_html import Curves, difference, lambda_slider
from anonrep.reports.explore_run import NEIGHBOURS, Run, believe, drawing
from anonrep.reports.old_elements import STOPS, picture, slider
from anonrep.stages.checkpoints import save_players
from anonrep.utils.files import read_json, write_json
from anonrep.utils.images import to_tensor
from anonrep.utils.seeds import seeded_initialisation

LAMBDAS, SEEDS = (0, 0.5, 2), {"faithful": (0,), "stabilised": (0, 1), "finite": (0, 1)}
LOST = ("faithful", 2)
WHY = "collapsed in epoch 2 of the privacy phase: the output was all but constant"
DIGITS = parse_unipen(synthetic_pendigits(seed=0, writers=3, digits_per_writer=60))
SHAPE = {"height": 20, "width": 20, "n_private": 3, "hidden": 6, "channels": 4, "adversary_channels": 4}
ACCURACY = {("writer", "cnn"): 0.8, ("writer", "svm"): 0.9, ("writer", "neighbours"): 0.7, ("digit", "cnn"): 0.95}


def make_tree(folder: Path) -> Path:
    """A project in `folder` as the pipeline leaves it, in small: untrained players, and metrics made up."""
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "params.yaml").write_text("setting: smoke\n")
    data = build(DIGITS, {"source": "synthetic"}, split_sizes=(2, 1, 1))
    data.save(folder / "data/processed/pendigits.npz")
    accuracy, naturalness, runs, certificate = [], [], [], []
    for seed in (0, 1):
        save_players(folder / f"models/stabilised/start/seed-{seed}", _players(seed), SHAPE | {"variational": False})
        accuracy += _attacked("raw", None, seed, 1.0 - 0.02 * seed)
    for variant, lam, seed in ((v, lam, s) for v in SEEDS for lam in LAMBDAS for s in SEEDS[v]):
        key = {"variant": variant, "lam": lam, "seed": seed, "source": "synthetic"}
        collapsed = WHY if (variant, lam) == LOST else None
        runs.append({**key, "collapsed": collapsed})
        if collapsed:
            continue
        path = folder / f"models/{variant}/lambda-{lam:g}/seed-{seed}.npz"
        release = (_finite if variant == "finite" else _game)(path, data, lam, seed)
        data.released(release, lam=lam, seed=seed).save(path)
        accuracy += _attacked(variant, lam, seed, 0.9 - lam / 10 - 0.02 * seed)
        naturalness.append({**key, "digit_accuracy": 0.85, "ssim": 0.5, "two_sample_accuracy": 0.6})
        if variant == "finite":
            row = {**key, "method": "finite", "codebook": 8, "delta": 0.05, "n": 45}
            certificate += [{**row, "m": m, "bound": 0.6 - lam / 20 + 0.01 * seed + m / 100} for m in (1, 5)]
    for name, rows in (("fig2", accuracy), ("naturalness", naturalness), ("runs", runs), ("certificate", certificate)):
        write_json(folder / f"reports/metrics/{name}.json", rows)
    return folder


def _attacked(variant: str, lam: float | None, seed: int, factor: float) -> list[dict]:
    key = {"variant": variant, "lam": lam, "seed": seed, "source": "synthetic"}
    return [{**key, "task": t, "attacker": a, "accuracy": factor * value} for (t, a), value in ACCURACY.items()]


def _players(seed: int) -> Players:
    """Untrained players whose autoencoder draws something else for everything."""
    players = Players.build(**SHAPE, variational=False, seed=seed)
    players.autoencoder.expand[0].weight.data *= 20
    return players


def _game(path: Path, data: Dataset, lam: float, seed: int) -> np.ndarray:
    players = _players(10 * LAMBDAS.index(lam) + seed)
    save_players(path.with_suffix(""), players, SHAPE | {"variational": False})
    return reconstruct(players.autoencoder, data.images)


def _finite(path: Path, data: Dataset, lam: float, seed: int) -> np.ndarray:
    autoencoder = _players(seed).autoencoder
    with seeded_initialisation(LAMBDAS.index(lam), "head"):
        encoder = CodeEncoder(autoencoder.encoder, autoencoder.mean.in_features, codes=8, units=8)
    for layer in encoder.head:
        layer.momentum = 1.0  # one look at the data sets every scale, or untrained features would have one code
    encoder.train()(to_tensor(data.images))
    book = make_codebook(autoencoder, encoder.eval(), data)
    save_encoder(path.with_name(f"codes-8-{path.stem}"), encoder, SHAPE)
    book.save(path.with_name(f"codes-8-{path.stem}.npz"), data.provenance)
    return book.release()


def opened(folder: Path) -> Artefacts:
    """What the notebook's parameters open."""
    paths = ("data/processed/pendigits.npz", "models", "models/stabilised/start", "reports/metrics")
    return load(*(folder / path for path in paths))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree that tests read; those that break it work on a copy."""
    return make_tree(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def found(tree):
    return opened(tree)


@pytest.fixture
def explorer(found):
    return Explorer(found, "stabilised", setting="smoke")


def pictures(text: str) -> list[np.ndarray]:
    """The images in a text, as arrays."""
    sources = re.findall(r"data:image/png;base64,([^\"]+)", text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]


# --- choosing and numbers


def test_a_person_in_all_digits_a_digit_by_all_people_and_both(found):
    z, digit, test = found.data.z, found.data.attributes["digit"], found.data.split == 2
    one = found.choose(1, ALL)
    assert set(z[one]) == {1}
    assert digit[one].tolist() == sorted(set(digit[test & (z == 1)]))
    many = found.choose(ALL, 3)
    assert set(digit[many]) == {3}
    assert z[many].tolist() == sorted(set(z[test & (digit == 3)]))
    both = found.choose(1, digit[one[0]])
    assert (z[both] == 1).all()
    assert len(both) == np.count_nonzero(test & (z == 1) & (digit == digit[one[0]]))
    assert test[[*one, *many, *both]].all()
    assert len(found.choose(ALL, ALL, most=4)) == 4
    assert found.choose(1, 11) == []


def test_numbers_are_those_of_the_metrics(found):
    assert (found.private, found.kept, found.lambdas) == ("writer", "digit", [0, 0.5, 2])
    assert found.variants == list(SEEDS)
    assert [tuple(found.seeds(variant)) for variant in SEEDS] == list(SEEDS.values())
    raw = found.numbers("raw")
    assert (raw.private, raw.worst, raw.attacker) == (pytest.approx(0.8 * 0.99), pytest.approx(0.9 * 0.99), "svm")
    assert (raw.natural, raw.bound) == (None, None)
    game = found.numbers("stabilised", 2, 1)
    assert (game.kept, game.neighbours) == (pytest.approx(0.95 * 0.68), pytest.approx(0.7 * 0.68))
    assert (game.natural, game.bound) == (0.85, None)
    finite = found.numbers("finite", 2, 1)
    assert (finite.bound, finite.delta) == (pytest.approx(0.52), 0.05), "the bound for one image, of this seed"


# --- releases, redrawing, the walk


@pytest.mark.parametrize("variant", ["stabilised", "finite"])
def test_an_image_redrawn_is_its_release(tree, found, variant):
    run = Run(found, variant, 1)
    for lam, release in run.releases.items():
        assert np.array_equal(release, Dataset.load(tree / f"models/{variant}/lambda-{lam:g}/seed-1.npz").images)
        assert len(np.unique(release, axis=0)) > 1
    for image in found.choose(0, ALL)[:3]:
        redrawn = run.redraw(found.data.images[image])
        assert list(redrawn) == [0, 0.5, 2]
        for lam, release in run.releases.items():
            assert np.abs(redrawn[lam].astype(int) - release[image]).max() <= 1
    assert not np.array_equal(run.releases[0], run.releases[2]), "or the test could not tell one lambda from another"


@pytest.mark.parametrize("variant", ["stabilised", "finite"])
def test_the_walk_passes_through_the_releases_and_between_them_by_small_steps(found, variant):
    run, chosen = Run(found, variant, 0), found.choose(0, ALL)
    frames = run.walk(found.data.images[chosen], steps=16)
    lambdas = [lam for lam, _ in frames]
    assert len(lambdas) == 17
    assert lambdas == sorted(set(lambdas))
    for lam, release in run.releases.items():
        (images,) = [images for at, images in frames if at == lam]
        assert np.abs(images.astype(int) - release[chosen]).max() <= 1

    def distance(one, other):
        return np.abs(one[1].astype(int) - other[1]).mean()

    assert distance(frames[0], frames[1]) < distance(frames[0], frames[8])


def test_a_collapsed_run_has_no_release_and_stays_out_of_the_walk(found):
    run = Run(found, "faithful", 0)
    assert list(run.releases) == [0, 0.5]
    assert run.collapsed == {2: WHY}
    assert run.walk(found.data.images[:2])[-1][0] == 0.5
    assert 2 not in run.redraw(found.data.images[0])


# --- the attacker, the sheet, pictures


def test_the_attacker_knows_whom_it_has_seen_and_learns_nothing_from_one_picture(found):
    train = found.data.subset("train")
    alone = np.zeros((NEIGHBOURS * 3, 20, 20), np.uint8)
    alone[::3] = train.images[0]
    shares = believe(train.images[0], alone, np.arange(len(alone)) % 3, 3)
    np.testing.assert_array_equal(shares, [1, 0, 0])
    same = np.broadcast_to(train.images[0], train.images.shape)
    marginal = np.bincount(train.z, minlength=3) / len(train)
    np.testing.assert_allclose(believe(train.images[5], same, train.z, 3), marginal)
    np.testing.assert_allclose(believe(train.images[0], train.images[:2], train.z[:2], 3).sum(), 1)


def test_of_a_code_the_attacker_believes_what_the_table_says(found):
    run, train = Run(found, "finite", 0), found.data.split == 0
    release = run.releases[2]
    same = train & (release == release[0]).all((1, 2))
    assert NEIGHBOURS <= same.sum() < train.sum(), "all with that code count, and they are not everyone"
    expected = np.bincount(found.data.z[same], minlength=3) / same.sum()
    np.testing.assert_allclose(run.believe(release[0], 2), expected)


def test_strokes_on_the_sheet_become_the_images_of_the_data(found):
    for i in (0, 7, 40):
        strokes = [stroke.tolist() for stroke in DIGITS[i].strokes]
        np.testing.assert_array_equal(drawing(strokes, found.data.provenance), found.data.images[i])
    assert drawing([[[250, 250]]], found.data.provenance).any(), "a dot is a drawing too"


def test_a_difference_is_white_where_nothing_changes_and_red_where_ink_comes():
    before, after = np.array([[0, 0, 255, 100]], np.uint8), np.array([[0, 255, 0, 100]], np.uint8)
    same, more, less, grey = difference(before, after)[0].tolist()
    assert same == grey == [255, 255, 255]
    assert more == [0xD5, 0x5E, 0x00]
    assert less == [0x00, 0x72, 0xB2]


def test_a_picture_is_the_image_in_black_on_white_with_whole_pixels_and_words():
    image = np.arange(400, dtype=np.uint8).reshape(20, 20)
    text = picture(image, 'a "3"', width=70)
    np.testing.assert_array_equal(pictures(text)[0], 255 - image)
    assert "width:80px" in text
    assert "pixelated" in text
    assert 'alt="a &quot;3&quot;"' in text


def test_the_marks_are_where_the_curves_are(found):
    """The frame of the panel in the SVG is where the marks think it is."""
    curves = Curves(found, "stabilised", "smoke")
    svg = base64.b64decode(re.search(r"svg\+xml;base64,([^\"]+)", curves.base)[1]).decode()
    box = [float(number) for number in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()]
    frame = re.search(r'id="patch_2">\s*<path d="M ([\d.]+) ([\d.]+)', svg).groups()
    (left, _), (low, _) = curves.panel.get_xlim(), curves.panel.get_ylim()
    scale = [of / to for of, to in zip(box, curves.size, strict=True)]
    assert scale[0] == pytest.approx(scale[1], rel=1e-3)
    place = re.search(r'cx="([\d.]+)" cy="([\d.]+)"', curves.marks(left, found.numbers("raw")))
    x, y = (float(number) * s for number, s in zip(place.groups(), scale, strict=True))
    assert x == pytest.approx(float(frame[0]), abs=0.5)
    height = float(frame[1]) - y  # the first ring is the digit's
    assert height / box[1] == pytest.approx(found.numbers("raw").kept * 4 / 1.02 / (box[1] / 72), abs=0.01)
    assert low == 0


# --- the widgets


def test_a_move_of_the_slider_changes_pictures_readout_and_marks_alone(explorer, capsys):
    def shown():
        return explorer.pictures.value, explorer.readout.value, explorer.marks.value

    base, first = explorer.base.value, shown()
    start = time.perf_counter()
    explorer.lam.value = 2
    moved = time.perf_counter() - start
    with capsys.disabled():
        print(f"\na move of the slider: {1000 * moved:.0f} ms in the kernel")
    assert all(old != new for old, new in zip(first, shown(), strict=True))
    assert explorer.base.value == base
    release, chosen = explorer.run.releases[2], explorer.chosen
    images = pictures(explorer.pictures.value)
    assert len(images) == 3 * len(chosen)
    np.testing.assert_array_equal(images[len(chosen)], 255 - release[chosen[0]])
    assert "released at λ = 2" in explorer.pictures.value
    assert f"{100 * 0.9 * 0.7:.1f} %" in explorer.readout.value
    assert explorer.marks.value.count("<circle") == 3
    assert "nothing bounds" in explorer.readout.value
    explorer.lam.value = 0
    assert shown() == first


def test_variant_seed_writer_and_digit_choose_what_is_shown(explorer, found):
    text = explorer.pictures.value
    explorer.person.value, explorer.kept.value = ALL, 3
    assert set(found.data.attributes["digit"][explorer.chosen]) == {3}
    assert explorer.pictures.value != text
    explorer.seed.value = 1
    assert (explorer.run.variant, explorer.run.seed) == ("stabilised", 1)
    explorer.variant.value = "finite"
    explorer.lam.value = 0.5
    assert (explorer.run.variant, explorer.run.seed) == ("finite", 1), "a seed that both have is kept"
    assert "No classifier of any kind names the writer in more than 59.5 %" in explorer.readout.value
    assert "at 95.0 % confidence" in explorer.readout.value
    assert explorer.marks.value.count("<circle") == 4
    explorer.person.value, explorer.kept.value = 1, found.values[0]
    lonely = next((z, v) for z in range(3) for v in found.values if not found.choose(z, v))
    explorer.person.value, explorer.kept.value = lonely
    assert "no writer like that has drawn this digit" in explorer.pictures.value


def test_a_collapsed_run_is_said_to_be_so_and_has_no_accuracy(explorer):
    explorer.variant.value = "faithful"
    assert "collapsed" not in explorer.readout.value
    explorer.lam.value = 2
    assert f"This run {WHY}. It is no evidence of privacy" in explorer.readout.value
    assert "<b>released</b>" not in explorer.readout.value
    assert "<circle" not in explorer.marks.value
    assert len(pictures(explorer.pictures.value)) == len(explorer.chosen)
    assert "Collapsed and left out: λ = 2" in Walk(explorer).value


def test_the_walk_follows_the_explorer_and_names_its_data_and_setting(explorer):
    walk = Walk(explorer)
    assert "synthetic, not the real data, SMOKE SETTING" in walk.value
    assert len(pictures(walk.value)) == 17 * len(explorer.chosen)
    before = walk.value
    explorer.person.value = 1
    assert walk.value != before
    explorer.variant.value = "finite"
    assert "finite, seed 0" in walk.value


def test_a_drawing_is_redrawn_at_every_lambda_with_what_an_attacker_believes(explorer, found):
    pad = Pad(explorer)
    assert "Draw a digit" in pad.answer.value
    pad.sheet.strokes = [stroke.tolist() for stroke in DIGITS[7].strokes]
    images = pictures(pad.answer.value)
    assert len(images) == 1 + len(LAMBDAS)
    np.testing.assert_array_equal(images[0], 255 - found.data.images[7])
    np.testing.assert_allclose(255 - images[3].astype(int), explorer.run.releases[2][7], atol=1)
    shares = explorer.run.believe(found.data.images[7])
    assert f"{shares.argmax()}: {100 * shares.max():.1f} %" in pad.answer.value
    before = pad.answer.value
    explorer.variant.value = "finite"
    assert pad.answer.value != before
    pad.clear.click()
    assert "Draw a digit" in pad.answer.value


# --- what is missing


def test_without_artefacts_a_sentence_says_which_command_makes_them(tmp_path, capsys):
    with pytest.raises(Missing, match=r"pendigits.npz is missing.*`make repro`") as caught:
        opened(tmp_path)
    assert "make quick" in str(caught.value)
    shell = InteractiveShell.instance()
    shell.showtraceback((Missing, caught.value, caught.tb))
    printed = capsys.readouterr().out
    assert "make quick" in printed
    assert "Traceback" not in printed
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no zip")], ids=["missing", "damaged"])
def test_a_release_that_is_not_there_is_named_and_another_seed_still_works(tree, tmp_path, damage):
    folder = shutil.copytree(tree, tmp_path / "project")
    damage(folder / "models/stabilised/lambda-2/seed-1.npz")
    explorer = Explorer(opened(folder), "stabilised")
    walk, pad = Walk(explorer), Pad(explorer)
    explorer.seed.value = 1
    assert "lambda-2/seed-1.npz" in explorer.pictures.value
    assert "dvc repro" in explorer.pictures.value
    assert not any(part.value for part in (explorer.readout, explorer.marks, walk))
    explorer.lam.value = 0.5
    explorer.person.value = 2
    pad.sheet.strokes = [[[10, 10], [400, 400]]]
    assert "lambda-2/seed-1.npz" in explorer.pictures.value
    explorer.seed.value = 0
    assert len(pictures(explorer.pictures.value)) == 3 * len(explorer.chosen)
    assert explorer.readout.value
    assert walk.value
    assert pictures(pad.answer.value)


def test_where_the_variant_asked_for_was_never_trained_the_first_one_is_shown(tree):
    explorer = Explorer(opened(tree), "somebody's own")
    assert explorer.variant.value == explorer.variant.options[0] == explorer.run.variant
    assert pictures(explorer.pictures.value)


def test_weights_that_are_not_there_are_named_where_they_are_needed(tree, tmp_path):
    folder = shutil.copytree(tree, tmp_path / "project")
    (folder / "models/stabilised/start/seed-0.json").unlink()
    explorer = Explorer(opened(folder), "finite")
    pad = Pad(explorer)
    pad.sheet.strokes = [[[10, 10], [400, 400]]]
    for text in (Walk(explorer).value, pad.answer.value):
        assert "start/seed-0.json is missing" in text
        assert "make repro" in text
    assert pictures(explorer.pictures.value), "the slider needs releases alone"


def test_a_lambda_without_a_run_is_said_to_have_none(tree, tmp_path):
    folder = shutil.copytree(tree, tmp_path / "project")
    path = folder / "reports/metrics/runs.json"
    write_json(path, [row for row in read_json(path) if (row["variant"], row["lam"]) != ("finite", 2)])
    explorer = Explorer(opened(folder), "finite")
    explorer.lam.value = 2
    assert "There is no run at this lambda" in explorer.readout.value


# --- the reports' slider


def test_a_slider_has_a_stop_and_a_panel_each_and_a_rule_that_shows_it():
    panels = {f"{i}<": f"<b>{i}</b>" for i in range(STOPS)}
    page = BeautifulSoup(slider("s", "moves & more", panels), "html.parser")
    stops, labels, shown = page.find_all("input"), page.find_all("label"), page.find_all(class_="panel")
    assert len(stops) == len(labels) == len(shown) == STOPS
    assert {stop["name"] for stop in stops} == {"s"}
    assert [stop.has_attr("checked") for stop in stops] == [True] + [False] * (STOPS - 1)
    assert [label["for"] for label in labels] == [stop["id"] for stop in stops]
    assert [label.text for label in labels] == list(panels)
    assert [panel.decode_contents() for panel in shown] == list(panels.values())
    style = (Path(explore_html.__file__).parent / "templates/report/report.css").read_text(encoding="utf-8")
    for i in range(1, STOPS + 1):
        assert f"input:nth-of-type({i}):checked ~ .panel:nth-of-type({i})" in style
    for wrong in ({}, panels | {"more": ""}):
        with pytest.raises(ValueError, match=f"{len(wrong)} panels; expected 1 to {STOPS}"):
            slider("s", "", wrong)


def test_the_reports_slider_shows_every_lambda_and_what_collapsed(found):
    for variant in SEEDS:
        page = BeautifulSoup(lambda_slider(found, variant), "html.parser")
        panels = page.find_all(class_="panel")
        assert [label.text for label in page.find_all("label")] == [f"{lam:g}" for lam in LAMBDAS]
        for lam, panel in zip(LAMBDAS, panels, strict=True):
            lost = (variant, lam) == LOST
            assert (WHY in panel.text) == lost
            assert bool(panel.find("img", alt=re.compile(f"released at λ = {lam:g}$"))) != lost
        assert len({str(panel) for panel in panels}) == len(LAMBDAS)
