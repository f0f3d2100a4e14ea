"""Synthetic digits: in the real form, honest about itself, and neither too easy nor too hard."""

import numpy as np
import pytest
from sklearn.svm import SVC

from anonrep.data.pendigits import build
from anonrep.data.synthetic import pendigits as synthetic
from anonrep.data.unipen import TABLET, parse_unipen


@pytest.fixture(scope="module")
def small() -> bytes:
    return synthetic.synthetic_pendigits(5, writers=4, digits_per_writer=53)


def test_the_reader_reads_it(small):
    digits = parse_unipen(small)
    assert len(digits) == 4 * 53
    assert sorted({digit.writer for digit in digits}) == [1, 2, 3, 4]
    assert sorted((d.writer, d.instance) for d in digits) == [(w, i) for w in range(1, 5) for i in range(1, 54)]
    assert np.bincount([digit.label for digit in digits]).min() == 4 * 5
    points = np.concatenate([stroke for digit in digits for stroke in digit.strokes])
    assert points.min() > 0
    assert points.max() < TABLET  # nothing had to be cut at the tablet's edge


def test_its_first_line_says_what_it_is(small):
    assert small.startswith(synthetic.HEADER)
    assert b"ynthetic" in small.split(b"\n")[0]


def test_same_seed_same_bytes(small):
    assert synthetic.synthetic_pendigits(5, writers=4, digits_per_writer=53) == small
    assert synthetic.synthetic_pendigits(6, writers=4, digits_per_writer=53) != small


def test_a_writer_does_not_depend_on_how_many_there_are(small):
    fewer = parse_unipen(synthetic.synthetic_pendigits(5, writers=2, digits_per_writer=53))
    first, second = (
        {d.instance: np.concatenate(d.strokes).tolist() for d in digits if d.writer == 2}
        for digits in (fewer, parse_unipen(small))
    )
    assert first == second


def test_too_few_digits_is_an_error():
    with pytest.raises(ValueError, match="30 writers with 9 digits each; expected"):
        synthetic.synthetic_pendigits(0, digits_per_writer=9)


def test_digits_are_easy_and_writers_are_neither_hidden_nor_obvious():
    """A tenth of the size of the real file leaves an attacker less to learn from, hence the wide bounds."""
    data = synthetic.synthetic_pendigits(0, writers=10, digits_per_writer=120)
    dataset = build(parse_unipen(data), {"source": "synthetic"}, split_sizes=(9, 1, 2))
    train, test = dataset.subset("train"), dataset.subset("test")
    pixels = [part.images.reshape(len(part), -1) / 255 for part in (train, test)]
    digit = SVC(C=10, gamma=0.02).fit(pixels[0], train.attributes["digit"]).score(pixels[1], test.attributes["digit"])
    writer = SVC(C=10, gamma=0.02).fit(pixels[0], train.z).score(pixels[1], test.z)
    assert digit > 0.95
    assert 0.4 < writer < 0.95
