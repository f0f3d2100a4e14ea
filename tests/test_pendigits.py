"""Rendering, attributes and the data set; on hand-made strokes and, where they are at hand, on the real files."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.data.pendigits import attributes, build, render
from anonrep.data.unipen import TABLET, Digit, parse_unipen
from anonrep.reports import figures

ROOT = Path(__file__).parents[1]


def digit(*strokes: list, label: int = 1, writer: int = 1) -> Digit:
    return Digit(tuple(np.array(stroke) for stroke in strokes), label, writer, 1)


UPRIGHT = digit([(250, 400), (250, 100)])
SLANTED = digit([(300, 400), (200, 100)])
SQUARE = digit([(100, 100), (300, 100), (300, 300), (100, 300), (100, 100)])
DOT = digit([(20, 480)])


def test_an_upright_line_is_a_centred_column():
    (image,) = render([UPRIGHT])
    assert image.dtype == np.uint8
    assert image.shape == (20, 20)
    assert image[:, 9:11].min(1)[2:18].min() > 200  # ink over the box's height
    assert image[:, :8].max() == image[:, 12:].max() == 0
    assert image[0].max() == image[-1].max() == 0  # the margin
    assert abs(image.sum(0) @ np.arange(20) / image.sum() - 9.5) < 0.1


def test_ends_are_round_and_edges_grey():
    (image,) = render([UPRIGHT], size=60, pen=12)
    widths = (image > 127).sum(1)
    first = np.flatnonzero(widths)[0]
    assert widths[first] < widths[first + 2] < widths[30] == 12
    assert ((image > 0) & (image < 255)).any()


def test_the_digits_own_box_forgets_place_and_size_and_the_tablet_keeps_them():
    moved = digit(*(stroke // 2 + 30 for stroke in SQUARE.strokes))
    near, far = render([SQUARE, moved]).astype(int)
    assert np.abs(near - far).max() == 0
    near, far = render([SQUARE, moved], frame="tablet").astype(int)
    assert far.sum() < near.sum()


def test_the_tablets_y_axis_points_upwards():
    (image,) = render([DOT], frame="tablet")
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert (row, column) == (0, 0)  # x 20 is left, y 480 is at the top


def test_the_aspect_is_kept():
    flat = digit([(100, 100), (400, 100), (400, 200), (100, 200), (100, 100)])
    ink = render([flat])[0] > 127
    assert 2.2 < np.ptp(np.flatnonzero(ink.any(0))) / np.ptp(np.flatnonzero(ink.any(1))) < 3.0


@given(
    st.lists(st.tuples(st.integers(0, TABLET), st.integers(0, TABLET)), min_size=1, max_size=30),
    st.sampled_from(["digit", "tablet"]),
    st.integers(10, 40),
)
@settings(max_examples=50)
def test_any_stroke_leaves_ink_inside_the_image_and_finite_attributes(points, frame, size):
    one = digit(points)
    (image,) = render([one], size, frame)
    assert image.shape == (size, size)
    assert image.max() > 0
    if frame == "digit":
        assert image[0].max() == image[-1].max() == image[:, 0].max() == image[:, -1].max() == 0
    assert all(np.isfinite(value).all() for value in attributes([one]).values())


def test_wrong_words_are_errors():
    with pytest.raises(ValueError, match=r"frame 'page'; expected one of \('digit', 'tablet'\)"):
        render([DOT], frame="page")
    with pytest.raises(ValueError, match="leave no room"):
        render([DOT], size=4, pen=3)


def test_attributes_of_known_shapes():
    found = attributes([UPRIGHT, SLANTED, SQUARE, DOT, digit([(0, 0), (9, 9)], [(5, 5)], label=7)])
    assert found["digit"].tolist() == [1, 1, 1, 1, 7]
    assert found["strokes"].tolist() == [1, 1, 1, 1, 2]
    np.testing.assert_allclose(found["aspect"], [1 / 300, 1 / 3, 1, 1, 1])
    np.testing.assert_allclose(found["slant"][:2], [0, np.arctan(1 / 3)], atol=1e-6)  # leaning right is positive
    np.testing.assert_allclose(found["curvature"][:2], 0, atol=1e-6)
    # three right angles over four sides, for a way as long as the diagonal
    assert found["curvature"][2] == pytest.approx(3 * np.pi / 2 / (800 / np.hypot(200, 200)), rel=0.05)
    assert found["curvature"][3] == 0


def test_a_left_turn_counts_as_much_as_a_right_one():
    zigzag = digit([(100, 100), (200, 300), (300, 100), (400, 300)])
    mirrored = digit(*(np.stack([TABLET - s[:, 0], s[:, 1]], 1) for s in zigzag.strokes))
    first, second = attributes([zigzag, mirrored])["curvature"]
    assert first == pytest.approx(second)
    assert first > 1


def test_build_numbers_the_writers_and_carries_the_provenance():
    digits = [digit([(1, 1), (9, 9)], label=k % 10, writer=(5, 9, 30)[k % 3]) for k in range(60)]
    dataset = build(digits, {"source": "synthetic"}, split_sizes=(40, 10, 10), seed=3)
    assert dataset.z.tolist() == [0, 1, 2] * 20
    assert np.bincount(dataset.split).tolist() == [40, 10, 10]
    assert dataset.provenance == {
        **{"source": "synthetic", "private": "writer", "utility": "digit", "digits": 60, "strokes": 60, "writers": 3},
        **{"dataset": "pendigits", "size": 20, "frame": "digit", "split": "random", "split_seed": 3},
    }
    again = build(digits, {"source": "synthetic"}, split_sizes=(40, 10, 10), seed=3)
    other = build(digits, {"source": "synthetic"}, split_sizes=(40, 10, 10), seed=4)
    assert (again.split == dataset.split).all()
    assert (other.split != dataset.split).any()


def test_the_contact_sheet_names_synthetic_data():
    digits = [digit([(1, 1), (9, 9 - k % 10)], label=k % 10, writer=1 + k % 3) for k in range(60)]
    for source, words in {"synthetic": "synthetic", "uci": "UCI pen-digits"}.items():
        figure = figures.contact_sheet(build(digits, {"source": source}, split_sizes=(4, 1, 1)))
        assert words in figure.get_suptitle()


@pytest.fixture
def real_folder() -> Path:
    folder = Path(os.environ.get("ANONREP_DATA") or ROOT / ".." / "shared" / "data")
    for place in (folder / "pendigits", folder):
        if (place / "pendigits-orig.tra").exists():
            return place
    pytest.skip("the real pen-digits files are not at hand (ANONREP_DATA)")


def test_the_real_training_file(real_folder):
    digits = parse_unipen((real_folder / "pendigits-orig.tra").read_bytes())
    started = time.process_time()
    dataset = build(digits, {"source": "uci"})
    assert time.process_time() - started < 5
    assert json.loads(json.dumps(dataset.provenance))["strokes"] == 9433
    assert (len(dataset), dataset.n_private) == (7494, 30)
    assert np.bincount(dataset.split).tolist() == [5494, 1000, 1000]
    assert np.unique(dataset.attributes["digit"]).tolist() == list(range(10))
    assert dataset.images.max((1, 2)).min() == 255
    assert all(np.isfinite(value).all() for value in dataset.attributes.values())


def test_the_real_test_file_is_read_too(real_folder):
    path = real_folder / "pendigits-orig.tes"
    if not path.exists():
        pytest.skip("the second real file is not at hand")
    digits = parse_unipen(path.read_bytes())
    assert (len(digits), len({one.writer for one in digits})) == (3498, 14)
