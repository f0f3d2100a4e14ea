"""Figures: each is drawn where its rows say, says where its images come from, and is the same file every time."""

import numpy as np
import pandas as pd
import pytest
from made_up import LAMBDAS, LOST
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from small_game import PEOPLE, SIZE, fresh
from test_tables import KEY, attack, made, natural

from anonrep.game import GameConfig
from anonrep.methods.perturbations import METHODS
from anonrep.reports import figures, tables
from anonrep.reports.fig1 import figure1, layer_sizes
from anonrep.reports.fig2 import figure2
from anonrep.reports.figures import BASELINES, COLOURS, FACES, OURS, WORDS, release_name
from anonrep.reports.frontier import frontier
from anonrep.reports.pareto import images_per_person, pareto, targets

POINTS = [{"method": "stabilised", "setting": 2.0}, {"method": "finite", "setting": 2.0}]
HISTORY = pd.DataFrame({"epoch": [1, 2], **{name: [0.5, 0.6] for name in figures.PLAYERS}})
TERMS = pd.DataFrame({"codes": [4, 4], "seed": 0, "restart": 0, "step": [0, 10], "price": 1, "information": [0.2, 0.1]})
GAME = GameConfig(hidden=5, channels=3, adversary_channels=2)
PLAYERS = fresh(GAME)
SQUARES = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE), np.uint8)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 6), np.uint8)


def every(found: dict, setting: str) -> dict[str, Figure]:
    """Every figure of the room, of the made-up project."""
    digits, faces = (found[name].results for name in ("pendigits", "ferg"))
    labels = {"source": "synthetic", "setting": setting}
    chosen = found["pendigits"].choose("random")
    strips = {name: found["pendigits"].strips_by_lambda("random", name, chosen) for name in OURS}
    usage = np.full((12, 3), 1 / 12)
    return {
        "figure2": figure2(digits, strips, "random", setting),
        "figure1": figure1(PLAYERS, vars(GAME), *SQUARES, **labels),
        "pareto": pareto(digits, "random", setting),
        "targets": targets(faces, setting),
        "images_per_person": images_per_person(digits, POINTS, setting),
        "frontier": frontier(digits, setting),
        "players": figures.players({"a game": HISTORY}, chance=np.log(3), **labels),
        "terms": figures.terms(TERMS, **labels),
        "codebook": figures.codebook(IMAGES, np.arange(12), usage, private="writer", **labels),
        "contact_sheet": figures.contact_sheet(found["ferg"].data("random"), each=2, setting=setting),
        "strips": figures.strips({"raw": IMAGES}, "Images", **labels),
        "epochs_strip": figures.epochs_strip(np.stack([IMAGES, IMAGES]), **labels),
        "couples": figures.couples(IMAGES, IMAGES, **labels),
    }


def words_in(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_no_figure_of_synthetic_data_or_of_a_small_setting_passes_as_the_real_thing(found):
    for setting in ("full", "quick"):
        for name, figure in every(found, setting).items():
            said = " ".join(words_in(figure).split())
            assert "synthetic data, not the real images" in said, name
            assert ("QUICK SETTING, not the results" in said) == (setting == "quick"), name
    assert figures.title_suffix("uci") == "UCI pen-digits"


def test_a_figure_is_the_same_file_every_time(tmp_path):
    for folder in ("one", "two"):
        figures.save(figures.terms(TERMS, source="uci"), tmp_path / folder / "terms")
    for kind in ("svg", "png"):
        one, two = ((tmp_path / folder / f"terms.{kind}").read_bytes() for folder in ("one", "two"))
        assert one == two


def lines(axis: Axes) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_xydata() for line in axis.get_lines() if not line.get_label().startswith("_")}


def test_figure_2_has_a_panel_a_method_with_its_curves_and_a_cross_where_a_run_collapsed(found):
    results = found["pendigits"].results
    strips = {name: {"raw": IMAGES} for name in OURS}
    by_title = {axis.get_title(): axis for axis in figure2(results, strips, "random").axes if axis.get_title()}
    assert list(by_title) == list(OURS)
    table = tables.releases(results).set_index(["method", "setting"])
    for method, axis in by_title.items():
        here, curves = table.loc[method], lines(axis)
        lambdas = [lam for lam in LAMBDAS if (method, lam) != LOST]
        for label, column in {
            "digit: fresh CNN (paper)": "utility_cnn",
            "writer: fresh CNN (paper)": "private_cnn",
            "writer: best attacker": "private",
        }.items():
            np.testing.assert_allclose(curves[label], np.column_stack([lambdas, here.loc[lambdas, column]]))
        assert ("writer: certified bound for every classifier" in curves) == (method == "finite")
        (crosses,) = [line for line in axis.get_lines() if line.get_label() == "_collapsed run"]
        assert crosses.get_xdata().tolist() == ([LOST[1]] if method == LOST[0] else [])
        (chance,) = [line for line in axis.get_lines() if line.get_label() == "_chance"]
        assert chance.get_ydata()[0] == pytest.approx(1 / 3)
        assert axis.get_ylim()[0] == 0


def audit() -> pd.DataFrame:
    releases = [(name, lam) for name in OURS for lam in (0, 4)] + [(name, 1.0) for name in BASELINES]
    rows, naturals = [], []
    for place, (method, setting) in enumerate(releases):
        for task, accuracy in (("writer", 0.05 + place / 50), ("digit", 0.99 - place / 100)):
            rows.append(attack(method, setting, 0, task, "cnn", accuracy))
        naturals.append({**natural(setting, 0.3 + place / 50), "method": method})
    return made([*rows, attack("raw", None, 0, "writer", "cnn", 0.5)], naturalness=naturals)


def test_every_release_is_a_point_with_the_bar_of_its_interval():
    results = audit()
    table = results.releases.set_index("method")
    panels = pareto(results, "random").axes
    for axis, column in zip(panels, ["utility_cnn", "utility_reader"], strict=True):
        drawn = {part.get_label(): part for part in axis.containers}
        assert set(drawn) == {WORDS.get(method, method) for method in OURS | BASELINES}
        for method, style in (OURS | BASELINES).items():
            rows = table.loc[[method]].sort_values("setting")
            line, _, (bars,) = drawn[WORDS.get(method, method)]
            np.testing.assert_allclose(line.get_xydata(), rows[[column, "private"]])
            ends = [(x, low, high) for (x, low), (_, high) in bars.get_segments()]
            np.testing.assert_allclose(ends, rows[[column, "private_low", "private_high"]], atol=1e-12)
            assert (line.get_color(), line.get_marker()) == tuple(style.values())


def test_a_method_that_is_not_there_is_not_drawn():
    results = made(
        [attack(name, 1, 0, task, "cnn", 0.5) for name in ("finite", "leace") for task in ("writer", "digit")],
        naturalness=[{**natural(1, 0.5), "method": name} for name in ("finite", "leace")],
    )
    assert {part.get_label() for part in pareto(results, "random").axes[0].containers} == {"finite", "LEACE"}


def test_every_method_has_a_mark_of_its_own_and_a_name():
    assert set(BASELINES) >= {*METHODS}
    for styles in (OURS | BASELINES, FACES):
        marks = [tuple(style.values()) for style in styles.values()]
        assert len(set(marks)) == len(marks)
    names = {("finite", 4): "finite, λ = 4", ("gaussian_noise", 0.25): "Gaussian noise, 0.25"}
    names |= {("leace", np.nan): "LEACE", ("faithful-reversal", 0): "faithful, gradient reversal, λ = 0"}
    names |= {("substitution", 0): "substitution"}
    assert {release_name(*key) for key in names} == set(names.values())


def test_fig_1_has_the_size_of_every_layer_of_the_networks_it_is_given():
    sizes = [layer_sizes(player, SIZE, SIZE) for player in PLAYERS]
    decoder = [(256,), (24,), (3, 4, 4), (1, SIZE, SIZE)]
    assert sizes[0] == [(3, 4, 4), (6, 2, 2), (256,), (5,), *decoder]
    assert sizes[1:] == [[(2, 4, 4), (4, 2, 2), (256,), (outputs,)] for outputs in (1, PEOPLE)]
    figure = figure1(PLAYERS, vars(GAME), *SQUARES, source="uci")
    said = [text.get_text() for text in figure.findobj(Text)]
    for size in [size for player in sizes for size in player]:
        assert (f"{size[0]}\n{size[1]} × {size[2]}" if len(size) == 3 else f"{size[0]}") in said


def test_targets_are_points_at_utility_and_identity_beside_what_is_certified(found):
    results = found["ferg"].results
    table = tables.releases(results)
    for axis, split in zip(targets(results).axes, ("random", "clips"), strict=True):
        points = {part.get_label(): part.get_offsets() for part in axis.collections}
        assert set(points) <= set(FACES), "the paper's numbers are for other images"
        assert {"raw", "standard", "substituted", "finite"} <= set(points)
        for method in points:
            mine = tables.at(table, split=split, method=method)
            np.testing.assert_allclose(points[method], mine[["utility", "private"]])
        levels = {line.get_label(): line.get_ydata()[0] for line in axis.get_lines()}
        assert levels == {
            "chance": results.about["chance"][split],
            "finite: certified for every classifier": 0.25 if split == "random" else 0.45,
        }


def test_an_attacker_with_several_images_stands_beside_the_bound_of_its_own_release(found):
    curves = lines(images_per_person(found["pendigits"].results, POINTS).axes[0])
    bounds = [name for name in curves if "certified" in name]
    assert bounds == ["finite, λ = 2: certified bound"]
    np.testing.assert_allclose(curves[bounds[0]][:, 1], [0.51, 0.55])


def certified(method: str, setting: float | None, codes: int, seed: int, place: int, m: int = 1) -> dict:
    row = {**KEY, "method": method, "setting": setting, "codes": codes, "seed": seed, "m": m, "n": 100, "delta": 0.05}
    bound = {"bound": 0.2 + place / 10 + seed / 100 + m / 50, "best_attacker": 0.1 + seed / 50, "validation_bound": 0.5}
    return {**row, **bound, "utility": 0.9 - place / 10, "naturalness": 0.8 - place / 10}


def test_the_frontier_draws_means_over_seeds_of_one_image_with_the_attacker_below():
    methods = [("finite", 0, 20), ("finite", 4, 20), ("k-means", None, 10), ("substitution", None, 7)]
    rows = [
        certified(*method, seed, place, m) for place, method in enumerate(methods) for seed in (0, 1) for m in (1, 5)
    ]
    kept = [{**row, "attribute": "slant", "kind": "R2", "score": 0.4, "chance": 0.0} for row in rows if row["m"] == 1]
    results = made([attack("raw", None, 0, "writer", "cnn", 0.5)], certificate=rows, utility=kept)
    large, _, small, _ = frontier(results).axes
    filled = [line for line in large.get_lines() if line.get_linestyle() == "-"]
    assert len(filled) == 3, "the finite releases are joined over lambda"
    (finite,) = [line for line in filled if line.get_color() == COLOURS["certified"]]
    np.testing.assert_allclose(finite.get_xydata(), [[0.9, 0.225], [0.8, 0.325]])
    hollow = [line for line in large.get_lines() if line.get_markerfacecolor() == "none"]
    np.testing.assert_allclose([y for line in hollow for y in line.get_ydata()], 0.11)
    assert small.get_title() == "slant (R²)"


def test_images_are_followed_from_the_end_of_phase_i_through_both_games(found):
    artefacts = found["pendigits"]
    run, raw = artefacts.run(method="stabilised"), artefacts.data("random").images[:4]
    np.testing.assert_array_equal(artefacts.snapshots(run), [raw, raw // 2, raw, raw])


def test_a_codeword_stands_above_its_bar_and_its_column():
    counts, usage = np.arange(1, 13), np.random.default_rng(1).random((12, 5))
    words, bars, heat, _ = figures.codebook(IMAGES, counts, usage, private="writer", source="uci").axes
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], counts / counts.sum())
    np.testing.assert_array_equal(heat.get_images()[0].get_array(), usage.T)
    places = [axis.get_position() for axis in (words, bars, heat)]
    assert len({round(place.x0, 6) for place in places}) == len({round(place.x1, 6) for place in places}) == 1


def test_a_contact_sheet_shows_each_person_with_each_value_and_nobody_last(found):
    data = found["ferg"].data("random")
    axis = figures.contact_sheet(data, each=1).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == list(figures.NAMES["identity"][:6])
    assert [label.get_text() for label in axis.get_yticklabels()] == list(figures.NAMES["expression"])
    shown = np.asarray(axis.get_images()[0].get_array())
    mine = np.flatnonzero((data.z == 0) & (data.attributes["expression"] == 0))
    np.testing.assert_array_equal(shown[:12, :12], data.images[mine[len(mine) // 2]])


@pytest.mark.parametrize("ink", [True, False])
def test_couples_are_images_above_their_releases(ink):
    shown = figures.couples(IMAGES, 255 - IMAGES, source="uci", ink=ink).axes[0].get_images()[0].get_array()
    np.testing.assert_array_equal(shown[:6, :6], 255 - IMAGES[0] if ink else IMAGES[0])
    np.testing.assert_array_equal(shown[8:14, :6], IMAGES[0] if ink else 255 - IMAGES[0])


def test_no_word_is_cut_off(found):
    for name, figure in every(found, "quick").items():
        FigureCanvasAgg(figure).draw()
        ticks = {label for axis in figure.axes for label in axis.get_xticklabels()}  # some are beyond the axis
        for text in set(figure.findobj(Text)) - ticks:
            if text.get_visible() and text.get_text():
                place = text.get_window_extent()
                assert -1 <= place.x0 <= place.x1 <= figure.bbox.x1 + 1, (name, text.get_text())
