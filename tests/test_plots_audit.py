"""Figures of the audit: every release is drawn where its rows say, and every word can be read."""

import inspect
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from anonrep.evaluation.intervals import wilson
from anonrep.methods.adversaries import OBJECTIVES
from anonrep.methods.perturbations import METHODS
from anonrep.reports import plots, plots_audit
from anonrep.reports.plots_audit import BASELINES, NAMES, OURS, named
from anonrep.stages.results_audit import over_seeds

PEOPLE = 30
SOURCES, SETTINGS = ("uci", "synthetic"), ("full", "quick", "smoke")
LAMBDAS = (0, 1.5, 4)
RELEASES = [
    *[(variant, lam, (0, 1, 2)) for variant in OURS for lam in LAMBDAS],
    *[(game, lam, (0, 1)) for game in OBJECTIVES for lam in (0.25, 1)],
    *[("gaussian_noise", 0.25, (0,)), ("gaussian_noise", 0.5, (0,)), ("gaussian_blur", 2, (0,)), ("pixelate", 4, (0,))],
    *[("without_identity", 29, (0,)), ("leace", None, (0,)), ("k_same", 5, (0,)), ("k_same", 30, (0,))],
    ("substitution", 0, (0,)),
]
BLIND = "writer: blind guess"


def row(place: int, method: str, setting: float | None, seed: int) -> dict:
    """Every release at a place of its own."""
    worst = 0.05 + 0.02 * place + 0.01 * seed
    values = {"worst_attacker": worst, "utility": 0.99 - 0.01 * place, "naturalness": 0.3 + 0.03 * place + seed / 100}
    return {"method": method, "setting": setting, "seed": seed, "attacker": "cnn", "information": 0.1, **values}


ROWS = [row(place, *release, seed) for place, (*release, seeds) in enumerate(RELEASES) for seed in seeds]
TABLE = over_seeds(ROWS)


def pareto(source: str = "uci", setting: str = "full", table: pd.DataFrame = TABLE) -> Figure:
    words = {"private": "writer", "kept": "digit", "chance": 1 / PEOPLE, "source": source, "setting": setting}
    return plots_audit.pareto(table, **words)


def held_rows() -> pd.DataFrame:
    """The best attacker of one, five and twenty images, with Wilson's intervals, to their ends at nothing and all."""
    hits = {"raw": (660, 180, 32), "stabilised": (0, 90, 31), "finite": (30, 10, 0)}
    rows = []
    for method, found in hits.items():
        for m, count, n in zip((1, 5, 20), found, (1000, 187, 32), strict=True):
            low, high = wilson(count, n, simultaneous=10)
            name = "raw" if method == "raw" else named(method, 4)
            rows.append({"method": method, "release": name, "m": m, "accuracy": count / n, "low": low, "high": high})
    return pd.DataFrame(rows)


HELD = held_rows()
BOUNDS = pd.DataFrame([{"release": named("finite", 4), "m": m, "bound": 0.04 * m} for m in (20, 1, 5)])


def images_held(
    source: str = "uci", setting: str = "full", rows: pd.DataFrame = HELD, bounds: pd.DataFrame = BOUNDS
) -> Figure:
    words = {"private": "writer", "chance": 1 / PEOPLE, "source": source, "setting": setting}
    return plots_audit.images_held(rows, bounds, **words)


NAMED = ["raw", *dict.fromkeys(named(method, setting) for method, setting, _ in RELEASES)]


def strips(source: str = "uci", setting: str = "full", names: list[str] = NAMED) -> Figure:
    images = np.random.default_rng(0).integers(0, 256, (10, 6, 6), np.uint8)
    return plots_audit.strips(
        {name: images + place for place, name in enumerate(names)}, source=source, setting=setting
    )


# --- names


def test_every_method_of_the_audit_has_a_mark_of_its_own():
    assert set(BASELINES) == {*METHODS, *OBJECTIVES}
    marks = [tuple(style.values()) for style in (OURS | BASELINES).values()]
    assert len(set(marks)) == len(marks)
    assert set(NAMES) <= set(BASELINES)


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (("finite", 4), "finite, λ = 4"),
        (("stabilised", 0.25), "stabilised, λ = 0.25"),
        (("gradient_reversal", 1.0), "gradient reversal, λ = 1"),
        (("maximum_entropy", 0), "maximum entropy, λ = 0"),
        (("gaussian_noise", 0.25), "Gaussian noise, 0.25"),
        (("k_same", 30.0), "k-same, 30"),
        (("leace", None), "LEACE"),
        (("leace", np.nan), "LEACE"),
        (("substitution", 0), "substitution"),
        (("raw", None), "raw"),
    ],
)
def test_a_release_is_called_by_its_method_and_what_its_setting_means(release, words):
    assert named(*release) == words


# --- the Pareto figure


def drawn(axis: Axes) -> dict[str, ErrorbarContainer]:
    return {part.get_label(): part for part in axis.containers}


def label(method: str) -> str:
    return NAMES.get(method, method)


@pytest.mark.parametrize("column", ["utility", "naturalness"])
def test_every_release_is_a_point_at_its_mean_with_a_bar_over_its_seeds(column):
    axis = pareto().axes[["utility", "naturalness"].index(column)]
    found = drawn(axis)
    assert set(found) == {label(method) for method, *_ in RELEASES}
    for method in OURS | BASELINES:
        rows = TABLE[TABLE.method == method].sort_values("setting")
        line, _, (bars,) = found[label(method)]
        np.testing.assert_allclose(line.get_xydata(), rows[[column, "worst_attacker"]])
        ends = [(x, low, high) for (x, low), (_, high) in bars.get_segments()]
        np.testing.assert_allclose(ends, rows[[column, "least", "greatest"]], atol=1e-12)
        assert line.get_linestyle() == ("-" if method in OURS else "None")
        assert (line.get_color(), line.get_marker()) == tuple((OURS | BASELINES)[method].values())
    one = TABLE[TABLE.seeds == 1]
    assert (one.least == one.greatest).all()  # or the bars above would not say which have several seeds
    assert (TABLE[TABLE.seeds > 1].greatest > TABLE[TABLE.seeds > 1].least).all()


def test_lines_go_from_lambda_to_lambda_whatever_the_order_of_the_rows():
    mixed = TABLE.sample(frac=1, random_state=0)
    for axis, other in zip(pareto(table=mixed).axes, pareto().axes, strict=True):
        for name, part in drawn(axis).items():
            np.testing.assert_array_equal(part[0].get_xydata(), drawn(other)[name][0].get_xydata())


def test_only_the_first_and_the_last_setting_are_written_and_none_where_there_is_none():
    wanted = [text for _ in OURS for text in ("0", "4")] + ["0.25", "1"] * 2
    wanted += ["0.25", "0.5", "2", "4", "29", "5", "30"]  # none for LEACE, nor whose images substitution shows
    for axis in pareto().axes:
        assert [note.get_text() for note in axis.texts] == wanted


def test_a_blind_guess_is_a_line_and_what_is_better_is_said():
    for axis in pareto().axes:
        (line,) = (found for found in axis.get_lines() if found.get_linestyle() == "--")
        assert set(line.get_ydata()) == {1 / PEOPLE}
        assert axis.get_ylim()[0] == 0
        assert "right and down" in axis.get_title("right")
    assert pareto().axes[0].get_ylabel() == "writer named by the best attacker"
    assert [axis.get_xlabel() for axis in pareto().axes] == [
        "digit found by a fresh network",
        "digit read by a network of raw images",
    ]


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def test_the_legend_names_what_is_drawn_once_and_the_blind_guess_last():
    assert legend(pareto()) == [*(label(method) for method in (OURS | BASELINES)), BLIND]


@pytest.mark.parametrize("missing", [["finite"], ["leace", "gaussian_noise"], list(BASELINES), list(OURS)])
def test_a_method_that_is_missing_is_not_drawn_and_the_others_stay(missing):
    figure = pareto(table=TABLE[~TABLE.method.isin(missing)])
    assert legend(figure) == [label(method) for method in (OURS | BASELINES) if method not in missing] + [BLIND]


@pytest.mark.parametrize("value", [0.0, 0.037, 0.1, 1.0])
def test_seeds_that_agree_have_no_bar_although_their_mean_is_rounded(value):
    """A mean of equal numbers may miss them by its last digit; a bar of less than nothing would be an error."""
    table = over_seeds([row(0, "finite", 4, seed) | {"worst_attacker": value} for seed in range(3)])
    for off in (-1e-17, 0, 2e-16):
        assert pareto(table=table.assign(worst_attacker=value + off))


# --- several images


def test_the_best_attackers_are_drawn_with_their_intervals():
    found = drawn(images_held().axes[0])
    assert list(found) == list(HELD.release.unique())
    for name, part in found.items():
        rows = HELD[HELD.release == name]
        line, _, (bars,) = part
        x, y = np.array(line.get_xydata(), float).T
        np.testing.assert_allclose(y, rows.accuracy)
        np.testing.assert_allclose(x, rows.m, rtol=0.15)  # side by side, so that bars can be seen
        np.testing.assert_allclose([(low[1], high[1]) for low, high in bars.get_segments()], rows[["low", "high"]])
    places = np.concatenate([part[0].get_xdata() for part in found.values()])
    assert len(set(places)) == len(places)


def test_the_certificate_is_a_line_beside_its_own_release_and_no_other():
    axis = images_held().axes[0]
    name = named("finite", 4)
    (line,) = (found for found in axis.get_lines() if found.get_linestyle() == ":")
    assert line.get_label() == f"{name}: no classifier exceeds"
    np.testing.assert_allclose(line.get_ydata(), [0.04, 0.2, 0.8])
    mine = drawn(axis)[name][0]
    np.testing.assert_array_equal(line.get_xdata(), mine.get_xdata())
    assert line.get_color() == mine.get_color() == OURS["finite"]["color"]
    names = ["raw", named("stabilised", 4), name]
    assert legend(images_held()) == [*names, f"{name}: no classifier exceeds", "blind guess"]
    none = images_held(bounds=BOUNDS.iloc[:0])
    assert legend(none) == [*names, "blind guess"]


def test_how_many_images_are_held_is_on_the_axis():
    axis = images_held().axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["1", "5", "20"]
    assert axis.get_xscale() == "log"
    assert axis.get_xlabel() == "released images of one unknown writer"
    assert axis.get_ylabel() == "writer named"
    (blind,) = (found for found in axis.get_lines() if found.get_label() == "blind guess")
    assert set(blind.get_ydata()) == {1 / PEOPLE}


@given(st.integers(1, 3000), st.data())
@settings(max_examples=15, deadline=None)
def test_no_interval_is_too_small_to_draw(n, choice):
    """At none and at all the interval's end is the accuracy itself, up to rounding."""
    hits = choice.draw(st.sampled_from([0, n, n // 2]))
    low, high = wilson(hits, n, simultaneous=choice.draw(st.integers(1, 12)))
    one = {"method": "raw", "release": "raw", "m": 1, "accuracy": hits / n, "low": low, "high": high}
    assert images_held(rows=pd.DataFrame([one]), bounds=BOUNDS.iloc[:0])


# --- strips


def test_a_row_of_images_for_each_release_under_its_name():
    images = {
        name: np.full((2, 6, 6), grey, np.uint8) for name, grey in (("raw", 10), ("LEACE", 90), ("k-same, 5", 200))
    }
    (axis,) = plots_audit.strips(images, source="uci").axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == list(images)
    paper = 255 - np.asarray(axis.images[0].get_array())  # ink black on white
    for place, shown in enumerate(images.values()):
        assert (paper[8 * place : 8 * place + 6, :6] == shown[0]).all()


# --- all


DRAW = {"pareto": pareto, "images_held": images_held, "strips": strips}


def test_every_figure_is_drawn_here():
    drawing = {
        name
        for name, function in inspect.getmembers(plots_audit, inspect.isfunction)
        if function.__module__ == plots_audit.__name__ and inspect.signature(function).return_annotation is Figure
    }
    assert drawing == set(DRAW), "a new figure: draw it here, so that its title is held to what it shows"


def texts(figure: Figure) -> list:
    """Every text that is seen, but for the numbers beside points, which may meet where points do."""
    figure.draw_without_rendering()
    unseen = {note for axes in figure.axes for note in axes.texts}
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        unseen |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in unseen]


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("source", SOURCES)
def test_no_word_is_cut_off_or_overlaps_another(name, source):
    figure = DRAW[name](source, "smoke")
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    assert len(boxes) > 8
    for text, box in boxes:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for (text, box), (other, place) in combinations(boxes, 2):
        assert not box.overlaps(place), (text, other)


@pytest.mark.parametrize("names", [["raw"], ["raw", "LEACE"]])
def test_a_strip_of_few_rows_has_room_for_its_title(names):
    figure = strips("synthetic", "smoke", names)
    boxes = [text.get_window_extent() for text in texts(figure)]
    assert all(figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1 for box in boxes)
    assert not any(box.overlaps(place) for box, place in combinations(boxes, 2))


@pytest.mark.parametrize("name", DRAW)
def test_neither_synthetic_data_nor_a_small_setting_passes_as_the_real_thing(name):
    for source in SOURCES:
        for setting in SETTINGS:
            assert DRAW[name](source, setting).get_suptitle().endswith(plots.title_suffix(source, setting))


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_the_same_file_every_time(name, tmp_path):
    for attempt in ("a", "b"):
        plots.save(DRAW[name]("uci", "full"), tmp_path / attempt)
    for kind in ("svg", "png"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_axes_of_shares_are_in_percent_and_no_two_ticks_read_the_same():
    figure = pareto(table=TABLE.assign(utility=0.98 + TABLE.utility / 100))
    figure.draw_without_rendering()
    for axis in figure.axes:
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            words = [tick.get_text() for tick in ticks if tick.get_visible() and tick.get_text()]
            assert len(set(words)) == len(words)
            assert all(word.endswith("%") for word in words)
