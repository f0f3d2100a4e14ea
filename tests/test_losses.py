"""Equations (5) and (9) to (15): agreement with NumPy written from the paper, known answers, and bounds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mutual_info_score

from anonrep import losses

LOG2 = math.log(2)


@st.composite
def batches(draw):
    """Logits of both adversaries, private labels, selector and marginal of a batch, float64."""
    n, classes = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    logit = st.floats(-8, 8)
    logits_z = draw(arrays(np.float64, (n, classes), elements=logit))
    logits_y = draw(arrays(np.float64, (n,), elements=logit))
    z = draw(arrays(np.int64, (n,), elements=st.integers(0, classes - 1)))
    y = draw(arrays(np.float64, (n,), elements=st.sampled_from([0.0, 1.0])))
    weights = draw(arrays(np.float64, (classes,), elements=st.floats(0.01, 1)))
    return tuple(map(torch.from_numpy, (logits_z, logits_y, z, y, weights / weights.sum())))


# As the paper prints them: sums over the images of the batch, one at a time.


def equation_13(logits_y, y):
    q = 1 / (1 + np.exp(-logits_y))
    return -np.mean([a * np.log(b) + (1 - a) * np.log(1 - b) for a, b in zip(y, q, strict=True)])


def equation_14(logits_z, z):
    return np.mean([-np.log(np.exp(row)[label] / np.exp(row).sum()) for row, label in zip(logits_z, z, strict=True)])


def equation_15(logits_z, p_z):
    return np.mean([p_z @ -np.log(np.exp(row) / np.exp(row).sum()) for row in logits_z])


@given(batches(), st.floats(0, 4))
def test_each_agrees_with_numpy_written_from_the_paper_and_none_is_negative(batch, lam):
    logits_z, logits_y, z, y, p_z = batch
    surrogate, fool = losses.mutual_information_surrogate(logits_z, z, p_z), losses.fool_loss(logits_y)
    found = {
        "discriminator": losses.discriminator_loss(logits_y, y),
        "fool": fool,
        "private": losses.private_loss(logits_z, z),
        "objective": losses.objective_loss(logits_z, p_z),
        "surrogate": surrogate,
        "autoencoder": losses.autoencoder_loss(fool, surrogate, lam),
    }
    logits_z, logits_y, z, y, p_z = (part.numpy() for part in batch)
    expected = {
        "discriminator": equation_13(logits_y, y),
        "fool": equation_13(logits_y, np.ones(len(y))),
        "private": equation_14(logits_z, z),
        "objective": equation_15(logits_z, p_z),
        "surrogate": abs(equation_15(logits_z, p_z) - equation_14(logits_z, z)),
    }
    expected["autoencoder"] = expected["fool"] + lam * expected["surrogate"]
    for name, value in found.items():
        assert value.shape == ()
        assert value >= 0
        assert float(value) == pytest.approx(expected[name], rel=1e-9, abs=1e-9), name


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.floats(-50, 50))
def test_a_private_classifier_at_chance_and_at_perfect_prediction(counts, shift):
    """q = p_z: the surrogate is 0 when the batch's labels occur as often as p_z says, whatever the logits' level."""
    counts = torch.tensor(counts)
    z, p_z = torch.repeat_interleave(torch.arange(len(counts)), counts), counts.double() / counts.sum()
    entropy = float(losses.entropy(p_z))
    guess = p_z.log().expand(len(z), -1) + shift
    assert float(losses.private_loss(guess, z)) == pytest.approx(entropy, abs=1e-9)
    assert float(losses.objective_loss(guess, p_z)) == pytest.approx(entropy, abs=1e-9)
    assert float(losses.mutual_information_surrogate(guess, z, p_z)) == pytest.approx(0, abs=1e-9)
    sure = 200 * torch.eye(len(counts)).double()[z]
    assert float(losses.private_loss(sure, z)) == 0
    assert float(losses.objective_loss(sure, p_z)) > entropy  # its minimum (Gibbs)
    assert float(losses.mutual_information_surrogate(sure, z, p_z)) > 10


def test_the_sign_of_the_game():
    """What the discriminator wants on reconstructions (low logits) is what the autoencoder pays for."""
    low, chance, high = (torch.full((4,), logit) for logit in (-6.0, 0.0, 6.0))
    fakes = torch.zeros(4)
    assert losses.fool_loss(low) > 5 > 0.01 > losses.fool_loss(high)
    assert losses.discriminator_loss(low, fakes) < 0.01 < 5 < losses.discriminator_loss(high, fakes)
    assert losses.fool_loss(chance) == losses.discriminator_loss(chance, fakes) == pytest.approx(LOG2)


def test_the_autoencoders_step_lowers_what_the_classifier_knows_and_without_lambda_it_has_none():
    z, p_z = torch.tensor([0, 1]), torch.tensor([0.5, 0.5])
    for lam in (1.0, 0.0):
        logits_z = torch.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
        surrogate = losses.mutual_information_surrogate(logits_z, z, p_z)
        losses.autoencoder_loss(losses.fool_loss(torch.zeros(2)), surrogate, lam).backward()
        stepped = logits_z.detach() - logits_z.grad
        assert (losses.private_loss(stepped, z) > losses.private_loss(logits_z, z)) == (lam > 0)


@given(batches())
def test_the_gradient_of_gradient_reversal_is_the_classifiers_own_reversed(batch):
    logits_z, _, z, _, p_z = batch
    logits_z.requires_grad_()
    (own,) = torch.autograd.grad(losses.private_loss(logits_z, z), logits_z)
    (found,) = torch.autograd.grad(losses.gradient_reversal(logits_z, z, p_z), logits_z)
    assert torch.equal(found, -own)


@given(batches())
def test_the_divergence_from_the_marginal_is_least_at_chance_and_does_not_ask_who_is_right(batch):
    logits_z, _, z, _, p_z = batch
    of = torch.distributions.Categorical
    divergence = torch.distributions.kl_divergence(of(logits=logits_z), of(probs=p_z)).mean()
    found = losses.divergence_from_marginal(logits_z, z, p_z)
    torch.testing.assert_close(found, divergence, rtol=1e-6, atol=1e-9)
    assert -1e-9 <= found <= -p_z.min().log() + 1e-9
    assert float(losses.divergence_from_marginal(p_z.log() + 0 * logits_z, z, p_z)) == pytest.approx(0, abs=1e-9)
    assert found == losses.divergence_from_marginal(logits_z, (z + 1) % len(p_z), p_z)
    nobody = torch.tensor([0.5, 0.5, 0.0])  # somebody has no image
    assert losses.divergence_from_marginal(torch.zeros(2, 3), torch.tensor([0, 1]), nobody).isfinite()


def test_finite_where_a_plain_softmax_overflows():
    logits, z = torch.tensor([[1e4, -1e4]]), torch.tensor([1])
    assert torch.isfinite(losses.private_loss(logits, z))
    assert torch.isfinite(losses.objective_loss(logits, torch.tensor([0.5, 0.5])))
    assert torch.isfinite(losses.fool_loss(torch.tensor([-1e4])))


# The mutual information of eq. (5), over a table.


@st.composite
def tables(draw):
    """How often each person has each code, with empty cells, rows and columns among them: int64 (|Z|, K)."""
    shape = draw(st.integers(1, 5)), draw(st.integers(2, 6))
    return draw(arrays(np.int64, shape, elements=st.integers(0, 4)).filter(np.any))


def information(table: np.ndarray) -> float:
    return float(losses.mutual_information(torch.from_numpy(table / table.sum())))


@given(tables())
def test_agrees_with_scikit_learn_and_has_its_bounds(table):
    z, codes = (np.repeat(index, table.ravel()) for index in map(np.ravel, np.indices(table.shape)))
    found = information(table)
    assert found == pytest.approx(mutual_info_score(z, codes), abs=1e-9)
    assert found == pytest.approx(information(table.T), abs=1e-9)
    most = min(float(losses.entropy(torch.from_numpy(table.sum(axis) / table.sum()))) for axis in (0, 1))
    assert -1e-9 <= found <= most + 1e-9


@given(tables())
def test_merging_two_codes_never_tells_more(table):
    """Data processing: what is released may be redrawn at will, the information is never more than the code's."""
    merged = np.hstack([table[:, :-2], table[:, -2:].sum(1, keepdims=True)])
    assert information(merged) <= information(table) + 1e-9
    coin = np.hstack([table[:, :-2], np.repeat(table[:, -2:].sum(1, keepdims=True), 2, axis=1) / 2])
    assert information(coin) == pytest.approx(information(merged), abs=1e-9)  # a coin tells nothing


@given(arrays(np.float64, (4,), elements=st.floats(0, 1)).filter(lambda p: p.sum() > 0.1), st.integers(1, 6))
def test_nothing_where_person_and_code_are_independent_and_everything_where_they_are_one(weights, codes):
    p_z = weights / weights.sum()
    assert information(np.outer(p_z, np.ones(codes))) == pytest.approx(0, abs=1e-9)
    bijection = np.hstack([np.diag(p_z), np.zeros((4, codes))])[:, ::-1].copy()  # codes are left over
    assert information(bijection) == pytest.approx(-sum(p * np.log(p) for p in p_z if p > 0), abs=1e-9)


@given(st.integers(2, 4), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=10)
def test_its_slope_is_that_of_finite_differences(persons, codes, seed):
    joint = np.random.default_rng(seed).dirichlet(np.ones(persons * codes)).reshape(persons, codes) + 0.01
    assert torch.autograd.gradcheck(losses.mutual_information, torch.from_numpy(joint).requires_grad_())


def test_empty_cells_rows_and_columns_have_finite_slopes():
    """A code that nobody gets any more must not turn the encoder into NaN."""
    joint = torch.tensor([[0.5, 0, 0], [0.25, 0.25, 0], [0, 0, 0]], requires_grad=True)
    losses.mutual_information(joint).backward()
    assert joint.grad.isfinite().all()
    assert joint.grad[0, 1] < joint.grad[0, 0]  # and downhill leads into the empty cell of a used code
