"""The explorer without a browser: it shows what the pipeline left, and says what is missing or collapsed."""

import base64
import re
import shutil

import numpy as np
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from made_up import DIGITS, LAMBDAS, LOST_TARGET, TARGETS, WHY, opened
from test_elements import pixels

from anonrep.data.dataset import Dataset
from anonrep.reports import tables
from anonrep.reports.artefacts import ALL, Missing
from anonrep.reports.explorer import Explorer, Pad, Walk
from anonrep.reports.redraw import NEIGHBOURS, Redrawer, believe, drawing
from anonrep.reports.views import Curves, difference, readout, slider
from anonrep.stages import paths

METHODS = {name: name for name in ("stabilised", "finite", "faithful")}
FACES = {name: name for name in ("restricted", "substituted", "pixels", "finite")}


@pytest.fixture
def digits(found):
    return Explorer(found["pendigits"], "setting", METHODS, setting="smoke")


@pytest.fixture
def faces(found):
    return Explorer(found["ferg"], "target", FACES, setting="smoke")


@pytest.fixture
def broken(project, tmp_path, monkeypatch):
    """A copy to break, the working directory."""
    copy = shutil.copytree(project, tmp_path / "project")
    monkeypatch.chdir(copy)
    return copy


def text(markup: str) -> str:
    """What a reader sees of it."""
    return " ".join(BeautifulSoup(str(markup), "html.parser").get_text(" ").split())


# --- choosing, and the releases


@pytest.mark.parametrize("name", ["pendigits", "ferg"])
def test_a_person_in_all_values_a_value_by_all_people_and_both(found, name):
    one, split = found[name], found[name].splits[0]
    data = one.data(split)
    z, values = data.z, data.attributes[data.utility]
    person, value = one.choose(split, 1, ALL), one.choose(split, ALL, 3)
    assert set(z[person]) == {1}
    assert values[person].tolist() == sorted(set(values[(data.split == 2) & (z == 1)]))[:10]
    assert set(values[value]) == {3}
    assert z[value].tolist() == sorted(set(z[(data.split == 2) & (values == 3)]))
    both = one.choose(split, 1, values[person[0]])
    assert both
    assert len(both) == len(set(both)) <= 10
    assert set(z[both]) == {1}
    everything = one.choose(split)
    assert len(everything) == len(set(values[everything]))
    assert len(set(z[everything])) > 1, "not always the same person"
    assert (data.split[[*person, *value, *both, *everything]] == 2).all()
    assert one.choose(split, 1, 99) == []


def test_a_release_is_what_its_folder_holds(found):
    run = found["pendigits"].run(method="stabilised", setting=2, seed=1)
    held = Dataset.load(paths.release_folder("pendigits-stabilised-2") / "seed-1.npz").images
    np.testing.assert_array_equal(found["pendigits"].images(run, [3, 5]), held[[3, 5]])
    assert found["pendigits"].run(method="faithful", setting=2) is None, "it collapsed"
    assert found["pendigits"].run(survived=False, method="faithful", setting=2).collapsed == WHY
    strips = found["pendigits"].strips_by_lambda("random", "faithful", [0, 1])
    assert list(strips) == ["raw", "λ = 0", "λ = 0.5"]


def test_numbers_are_those_of_the_metrics(found):
    digits, faces = found["pendigits"], found["ferg"]
    raw = digits.numbers(None, "random")
    assert (raw["private"], raw["private_attacker"]) == (pytest.approx(0.9 * 0.99), "svm")
    run = digits.numbers(digits.run(method="finite", setting=2, seed=1), "random")
    assert run["neighbours"] == pytest.approx(0.7 * 0.68), "of this seed"
    assert (run["bound"], run["draws"]) == (pytest.approx(0.52), "45 test images")
    for split, bound in (("random", 0.25), ("clips", 0.45)):
        shown = faces.numbers(faces.run(split=split, method="finite", target=6), split)
        assert (shown["bound"], shown["private_reader"]) == (bound, pytest.approx(0.12)), "whichever target is shown"
    assert digits.numbers(digits.run(survived=False, method="faithful", setting=2), "random") is None


def test_what_is_missing_is_named_with_the_command_and_without_a_traceback(broken, capsys):
    shutil.rmtree(broken / "models/releases/pendigits-stabilised-2")
    assert 2 not in opened()["pendigits"].lambdas("random", "stabilised")
    shutil.rmtree(broken / "models/releases")
    with pytest.raises(Missing, match="dvc repro") as error:
        opened()["pendigits"].index  # noqa: B018 - it is read when asked for
    InteractiveShell.instance().showtraceback((Missing, error.value, None))
    said = capsys.readouterr().out
    assert "make quick" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("how", ["gone", "damaged", "of other images"])
def test_a_release_that_cannot_be_shown_is_a_sentence_beside_its_numbers(broken, how):
    path = broken / "models/releases/ferg-random-target-1/substituted.npz"
    if how == "gone":
        path.unlink()
    elif how == "damaged":
        path.write_bytes(path.read_bytes()[:100])
    else:
        shutil.copy(broken / "models/releases/pendigits-finite-0/codes-8-seed-0.npz", path)
    explorer = Explorer(opened()["ferg"], "target", {"substituted": "substituted"})
    explorer.slider.value = 1
    assert "dvc repro" in text(explorer.pictures.value)
    assert "identity: best attacker" in text(explorer.readout.value)
    explorer.slider.value = 0
    assert "dvc repro" not in text(explorer.pictures.value)


# --- redrawing, the walk, the sheet


@pytest.mark.parametrize("method", ["stabilised", "finite"])
def test_an_image_redrawn_is_its_release_and_the_walk_passes_through_the_releases(found, method):
    digits = found["pendigits"]
    redrawer, chosen = Redrawer(digits, "random", method, 1), digits.choose("random", 0, ALL)[:3]
    images = digits.data("random").images[chosen]
    frames = redrawer.walk(images, steps=16)
    lambdas = [lam for lam, _ in frames]
    assert len(lambdas) == 17
    assert lambdas == sorted(set(lambdas))
    for lam, run in redrawer.runs.items():
        release = digits.images(run, chosen).astype(int)
        (at,) = [shown for place, shown in frames if place == lam]
        assert np.abs(at - release).max() <= 1
        assert np.abs(redrawer.redraw(images[0])[lam] - release[0]).max() <= 1
    ends = [digits.images(redrawer.runs[lam]) for lam in (0, 2)]
    assert not np.array_equal(*ends), "or the test could not tell one lambda from another"


def test_a_collapsed_run_stays_out_of_the_walk(found):
    redrawer = Redrawer(found["pendigits"], "random", "faithful", 0)
    assert list(redrawer.runs) == [0, 0.5]
    assert redrawer.walk(found["pendigits"].data("random").images[:2])[-1][0] == 0.5


def test_the_attacker_knows_whom_it_has_seen_and_learns_nothing_from_one_image(found):
    train = found["pendigits"].data("random").subset("train")
    alone = np.zeros((NEIGHBOURS * 3, 20, 20), np.uint8)
    alone[::3] = train.images[0]
    np.testing.assert_array_equal(believe(train.images[0], alone, np.arange(len(alone)) % 3, 3), [1, 0, 0])
    same = np.broadcast_to(train.images[0], train.images.shape)
    np.testing.assert_allclose(believe(train.images[5], same, train.z, 3), train.p_z)
    redrawer = Redrawer(found["pendigits"], "random", "finite", 0)
    book = found["pendigits"].codebook(redrawer.runs[2])
    mine = (found["pendigits"].data("random").split == 0) & (book.codes == book.codes[0])
    assert mine.sum() >= NEIGHBOURS
    shares = np.bincount(found["pendigits"].data("random").z[mine], minlength=3) / mine.sum()
    np.testing.assert_allclose(redrawer.believe(book.images[book.codes[0]], 2), shares)


def test_strokes_on_the_sheet_become_the_images_of_the_data(found):
    data = found["pendigits"].data("random")
    for i in (0, 7, 40):
        strokes = [stroke.tolist() for stroke in DIGITS[i].strokes]
        np.testing.assert_array_equal(drawing(strokes, data.provenance), data.images[i])


# --- views


def test_a_difference_is_white_where_nothing_changes_and_red_where_values_grow():
    before, after = np.array([[0, 0, 255, 100]], np.uint8), np.array([[0, 255, 0, 100]], np.uint8)
    same, more, less, grey = difference(before, after)[0].tolist()
    assert same == grey == [255, 255, 255]
    assert (more, less) == ([0xD5, 0x5E, 0x00], [0x00, 0x72, 0xB2])


def test_the_marks_are_where_the_curves_are(found):
    """The frame of the panel in the SVG is where the marks think it is."""
    curves = Curves(found["pendigits"], "random", "stabilised", "smoke")
    svg = base64.b64decode(re.search(r"svg\+xml;base64,([^\"]+)", curves.base)[1]).decode()
    box = [float(number) for number in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()]
    frame = [float(n) for n in re.search(r'id="patch_2">\s*<path d="M ([\d.]+) ([\d.]+)', svg).groups()]
    left, low = curves.panel.get_xlim()[0], curves.panel.get_ylim()[0]
    numbers = {"utility_cnn": low, "private_cnn": np.nan, "private": np.nan, "bound": np.nan}
    (place,) = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', curves.marks(left, numbers))
    shown = [float(number) * of / to for number, of, to in zip(place, box, curves.size, strict=True)]
    assert shown == pytest.approx(frame, abs=0.5)


@pytest.mark.parametrize(("name", "axis", "stops"), [("pendigits", "setting", LAMBDAS), ("ferg", "target", TARGETS)])
def test_a_page_s_slider_shows_each_release_with_its_numbers(found, name, axis, stops):
    one, split = found[name], found[name].splits[-1]
    methods = ["faithful", "finite"] if axis == "setting" else ["standard", "restricted", "finite"]
    page = BeautifulSoup(str(slider(one, split, axis, methods, "smoke")), "html.parser")
    panels = page.find_all(class_="panel")
    assert len(panels) == len(stops)
    assert all("SMOKE SETTING" in panel.table.caption.text for panel in panels)
    chosen, lost = one.choose(split), stops.index(2 if axis == "setting" else LOST_TARGET)
    assert len(panels[0].find_all("img")) == (len(methods) + 1) * len(chosen)
    assert len(panels[lost].find_all("img")) == len(methods) * len(chosen)
    assert "collapsed" in panels[lost].text
    run = one.run(split=split, method="finite", **{axis: stops[0]})
    shown = pixels(str(panels[0]))[len(methods) * len(chosen)]
    np.testing.assert_array_equal(255 - shown if axis == "setting" else shown, one.images(run, chosen[:1])[0])
    table = tables.at(tables.releases(one.results), split=split, method="finite", **{axis: stops[0]})
    assert f"certified {tables.percent(table.bound.iloc[0])}" in text(panels[0])


# --- the widgets


def test_a_move_of_the_slider_changes_pictures_readout_and_marks_alone(digits):
    def shown():
        return digits.pictures.value, digits.readout.value, digits.marks.value

    base, first = digits.base.value, shown()
    digits.slider.value = 2
    assert all(old != new for old, new in zip(first, shown(), strict=True))
    assert digits.base.value == base
    images, chosen = pixels(digits.pictures.value), digits.chosen
    assert len(images) == 3 * len(chosen)
    np.testing.assert_array_equal(images[len(chosen)], 255 - digits.found.images(digits.run, chosen)[0])
    assert "released with λ = 2" in digits.pictures.value
    assert tables.percent(0.9 * 0.7) in digits.readout.value
    assert digits.marks.value.count("<circle") == 3
    assert "There is no certificate" in digits.readout.value
    digits.slider.value = 0
    assert shown() == first


def test_method_seed_person_and_value_choose_what_is_shown(digits):
    digits.person.value, digits.value.value = ALL, 3
    assert set(digits.found.data("random").attributes["digit"][digits.chosen]) == {3}
    digits.method.value, digits.seed.value, digits.slider.value = "finite", 1, 0.5
    assert (digits.redrawer.method, digits.redrawer.seed) == ("finite", 1)
    assert "No classifier names the writer in more than 59.5 %" in text(digits.readout.value)
    assert digits.marks.value.count("<circle") == 4
    digits.method.value, digits.slider.value = "faithful", 2
    assert f"This run {WHY}. It is no evidence of privacy" in text(digits.readout.value)
    assert "<circle" not in digits.marks.value
    assert len(pixels(digits.pictures.value)) == len(digits.chosen), "the images alone"


def test_the_faces_are_light_and_a_target_without_a_release_says_so(faces):
    images = pixels(faces.pictures.value)
    data = faces.found.data("random")
    np.testing.assert_array_equal(images[0], data.images[faces.chosen[0]])
    assert "released with target 0, aia" in faces.pictures.value
    faces.slider.value = LOST_TARGET
    for method in ("restricted", "substituted"):
        faces.method.value = method
        assert WHY in text(faces.readout.value)
    assert len(pixels(faces.pictures.value)) == len(faces.chosen), "the images alone"
    faces.method.value, faces.split.value = "finite", "clips"
    assert "more than 45.0 %" in text(faces.readout.value)
    assert "21 test clips" in text(faces.readout.value)
    faces.person.value, faces.value.value = 2, ALL
    assert set(faces.found.data("clips").z[faces.chosen]) == {2}


def test_walk_and_sheet_follow_the_explorer(digits):
    walk, pad = Walk(digits), Pad(digits)
    assert len(pixels(walk.value)) == 17 * len(digits.chosen)
    pad.sheet.strokes = [[[100, 100], [300, 400]]]
    drawn = pad.answer.value
    assert [alt.split(";")[0] for alt in re.findall(r'alt="([^"]+)"', drawn)] == ["raw", "λ = 0", "λ = 0.5", "λ = 2"]
    before = walk.value
    digits.method.value = "faithful"
    assert walk.value != before
    assert len(pixels(pad.answer.value)) == 3
    pad.clear.click()
    assert text(pad.answer.value) == "Draw a digit above."


def test_the_title_names_synthetic_data_and_the_setting(digits, faces):
    for explorer in (digits, faces):
        assert "synthetic data, not the real images, SMOKE SETTING" in text(explorer.pictures.value)


def test_metrics_that_are_not_there_are_named(broken):
    shutil.rmtree(broken / "reports/metrics")
    with pytest.raises(Missing, match="dvc repro"):
        readout(opened()["ferg"], "random", None, None)


def test_a_single_target_has_a_slider_all_the_same(broken):
    for folder in (broken / "models/releases").glob("ferg-*-target-[013]"):
        shutil.rmtree(folder)
    explorer = Explorer(opened()["ferg"], "target", {"substituted": "substituted"})
    assert explorer.slider.value == 6
    assert len(explorer.slider.options) == 7
    explorer.slider.value = 2
    assert "There is no such run." in text(explorer.readout.value)
