"""Equations (9) to (15): known answers, bounds that always hold, and agreement with NumPy written from the paper."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anonrep import losses

LOG2 = np.log(2)
QUICK = settings(max_examples=50, deadline=None)


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


def entropy(p: torch.Tensor) -> float:
    """H in nats."""
    return float(-(p * p.log()).sum())


def log_q(logits: np.ndarray) -> np.ndarray:
    """log of the softmax, row by row."""
    return logits - logits.max(1, keepdims=True) - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1))[:, None]


# As the paper prints them: sums over the images of the batch, one at a time.


def equation_13(logits_y, y):
    q = 1 / (1 + np.exp(-logits_y))
    return -np.mean([a * np.log(b) + (1 - a) * np.log(1 - b) for a, b in zip(y, q, strict=True)])


def equation_14(logits_z, z):
    onehot = np.eye(logits_z.shape[1])[z]
    return np.mean([e @ -log for e, log in zip(onehot, log_q(logits_z), strict=True)])


def equation_15(logits_z, p_z):
    return np.mean([p_z @ -log for log in log_q(logits_z)])


@given(batches())
@QUICK
def test_each_agrees_with_numpy_written_from_the_paper(batch):
    logits_z, logits_y, z, y, p_z = batch
    close = {"rel": 1e-9, "abs": 1e-9}
    d, private, objective = (
        equation_13(logits_y.numpy(), y.numpy()),
        equation_14(logits_z.numpy(), z.numpy()),
        equation_15(logits_z.numpy(), p_z.numpy()),
    )
    fool = equation_13(logits_y.numpy(), np.ones(len(z)))
    assert float(losses.discriminator_loss(logits_y, y)) == pytest.approx(d, **close)
    assert float(losses.private_loss(logits_z, z)) == pytest.approx(private, **close)
    assert float(losses.objective_loss(logits_z, p_z)) == pytest.approx(objective, **close)
    assert float(losses.fool_loss(logits_y)) == pytest.approx(fool, **close)
    surrogate = abs(objective - private)
    assert float(losses.mutual_information_surrogate(logits_z, z, p_z)) == pytest.approx(surrogate, **close)
    total = float(
        losses.autoencoder_loss(losses.fool_loss(logits_y), losses.mutual_information_surrogate(logits_z, z, p_z), 1.5)
    )
    assert total == pytest.approx(fool + 1.5 * surrogate, **close)


@given(batches())
@QUICK
def test_no_loss_is_negative_and_each_is_one_number(batch):
    logits_z, logits_y, z, y, p_z = batch
    for value in (
        losses.discriminator_loss(logits_y, y),
        losses.fool_loss(logits_y),
        losses.private_loss(logits_z, z),
        losses.objective_loss(logits_z, p_z),
        losses.mutual_information_surrogate(logits_z, z, p_z),
        losses.autoencoder_loss(losses.fool_loss(logits_y), losses.mutual_information_surrogate(logits_z, z, p_z), 2.0),
    ):
        assert value.shape == ()
        assert value >= 0


@given(batches())
@QUICK
def test_the_objective_is_least_at_the_marginal_where_it_is_the_entropy(batch):
    logits_z, _, _, _, p_z = batch
    assert float(losses.objective_loss(logits_z, p_z)) >= entropy(p_z) - 1e-9  # Gibbs' inequality
    guess = p_z.log().expand(len(logits_z), -1)
    assert float(losses.objective_loss(guess, p_z)) == pytest.approx(entropy(p_z), abs=1e-9)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.floats(-50, 50))
@QUICK
def test_a_classifier_that_answers_with_the_marginal_knows_nothing(counts, shift):
    """q = p_z: the surrogate is 0 when the batch's labels occur as often as p_z says, whatever the logits' level."""
    counts = torch.tensor(counts)
    z = torch.repeat_interleave(torch.arange(len(counts)), counts)
    marginal = counts.double() / counts.sum()
    guess = marginal.log().expand(len(z), -1) + shift
    assert float(losses.mutual_information_surrogate(guess, z, marginal)) == pytest.approx(0, abs=1e-9)
    assert float(losses.private_loss(guess, z)) == pytest.approx(entropy(marginal), abs=1e-9)
    # A confident one, whose labels are right, is far from 0.
    sure = 20 * torch.eye(len(counts)).double()[z]
    assert float(losses.mutual_information_surrogate(sure, z, marginal)) > 1


def test_perfect_prediction_costs_the_private_classifier_nothing():
    z = torch.tensor([0, 2, 1, 2])
    logits = 200.0 * torch.eye(3)[z]
    assert float(losses.private_loss(logits, z)) == 0
    assert float(losses.objective_loss(logits, torch.full((3,), 1 / 3))) > 100  # and is as far from a guess as can be


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1], [0, 1, 1]])
def test_at_chance_discriminator_and_fool_are_log_two(y):
    logits = torch.zeros(3)
    assert float(losses.discriminator_loss(logits, torch.tensor(y, dtype=torch.float32))) == pytest.approx(LOG2)
    assert float(losses.fool_loss(logits)) == pytest.approx(LOG2)


def test_the_sign_of_the_game():
    """What the discriminator wants on reconstructions (low logits) is what the autoencoder pays for."""
    low, high = torch.full((4,), -6.0), torch.full((4,), 6.0)
    assert losses.fool_loss(low) > 5 > 0.01 > losses.fool_loss(high)
    assert losses.discriminator_loss(low, torch.zeros(4)) < 0.01 < 5 < losses.discriminator_loss(high, torch.zeros(4))


def test_the_autoencoders_step_lowers_what_the_classifier_knows():
    """A step down the surrogate moves a knowing classifier's answers towards the marginal."""
    z, p_z = torch.tensor([0, 1]), torch.tensor([0.5, 0.5])
    logits_z = torch.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
    losses.mutual_information_surrogate(logits_z, z, p_z).backward()
    stepped = logits_z.detach() - logits_z.grad
    assert losses.private_loss(stepped, z) > losses.private_loss(logits_z, z)


@given(batches())
@QUICK
def test_without_lambda_the_autoencoder_plays_for_fidelity_alone(batch):
    logits_z, logits_y, z, _, p_z = batch
    logits_z.requires_grad_()
    logits_y.requires_grad_()
    loss = losses.autoencoder_loss(
        losses.fool_loss(logits_y), losses.mutual_information_surrogate(logits_z, z, p_z), 0.0
    )
    assert loss == losses.fool_loss(logits_y)
    loss.backward()
    assert not logits_z.grad.any()


@given(batches(), st.floats(0, 4), st.floats(0, 4))
@QUICK
def test_the_autoencoders_loss_is_linear_in_lambda(batch, first, second):
    logits_z, logits_y, z, _, p_z = batch
    one, two = (
        float(
            losses.autoencoder_loss(
                losses.fool_loss(logits_y), losses.mutual_information_surrogate(logits_z, z, p_z), lam
            )
        )
        for lam in (first, second)
    )
    slope = float(losses.mutual_information_surrogate(logits_z, z, p_z))
    assert two - one == pytest.approx((second - first) * slope, abs=1e-8)


def test_finite_where_a_plain_softmax_overflows():
    logits = torch.tensor([[1e4, -1e4]], dtype=torch.float32)
    z, p_z = torch.tensor([1]), torch.tensor([0.5, 0.5])
    assert torch.isfinite(losses.private_loss(logits, z))
    assert torch.isfinite(losses.objective_loss(logits, p_z))
    assert torch.isfinite(losses.fool_loss(torch.tensor([-1e4])))
