"""The certificate: known answers, and that its limits hold as often as they say, by enumeration and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import binomtest, multinomial

from anonrep.evaluation.certificate import accuracy_bound, certify, clip_accuracy_bound, group_bound
from anonrep.evaluation.contingency import deal, plug_in_information, smoothed, table_attack
from anonrep.evaluation.divergence import information_bound

DELTA = 0.05


def uniform(size):
    return np.full(size, 1 / size)


def pairs(table):
    """(codes, z) with the counts of a table (|Z|, K)."""
    z, codes = np.repeat(np.indices(table.shape).reshape(2, -1), table.ravel(), axis=1)
    return codes, z


def draw(joint, n, rng):
    return pairs(rng.multinomial(n, joint.ravel()).reshape(joint.shape))


def divergence(joint, p_z, p_k):
    """D(joint || p_z x p_k), nats; joint may be a stack of tables."""
    return rel_entr(joint, np.outer(p_z, p_k)).sum(axis=(-2, -1))


def best_accuracy(joint, m=1):
    """The best classifier of m codes drawn independently given the person, by enumerating all K^m."""
    p_z = joint.sum(axis=1)
    held = given_person = joint / p_z[:, None]
    for _ in range(m - 1):
        held = (held[:, :, None] * given_person[:, None, :]).reshape(len(p_z), -1)
    return (p_z[:, None] * held).max(axis=0).sum()


def channels():
    """Joint tables from no leak to much: name to (|Z|, K)."""
    rng = np.random.default_rng(0)
    p_z, p_k = rng.dirichlet(np.full(6, 20)), rng.dirichlet(np.full(5, 5))
    independent = np.outer(p_z, p_k)
    leaking = p_z[:, None] * rng.dirichlet(np.full(5, 0.3), 6)
    own_code = np.zeros((6, 6))
    own_code[0, 5], own_code[1:, :5] = p_z[0], independent[1:]
    return {
        "independent": independent,
        "nearly independent": p_z[:, None] * rng.dirichlet(200 * p_k, 6),
        "leaking": leaking,
        "mixture": 0.8 * independent + 0.2 * leaking,
        "one person has a code of their own": own_code,
        "identity": np.diag(uniform(6)),
    }


CHANNELS = channels()


def references(joint):
    """Slightly wrong on purpose: what counting 500 other pairs would give, all used or not."""
    rng = np.random.default_rng(1)
    codes, z = draw(joint, 500, rng)
    return {"p_z": smoothed(z, joint.shape[0]), "p_k": smoothed(codes, joint.shape[1])}


# Counting


@pytest.mark.parametrize("persons", [[70, 30], [5, 5, 5, 5], [1, 0]])
def test_one_code_for_all_gives_the_limit_of_the_largest_class(persons):
    codes, z = pairs(np.array(persons)[:, None])
    exact = binomtest(max(persons), sum(persons), alternative="less").proportion_ci(1 - DELTA, "exact").high
    assert accuracy_bound(codes, z, DELTA) == pytest.approx(exact)
    assert plug_in_information(codes, z) == pytest.approx(0, abs=1e-12)


def test_is_not_vacuous_for_a_release_that_tells_the_digit_alone():
    """Thirty writers, ten codes, a thousand images: chance is 3.3 %, the bounds are in reach of it."""
    codes, z = draw(np.outer(uniform(30), uniform(10)), 1000, np.random.default_rng(0))
    one, several = certify(codes, z, p_z=uniform(30), p_k=uniform(10), images_per_person=(1, 5))
    assert 0.08 < one["bound"] < 0.10
    assert one["information_bound"] < 0.12 < one["information"]  # the plug-in estimate, by its bias alone
    assert several["bound"] < 0.4


@pytest.mark.parametrize("name", CHANNELS)
def test_counting_holds_as_often_as_it_says(name):
    joint, rng = CHANNELS[name], np.random.default_rng(2)
    held = [accuracy_bound(*draw(joint, 150, rng), DELTA) >= best_accuracy(joint) - 1e-12 for _ in range(200)]
    assert np.mean(held) >= 1 - DELTA


def test_counting_without_a_margin_does_not():
    """The control: with one clear guess for each code, the share of hits is below the truth every second time."""
    joint, rng = 0.1 * np.outer(uniform(6), uniform(6)) + 0.9 * np.diag(uniform(6)), np.random.default_rng(3)
    held = [draw_hits(joint, 150, rng) >= best_accuracy(joint) for _ in range(200)]
    assert 0.3 < np.mean(held) < 0.7


def draw_hits(joint, n, rng):
    return rng.multinomial(n, joint.ravel()).reshape(joint.shape).max(axis=0).sum() / n


# Counting clips


@given(st.integers(2, 4), st.integers(1, 5), st.integers(1, 300), st.floats(0.001, 0.5), st.integers(0, 2**32 - 1))
def test_clips_of_one_frame_give_chernoffs_limit_a_little_above_the_exact_one(persons, codes, n, delta, seed):
    rng = np.random.default_rng(seed)
    codes, z = draw(rng.dirichlet(np.full(persons * codes, 0.5)).reshape(persons, codes), n, rng)
    found, exact = clip_accuracy_bound(codes, z, rng.permutation(n), delta), accuracy_bound(codes, z, delta)
    assert exact - 1e-9 <= found <= 1
    share = np.max([np.bincount(codes[z == one], minlength=codes.max() + 1) for one in range(z.max() + 1)], 0).sum() / n
    if found < 1:
        assert n * rel_entr([share, 1 - share], [found, 1 - found]).sum() == pytest.approx(-math.log(delta), rel=1e-6)
        assert found - exact < 2.5 / math.sqrt(n)


def frames(joint, clips, length, rng):
    """Codes, persons and clips: each clip one draw, and all of its frames the same."""
    codes, z = draw(joint, clips, rng)
    return np.repeat(codes, length), np.repeat(z, length), np.repeat(np.arange(clips), length)


@pytest.mark.parametrize("name", [*CHANNELS, "two people"])
def test_counting_clips_holds_as_often_as_it_says_when_frames_are_alike(name):
    """The control: frames taken for draws. Where the guess is clear, their limit is too low every third time."""
    joint = {**CHANNELS, "two people": np.array([[0.35, 0.15], [0.15, 0.35]])}[name]
    rng, truth = np.random.default_rng(11), best_accuracy(joint) - 1e-12
    draws = [frames(joint, 40, 20, rng) for _ in range(300)]
    held = [clip_accuracy_bound(*one, DELTA) >= truth for one in draws]
    assert np.mean(held) >= 1 - DELTA
    if name == "two people":
        assert np.mean([accuracy_bound(codes, z, DELTA) >= truth for codes, z, _ in draws]) < 0.8


# Information


@pytest.mark.parametrize("name", CHANNELS)
def test_information_limit_holds_as_often_as_it_says(name):
    """The limit grows with the statistic, so that it holds in 95 % if it holds at the statistic's quantile of 5 %.

    The control is the estimate without a margin: where codes are persons it falls short of the truth far too often.
    """
    joint, n, given_ = CHANNELS[name], 150, references(CHANNELS[name])
    tables = np.random.default_rng(4).multinomial(n, joint.ravel(), 2000).reshape(-1, *joint.shape)
    estimates = divergence(tables / n, **given_)
    low = tables[np.argsort(estimates)[int(DELTA * len(tables))]]
    truth = divergence(joint, **given_)
    assert information_bound(*pairs(low), **given_, delta=DELTA) >= truth
    if name == "identity":
        assert np.mean(estimates < truth) > 3 * DELTA


def test_information_limit_holds_by_enumeration():
    """Every table of twelve pairs, each with its exact probability, at a level at which much may go wrong."""
    joint = [[0.5, 0.1], [0.1, 0.3]]
    n, delta, given_ = 12, 0.4, {"p_z": np.array([0.55, 0.45]), "p_k": np.array([0.6, 0.4])}
    cells = np.indices((n + 1,) * 3).reshape(3, -1).T
    tables = np.c_[cells, n - cells.sum(axis=1)][cells.sum(axis=1) <= n].reshape(-1, 2, 2)
    tables = tables[np.argsort(divergence(tables / n, **given_))]
    truth = divergence(np.array(joint), **given_)
    low, high = 0, len(tables)  # bisection: the limit is below the truth for tables[:low]
    while low < high:
        middle = (low + high) // 2
        short = information_bound(*pairs(tables[middle]), **given_, delta=delta) < truth
        low, high = (middle + 1, high) if short else (low, middle)
    assert multinomial.pmf(tables[:low].reshape(-1, 4), n, np.ravel(joint)).sum() <= delta


# Several images of one person


@given(st.floats(0, 2), st.integers(1, 30), st.floats(0.01, 0.99))
def test_group_bound_solves_its_equation_and_grows(information, m, p_max):
    bound = group_bound(information, m, p_max)
    assert p_max <= bound <= 1
    if bound < 1:
        spent = bound * math.log(bound / p_max) + (1 - bound) * math.log((1 - bound) / (1 - p_max))
        assert spent == pytest.approx(m * information, abs=1e-6)
    else:
        assert m * information >= -math.log(p_max) - 1e-6
    assert group_bound(information, m + 1, p_max) >= bound
    assert group_bound(information + 0.01, m, p_max) >= bound
    assert group_bound(0, m, p_max) == pytest.approx(p_max)


@given(st.integers(2, 5), st.integers(2, 5), st.floats(0.05, 5), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_group_bound_holds_for_the_best_classifier(persons, codes, spread, m, seed):
    """Whatever the channel and however wrong the references."""
    rng = np.random.default_rng(seed)
    joint = rng.dirichlet(np.full(persons, 3))[:, None] * rng.dirichlet(np.full(codes, spread), persons)
    p_z, p_k = rng.dirichlet(np.full(persons, 5)), rng.dirichlet(np.full(codes, 5)) + 1e-9
    information = divergence(joint, p_z, p_k / p_k.sum())
    assert best_accuracy(joint, m) <= group_bound(information, m, p_z.max()) + 1e-9


def test_forgetting_that_there_are_two_images_is_found_out():
    """The control: a code that is the person, but for three times in ten."""
    joint = np.array([[0.35, 0, 0.15], [0, 0.35, 0.15]])
    information = divergence(joint, joint.sum(axis=1), joint.sum(axis=0))
    assert group_bound(information, 1, 0.5) < best_accuracy(joint, 2) <= group_bound(information, 2, 0.5)


# The rest


def test_a_table_more_regular_than_chance_has_a_limit_of_zero_and_no_bound_below_that_by_counting():
    codes, z = pairs(np.full((6, 5), 20))
    assert information_bound(codes, z, p_z=uniform(6), p_k=uniform(5)) == 0
    assert group_bound(0, 20, 1 / 6) == pytest.approx(1 / 6)
    rows = certify(codes, z, p_z=uniform(6), p_k=uniform(5))
    assert [row["bound"] for row in rows] == [accuracy_bound(codes, z)] * 3
    assert rows[0]["bound"] > 1 / 6


def test_the_table_attack_finds_whom_there_is_to_find():
    rng = np.random.default_rng(8)
    for name, low, high in (("identity", 1, 1), ("independent", 0.1, 0.28), ("leaking", 0.35, 1)):
        joint = CHANNELS[name]
        train, test = draw(joint, 3000, rng), draw(joint, 600, rng)
        hits, groups = table_attack(*train, *test, sizes=joint.shape, m=1, rng=np.random.default_rng(0))
        assert groups == 600
        assert low <= hits / groups <= min(high, accuracy_bound(*test))
        assert hits / groups == pytest.approx(best_accuracy(joint), abs=0.07)  # three standard errors are 0.06


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_each_persons_images_are_dealt_into_groups_of_their_own(people, m, seed):
    z = np.array(people)
    groups = deal(z, m, np.random.default_rng(seed))
    assert groups.shape == ((np.bincount(z) // m).sum(), m)
    assert np.issubdtype(groups.dtype, np.integer)
    assert len(np.unique(groups)) == groups.size  # nobody's image is in two
    owners = z[groups]
    assert (owners == owners[:, :1]).all()
    assert (np.diff(owners[:, 0]) >= 0).all()  # persons in order
    assert np.array_equal(groups, deal(z, m, np.random.default_rng(seed)))
    if m == 1:
        assert sorted(groups.ravel()) == list(range(len(z)))  # nothing is left out


GOOD = {"codes": np.array([0, 1, 1]), "z": np.array([0, 0, 1]), "p_z": uniform(2), "p_k": uniform(2)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"codes": np.array([0, 1])}, "expected two equal shapes"),
        ({"codes": np.array([], int), "z": np.array([], int)}, "n > 0"),
        ({"codes": np.array([0, 1, 2])}, r"codes: int64 from 0 to 2: expected integers in 0\.\.1"),
        ({"z": np.array([0, -1, 1])}, "z: int64 from -1 to 1"),
        ({"z": np.array([0.0, 0.0, 1.0])}, "z: float64"),
        ({"p_z": np.array([1.0, 0.0])}, "p_z: .*least 0.* see `smoothed`"),
        ({"p_k": np.array([0.5, 0.6])}, "p_k: .*sum 1.1"),
        ({"p_k": np.full((2, 1), 0.5)}, r"p_k: shape \(2, 1\)"),
        ({"delta": 0}, "expected 0 < delta < 1"),
        ({"delta": 5}, "expected 0 < delta < 1"),
    ],
)
def test_what_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        information_bound(**GOOD | wrong)
    if not {"p_z", "p_k"} & set(wrong) and "expected integers" not in message:
        with pytest.raises(ValueError, match=message):
            accuracy_bound(**{key: value for key, value in (GOOD | wrong).items() if key not in ("p_z", "p_k")})


def test_in_a_balanced_file_the_limit_for_the_information_needs_its_correction():
    """Ten people write ten digits ten times each. The code is the digit and, now and then, the person's own."""
    people, slip = 10, 0.05
    z, digit = np.divmod(np.arange(1000), 100)
    digit //= 10
    joint = np.full((people, 10), (1 - slip) / 10)
    joint[np.arange(people), np.arange(people)] += slip
    p_z, p_k = np.full(people, 0.1), np.full(10, 0.1)
    truth, missed = rel_entr(joint / people, np.outer(p_z, p_k)).sum(), np.zeros(2)
    for seed in range(12):
        draw = np.random.default_rng(seed)
        codes, test = np.where(draw.random(1000) < slip, z, digit), draw.permutation(1000)[:500]
        for place, size in enumerate((None, 1000)):
            how = {"p_z": p_z, "p_k": p_k, "images_per_person": (5,), "design_size": size}
            (row,) = certify(codes[test], z[test], **how)
            missed[place] += row["information_bound"] < truth
    assert missed[0] >= 3, "without it the limit is too low far more often than one time in twenty"
    assert missed[1] == 0


def test_what_stands_together_costs_half_the_error_probability_each():
    codes, z = np.arange(400) % 4, np.arange(400) % 7
    one, five = certify(codes, z, p_z=np.full(7, 1 / 7), p_k=np.full(4, 0.25), images_per_person=(1, 5))
    assert one["joint_bound"] == accuracy_bound(codes, z, 0.025) > one["bound"] == accuracy_bound(codes, z, 0.05)
    assert five["joint_bound"] >= five["bound"] >= one["bound"]
    (alone,) = certify(codes, z, p_z=np.full(7, 1 / 7), p_k=np.full(4, 0.25), images_per_person=(1,))
    assert alone["joint_bound"] == alone["bound"]
