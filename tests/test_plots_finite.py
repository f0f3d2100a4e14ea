"""Figures of finite releases: what is drawn is what was handed over, for one picture as for sixty."""

import inspect

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from anonrep.data.codebook import usage
from anonrep.reports import plots, plots_finite
from anonrep.reports.plots_finite import TERMS

PERSONS = 30


# --- the codebook


def codebook(k: int = 12, source: str = "uci", setting: str = "full", **more: object) -> Figure:
    """K pictures of noise for 600 images of 30 persons."""
    draw = np.random.default_rng(k)
    images, codes = draw.integers(0, 256, (k, 6, 6), np.uint8), draw.integers(0, k, 600)
    shares = usage(codes, np.arange(600) % PERSONS, k, PERSONS)
    counts = np.bincount(codes, minlength=k)
    more = {"images": images, "counts": counts, "usage": shares} | more
    return plots_finite.codebook(**more, private="writer", source=source, setting=setting, title=f"{k} pictures")


def texts(figure: Figure) -> list:
    """Every text that is seen, drawn."""
    figure.draw_without_rendering()
    found = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_visible()]
    return [text for text in found if text.get_text()]


@pytest.mark.parametrize("k", [1, 3, 11, 20, 50, 60])
def test_a_picture_stands_above_its_bar_and_its_column(k):
    images = np.full((k, 6, 6), 255, np.uint8)
    figure = codebook(k, images=images)
    figure.draw_without_rendering()
    shown, bars, heat, _ = figure.axes
    for i, bar in enumerate(bars.patches):
        middle = bars.transData.transform((bar.get_x() + bar.get_width() / 2, 0))[0]
        column = heat.transData.transform((i, 0))[0]
        ink = shown.transData.transform((i * 8 + 2.5, 0))[0]  # pictures of 6 pixels, 2 between them
        assert (middle, ink) == pytest.approx((column, column))


@pytest.mark.parametrize("k", [1, 3, 11, 20, 50, 60])
def test_no_label_of_a_codebook_is_cut_or_overlaps_another(k):
    figure = codebook(k, source="synthetic", setting="smoke")
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    assert len(boxes) > 8
    for i, (name, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, name
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, name
        assert not [other for other, place in boxes[i + 1 :] if box.overlaps(place)], name


def test_bars_are_shares_of_all_images_and_the_heat_map_is_the_usage():
    images = np.arange(3 * 6 * 6, dtype=np.uint8).reshape(3, 6, 6)
    shares = np.array([[0.5, 0.1], [0.3, 0.1], [0.2, 0.8]])
    figure = codebook(3, images=images, counts=np.array([30, 20, 50]), usage=shares)
    shown, bars, heat, key = figure.axes
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.3, 0.2, 0.5])
    assert [text.get_text() for text in bars.texts] == ["30.0%", "20.0%", "50.0%"]
    np.testing.assert_array_equal(heat.images[0].get_array(), shares.T)
    assert heat.images[0].get_clim() == (0, 0.8)
    paper = 255 - np.asarray(shown.images[0].get_array())  # ink black on white
    for i, image in enumerate(images):
        np.testing.assert_array_equal(paper[:6, i * 8 : i * 8 + 6], image)
    assert key.get_ylabel() == "share of the writer's images"
    assert heat.get_ylabel() == "writer z"


def test_many_bars_have_an_axis_in_place_of_numbers():
    bars = codebook(50).axes[1]
    assert not bars.texts
    assert len(bars.get_yticks()) > 1


def test_a_picture_that_nobody_gets_has_a_place():
    figure = codebook(3, counts=np.array([5, 0, 5]))
    assert [bar.get_height() for bar in figure.axes[1].patches] == pytest.approx([0.5, 0, 0.5])
    assert plots.svg(codebook(3, counts=np.zeros(3, int), usage=np.zeros((3, PERSONS))))


# --- the frontier


LAMBDAS = (0, 1.5, 4)
ATTRIBUTES = {"slant": ("R2", 0.6, -0.01), "strokes": ("accuracy", 0.9, 0.74)}
RELEASES = [
    *[(m, lam, k, s) for m in ("finite", "finite, two codes") for lam in LAMBDAS for k in (20, 50) for s in (0, 1)],
    *[(method, None, k, seed) for method in ("k-means", "medoids") for k in (10, 50) for seed in (0, 1)],
    *[("substitution", None, 170 + target, target) for target in (0, 1)],
]


def release(method: str, lam: float | None, k: int, seed: int) -> tuple[list[dict], list[dict]]:
    """The rows of one release; for more than one image of a person the bound is 1."""
    key = {"method": method, "lam": lam, "codebook": k, "seed": seed}
    bound = 0.05 + k / 500 - (lam or 0) / 200 + seed / 100 + len(method) / 1000
    worth = {"utility": 0.9 + k / 2000 - (lam or 0) / 100, "naturalness": 0.8 + seed / 50 + k / 2000}
    rows = [{**key, "m": 1, "bound": bound, "worst_attacker": bound / 2, **worth}]
    rows.append({**key, "m": 20, "bound": 1.0, "worst_attacker": None, **worth})
    kept = [
        {**key, "attribute": name, "kind": kind, "score": best - bound + seed / 10, "chance": chance}
        for name, (kind, best, chance) in ATTRIBUTES.items()
    ]
    return rows, kept


TABLE = pd.DataFrame([row for key in RELEASES for row in release(*key)[0]])
KEPT = pd.DataFrame([row for key in RELEASES for row in release(*key)[1]])


def frontier(
    source: str = "uci", setting: str = "full", table: pd.DataFrame = TABLE, kept: pd.DataFrame = KEPT
) -> Figure:
    words = {"private": "writer", "attribute": "digit", "chance": 1 / 30, "source": source, "setting": setting}
    return plots_finite.frontier(table, kept, **words)


def means(method: str, codebook: int | None = None) -> pd.DataFrame:
    """What has to be drawn of a method (with one K), by lambda and K."""
    rows = TABLE[(TABLE.m == 1) & (TABLE.method == method)].merge(
        KEPT.pivot(index=["method", "lam", "codebook", "seed"], columns="attribute", values="score").reset_index()
    )
    rows = rows if codebook is None else rows[rows.codebook == codebook]
    return rows.drop(columns="method").groupby(["lam", "codebook"], dropna=False).mean().reset_index()


def drawn(axis: Axes, method: str, *, hollow: bool = False) -> list[tuple[np.ndarray, np.ndarray]]:
    """x and y of each line of a method: filled markers are bounds, hollow ones attackers."""
    colour = plots_finite.METHODS[method]["color"]
    lines = [line for line in axis.get_lines() if line.get_color() == colour]
    return [line.get_data() for line in lines if (line.get_markerfacecolor() == "none") == hollow]


def panels(figure: Figure) -> dict[str, Axes]:
    """The panels by what their x axis shows: a column of the table or an attribute."""
    shown = [axis for axis in figure.axes if axis.axison]
    return dict(zip(["utility", "naturalness", *ATTRIBUTES], shown, strict=True))


@pytest.mark.parametrize("method", plots_finite.METHODS)
def test_points_are_means_over_seeds_of_one_image(method):
    expected = means(method)
    for column, axis in panels(frontier()).items():
        points = np.sort(np.hstack(drawn(axis, method)), axis=1)
        assert points.shape[1] == len(expected)
        np.testing.assert_allclose(points[0], np.sort(expected[column]))
        np.testing.assert_allclose(points[1], np.sort(expected.bound))


@pytest.mark.parametrize("method", plots_finite.METHODS)
def test_attackers_are_hollow_and_hang_from_their_bounds(method):
    expected = means(method)
    for column in ("utility", "naturalness"):
        axis = panels(frontier())[column]
        ((x, y),) = drawn(axis, method, hollow=True)
        pairs = np.array(sorted(zip(x, y, strict=True)))
        np.testing.assert_allclose(pairs, sorted(zip(expected[column], expected.worst_attacker, strict=True)))
        (hangers,) = (
            lines.get_segments()
            for lines in axis.collections
            if to_hex(lines.get_color()[0]) == plots_finite.METHODS[method]["color"]
        )
        ends = [(*low, high[1]) for low, high in hangers]
        joined = expected[[column, "worst_attacker", "bound"]].itertuples(index=False, name=None)
        np.testing.assert_allclose(sorted(ends), sorted(joined))


def test_the_finite_releases_of_one_codebook_are_joined_over_lambda():
    axis = panels(frontier(table=TABLE.sample(frac=1, random_state=0)))["utility"]
    lines = drawn(axis, "finite")
    notes = [note for note in axis.texts if note.get_color() == plots_finite.METHODS["finite"]["color"]]
    assert len(lines) == len(notes) == 2
    for k, (x, y) in zip((20, 50), lines, strict=True):
        expected = means("finite", k).sort_values("lam")
        np.testing.assert_allclose(x, expected.utility)
        np.testing.assert_allclose(y, expected.bound)
        (name,) = (note for note in notes if note.get_text() == f"K = {k}")
        assert name.xy == pytest.approx((x[0], y[0]))  # at the smallest lambda
    assert all(len(x) == 1 for method in ("k-means", "medoids", "substitution") for x, _ in drawn(axis, method))


def test_a_panel_for_each_attribute_with_its_kind_and_its_chance():
    for name, (kind, _, chance) in ATTRIBUTES.items():
        axis = panels(frontier())[name]
        assert axis.get_title() == f"{name} ({kind.replace('R2', 'R²')})"
        (blind,) = (line for line in axis.get_lines() if line.get_linestyle() == ":")
        assert blind.get_xdata()[0] == pytest.approx(chance)


def test_chance_is_in_every_panel_and_what_is_better_is_said():
    found = panels(frontier())
    for axis in found.values():
        (blind,) = (line for line in axis.get_lines() if line.get_linestyle() == "--")
        assert blind.get_ydata()[0] == pytest.approx(1 / 30)
        assert axis.get_ylim()[0] == 0
    assert "right and down" in found["utility"].get_title("right")


def test_the_legend_says_everything_once():
    def said(table: pd.DataFrame) -> list[str]:
        (legend,) = (axis.get_legend() for axis in frontier(table=table).axes if axis.get_legend())
        return [text.get_text() for text in legend.get_texts()]

    rest = [
        *["certified bound, any classifier", "best attacker found"],
        *["writer: blind guess", "attribute: answer without looking"],
    ]
    assert said(TABLE) == [*plots_finite.METHODS, *rest]
    assert said(TABLE[TABLE.method == "k-means"]) == ["k-means", *rest]


def test_a_lambda_read_from_json_as_nothing_is_a_lambda_like_others():
    """A table of methods without a lambda alone: their column is all None, not NaN."""
    rows = TABLE[TABLE.lam.isna()].assign(lam=None).astype({"lam": object})
    figure = frontier(table=rows, kept=KEPT.assign(lam=KEPT.lam.astype(object).where(KEPT.lam.notna(), None)))
    for axis in panels(figure).values():
        assert len(drawn(axis, "k-means")) == 2
        assert not drawn(axis, "finite")


# --- both


def terms(source: str = "uci", setting: str = "full") -> Figure:
    rows = [
        {"codes": k, "seed": seed, "restart": 0, "step": step} | {name: step + k + i for i, name in enumerate(TERMS)}
        for k in (20, 40)
        for seed in (0, 1)
        for step in (0, 10, 20)
    ]
    return plots_finite.terms(pd.DataFrame(rows), source=source, setting=setting)


def test_every_term_is_drawn_by_step_for_each_number_of_codes():
    panels = terms().axes
    assert [axis.get_title() for axis in panels] == ["20 codes at the start", "40 codes at the start"]
    for k, axis in zip((20, 40), panels, strict=True):
        for i, line in enumerate(axis.get_lines()[: len(TERMS)]):
            np.testing.assert_allclose(line.get_data(), [[0, 10, 20], [k + i, 10 + k + i, 20 + k + i]])


DRAW = {
    "codebook": lambda source, setting: codebook(source=source, setting=setting),
    "frontier": frontier,
    "terms": terms,
}


def test_every_figure_is_drawn_here():
    drawing = {
        name
        for name, function in inspect.getmembers(plots_finite, inspect.isfunction)
        if function.__module__ == plots_finite.__name__ and inspect.signature(function).return_annotation is Figure
    }
    assert drawing == set(DRAW), "a new figure: draw it here, so that its title is held to what it shows"


@pytest.mark.parametrize("name", DRAW)
def test_neither_synthetic_data_nor_a_small_setting_passes_as_the_real_thing(name):
    for source in ("uci", "synthetic"):
        for setting in ("full", "quick", "smoke"):
            title = DRAW[name](source, setting).get_suptitle()
            assert title.endswith(plots.title_suffix(source, setting))


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_the_same_file_every_time(name, tmp_path):
    for attempt in ("a", "b"):
        plots.save(DRAW[name]("uci", "full"), tmp_path / attempt)
    for kind in ("svg", "png"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
