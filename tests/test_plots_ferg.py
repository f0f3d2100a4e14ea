"""Figures of the faces: every release lies where its row says, and no synthetic image passes as FERG-DB."""

import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS, EXPRESSIONS
from anonrep.reports import plots, plots_ferg
from anonrep.reports.plots_ferg import STYLES, person
from anonrep.stages.results_ferg import METHODS, PAPER

SOURCES, SETTINGS = ("ferg", "synthetic"), ("full", "smoke")
SIZE, EACH = 6, 8
MAJORITY = {"random": 0.19, "clips": 0.22}


def faces(people: range = range(6), source: str = "synthetic") -> Dataset:
    """Eight images of each person and expression, each of a grey of its own person and expression."""
    z, expression = (part.repeat(EACH) for part in np.divmod(np.arange(7 * len(people)), 7))
    z = z + people.start
    images = np.broadcast_to((20 * z + 7 * expression + 5)[:, None, None], (len(z), SIZE, SIZE)).astype(np.uint8)
    split = np.zeros(len(z), np.uint8)
    provenance = {"source": source, "private": "identity", "ink": False}
    return Dataset(images, z, {"expression": expression}, split, provenance)


def table() -> pd.DataFrame:
    """Every release at a place of its own."""
    rows = []
    for split in MAJORITY:
        for method in METHODS:
            for target in (None,) if method in ("raw", "standard") else range(7):
                place = len(rows)
                row = {"split": split, "method": method, "target": np.nan if target is None else target}
                rows.append(row | {"identity": 0.2 + 0.01 * place, "expression": 0.9 - 0.005 * place})
    return pd.DataFrame(rows)


TABLE = table()
CERTIFICATE = pd.DataFrame(
    [{"split": "random", "bound": 0.31, "clip_bound": 0.52}, {"split": "clips", "bound": 0.33, "clip_bound": 0.57}]
)


def table1(
    source: str = "synthetic", setting: str = "full", rows: pd.DataFrame = TABLE, bounds: pd.DataFrame = CERTIFICATE
) -> Figure:
    return plots_ferg.table1(rows, bounds, MAJORITY, source=source, setting=setting)


def sheet(source: str = "synthetic", setting: str = "full") -> Figure:
    return plots_ferg.sheet(faces(source=source), faces(range(6, 7)), setting=setting)


def rows_of_images(source: str = "synthetic", setting: str = "full") -> Figure:
    rows = {"image": np.full((4, SIZE, SIZE), 9, np.uint8), "nobody": np.full((4, SIZE, SIZE), 99, np.uint8)}
    return plots_ferg.rows_of_images(rows, "restricted", source=source, setting=setting)


DRAW = {"table1": table1, "sheet": sheet, "rows_of_images": rows_of_images}


# --- names


def test_every_target_has_a_name():
    assert [person(target) for target in range(6)] == list(CHARACTERS)
    assert person(6) == "nobody"
    assert person(np.int64(2)) == CHARACTERS[2]


def test_every_method_has_a_mark_of_its_own():
    assert set(STYLES) == set(METHODS)
    assert len({tuple(style.values()) for style in STYLES.values()}) == len(METHODS)


# --- Table 1


def points(axis: Axes) -> dict[str, np.ndarray]:
    return {part.get_label(): np.asarray(part.get_offsets()) for part in axis.collections}


def test_every_release_is_a_point_at_its_expression_and_identity():
    for axis, split in zip(table1().axes, MAJORITY, strict=True):
        assert axis.get_title() == f"split: {split}"
        found = points(axis)
        for method in METHODS:
            mine = TABLE[(TABLE.split == split) & (TABLE.method == method)]
            np.testing.assert_allclose(found[method], mine[["expression", "identity"]])
    assert not np.isclose(points(table1().axes[0])["finite"], points(table1().axes[1])["finite"]).any()


def test_a_mark_is_its_methods_own():
    for part in table1().axes[0].collections[: len(METHODS)]:
        expected = to_rgba(STYLES[part.get_label()]["color"])[:3]
        np.testing.assert_allclose(part.get_facecolor()[0][:3], expected)


def test_the_papers_points_stand_beside_its_own_split_alone():
    first, second = table1().axes
    (name,) = (label for label in points(first) if "paper" in label)
    assert "FERG-DB" in name
    np.testing.assert_allclose(points(first)[name], [(expression, identity) for identity, expression in PAPER.values()])
    assert not any("paper" in label for label in points(second))


def test_the_blind_guess_and_the_bound_that_holds_for_the_split_are_lines():
    for axis, (split, bound) in zip(table1().axes, {"random": 0.31, "clips": 0.57}.items(), strict=True):
        lines = {line.get_label(): line.get_ydata()[0] for line in axis.get_lines()}
        assert lines == {"majority": MAJORITY[split], "finite: certified, any classifier": bound}


def test_targets_are_written_beside_what_can_be_released():
    for axis in table1().axes:
        assert [note.get_text() for note in axis.texts] == 2 * [f"{target}" for target in range(7)]
        (split,) = (name for name in MAJORITY if axis.get_title().endswith(name))
        mine = TABLE[(TABLE.split == split) & TABLE.method.isin(["substituted", "finite"])]
        np.testing.assert_allclose([note.xy for note in axis.texts], mine[["expression", "identity"]])


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def test_the_legend_names_what_is_drawn_once():
    names = [*METHODS, "paper, Table 1 (FERG-DB)", "majority", "finite: certified, any classifier"]
    assert sorted(legend(table1())) == sorted(names)


@pytest.mark.parametrize("missing", [["restricted", "substituted"], ["standard"]])
def test_a_method_that_collapsed_everywhere_is_not_drawn_and_the_others_stay(missing):
    figure = table1(rows=TABLE[~TABLE.method.isin(missing)])
    for axis in figure.axes:
        drawn = {label for label, places in points(axis).items() if len(places)}
        assert not drawn & set(missing)
        assert drawn >= set(METHODS) - set(missing)
    assert not set(legend(figure)) & set(missing)


def test_what_one_panel_alone_shows_is_in_the_legend_too():
    figure = table1(rows=TABLE[(TABLE.split == "clips") | (TABLE.method != "standard")])
    assert "standard" not in points(figure.axes[0])
    assert sorted(legend(figure)) == sorted(legend(table1()))


def test_one_split_is_one_panel():
    figure = plots_ferg.table1(TABLE, CERTIFICATE, {"clips": 0.22}, source="ferg")
    (axis,) = figure.axes
    assert axis.get_title() == "split: clips"


def test_axes_say_what_is_found_by_whom():
    first, second = table1().axes
    assert first.get_ylabel() == "identity found by the best attacker"
    assert {first.get_xlabel(), second.get_xlabel()} == {"expression found by the best attacker"}


# --- images


def shown(figure: Figure) -> np.ndarray:
    (axis,) = figure.axes
    return np.asarray(axis.images[0].get_array())


def cell(paper: np.ndarray, row: int, column: int) -> np.ndarray:
    pitch = SIZE + 2
    return paper[row * pitch : row * pitch + SIZE, column * pitch : column * pitch + SIZE]


def test_a_sheet_has_two_images_of_each_character_and_expression_and_nobody_last():
    paper = shown(sheet())
    for row in range(7):
        for expression in range(7):
            for place in (2 * expression, 2 * expression + 1):
                assert (cell(paper, row, place) == 20 * row + 7 * expression + 5).all()
    (axis,) = sheet().axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == [*CHARACTERS, "nobody"]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == list(EXPRESSIONS)
    for place, tick in enumerate(axis.get_xticks()):
        assert abs(tick - ((2 * place + 1) * (SIZE + 2) - 1)) <= 1  # between the two
    alone = plots_ferg.sheet(faces())
    assert [tick.get_text() for tick in alone.axes[0].get_yticklabels()] == list(CHARACTERS)


def test_the_two_images_are_far_apart_in_their_cell():
    data = faces()
    order = np.arange(len(data)) % EACH
    data = replace(data, images=np.broadcast_to((10 * order)[:, None, None], data.images.shape).astype(np.uint8))
    paper = shown(plots_ferg.sheet(data))
    assert (cell(paper, 0, 0) == 20).all()
    assert (cell(paper, 0, 1) == 60).all()


def test_an_expression_that_somebody_never_shows_leaves_its_own_place_empty():
    """Whatever comes after it stays under its name."""
    data = faces()
    paper = shown(plots_ferg.sheet(data.take((data.z != 2) | (data.attributes["expression"] != 3))))
    assert (cell(paper, 2, 8) == 20 * 2 + 7 * 4 + 5).all()
    assert (cell(paper, 3, 6) == 20 * 3 + 7 * 3 + 5).all()


def test_rows_of_images_stand_under_one_another_with_their_names():
    figure = rows_of_images()
    (axis,) = figure.axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["image", "nobody"]
    assert (cell(shown(figure), 0, 3) == 9).all()
    assert (cell(shown(figure), 1, 0) == 99).all()  # light, not ink: as bright as it is
    assert figure.get_suptitle().startswith("restricted: ")


# --- all


def test_every_figure_is_drawn_here():
    drawing = {
        name
        for name, function in inspect.getmembers(plots_ferg, inspect.isfunction)
        if function.__module__ == plots_ferg.__name__ and inspect.signature(function).return_annotation is Figure
    }
    assert drawing == set(DRAW), "a new figure: draw it here, so that its title is held to what it shows"


@pytest.mark.parametrize("name", DRAW)
def test_neither_synthetic_data_nor_a_small_setting_passes_as_the_real_thing(name):
    for source in SOURCES:
        for setting in SETTINGS:
            title = DRAW[name](source, setting).get_suptitle()
            assert title.endswith(plots.title_suffix(source, setting))
            assert ("synthetic, not the real data" in title) == (source == "synthetic")
            assert ("SMOKE SETTING, not the results" in title) == (setting == "smoke")


def test_the_sheets_title_is_the_datas_own_source():
    """The artificial person, who is always drawn, does not make real faces synthetic, nor the reverse."""
    real = plots_ferg.sheet(faces(source="ferg"), faces(range(6, 7), source="synthetic"))
    assert "synthetic" not in real.get_suptitle()
    tried = plots_ferg.sheet(faces(source="synthetic"), faces(range(6, 7), source="ferg"))
    assert "synthetic, not the real data" in tried.get_suptitle()


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_the_same_file_every_time(name):
    first, second = (plots.svg(DRAW[name]()) for _ in range(2))
    assert first == second
    assert first != plots.svg(DRAW[name]("ferg"))  # the control: another title
