"""Equations (5) and (9) to (15): known answers, bounds that always hold, and agreement with NumPy and scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mutual_info_score

from anonrep import losses
from anonrep.evaluation.contingency import plug_in_information

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


# The mutual information of eq. (5), over a table.


@st.composite
def counts(draw):
    """How often each person has each code, with empty cells, rows and columns among them: int64 (|Z|, K)."""
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    return draw(arrays(np.int64, shape, elements=st.integers(0, 4)).filter(np.any))


def shares(table: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(table / table.sum())


def marginal(n: int) -> st.SearchStrategy[np.ndarray]:
    """n probabilities, some of them 0."""
    weights = arrays(np.float64, (n,), elements=st.floats(0, 1)).filter(lambda value: value.sum() > 0.1)
    return weights.map(lambda value: value / value.sum())


@given(st.data(), st.integers(1, 5), st.integers(1, 6))
@QUICK
def test_nothing_is_told_where_person_and_code_are_independent(data, persons, codes):
    joint = np.outer(data.draw(marginal(persons)), data.draw(marginal(codes)))
    assert float(losses.mutual_information(torch.from_numpy(joint))) == pytest.approx(0, abs=1e-9)


@given(st.data(), st.integers(2, 6), st.integers(0, 3))
@QUICK
def test_a_code_of_ones_own_tells_everything(data, persons, unused):
    """H(Z) for a bijection, also where codes are left over."""
    p_z, order = data.draw(marginal(persons)), data.draw(st.permutations(range(persons + unused)))
    joint = np.hstack([np.diag(p_z), np.zeros((persons, unused))])[:, order]
    expected = -sum(p * np.log(p) for p in p_z if p > 0)
    assert float(losses.mutual_information(torch.from_numpy(joint))) == pytest.approx(expected, abs=1e-9)


@given(counts())
@QUICK
def test_agrees_with_scikit_learn_and_the_certificate_on_counts(table):
    z, codes = (np.repeat(index, table.ravel()) for index in map(np.ravel, np.indices(table.shape)))
    found = float(losses.mutual_information(shares(table)))
    assert found == pytest.approx(mutual_info_score(z, codes), abs=1e-9)
    assert found == pytest.approx(plug_in_information(codes, z), abs=1e-9)


@given(counts())
@QUICK
def test_what_the_code_tells_of_the_person_the_person_tells_of_the_code(table):
    joint = shares(table)
    found = float(losses.mutual_information(joint))
    assert found == pytest.approx(float(losses.mutual_information(joint.T)), abs=1e-9)
    most = min(entropy(joint.sum(axis)[joint.sum(axis) > 0]) for axis in (0, 1))
    assert -1e-9 <= found <= most + 1e-9


@given(st.data(), counts())
@QUICK
def test_merging_two_codes_never_tells_more(data, table):
    """Data processing: what is released may be redrawn at will, the information is never more than the code's."""
    table = np.hstack([table, data.draw(arrays(np.int64, (len(table), 2), elements=st.integers(0, 4)))])
    merged = np.hstack([table[:, :-2], table[:, -2:].sum(1, keepdims=True)])
    before, after = (float(losses.mutual_information(shares(value))) for value in (table, merged))
    assert after <= before + 1e-9
    unsure = np.hstack([table[:, :-2], np.repeat(table[:, -2:].sum(1, keepdims=True), 2, axis=1) / 2])
    assert after == pytest.approx(float(losses.mutual_information(shares(unsure))), abs=1e-9)  # a coin tells nothing


def test_merging_codes_of_different_people_does_tell_less():
    table = np.array([[4, 0, 1], [0, 4, 1]])
    merged = np.array([[4, 1], [4, 1]])
    assert float(losses.mutual_information(shares(merged))) == pytest.approx(0, abs=1e-9)
    assert float(losses.mutual_information(shares(table))) > 0.5


@given(st.integers(2, 4), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_its_slope_is_that_of_finite_differences(persons, codes, seed):
    draw = np.random.default_rng(seed)
    joint = torch.from_numpy(draw.dirichlet(np.ones(persons * codes)).reshape(persons, codes) + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(losses.mutual_information, joint)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_empty_cells_rows_and_columns_have_finite_slopes(dtype):
    """A code that nobody gets any more must not turn the encoder into NaN."""
    joint = torch.tensor([[0.5, 0, 0], [0.25, 0.25, 0], [0, 0, 0]], dtype=dtype, requires_grad=True)
    losses.mutual_information(joint).backward()
    assert joint.grad.isfinite().all()
    assert joint.grad[0, 1] < joint.grad[0, 0]  # and downhill leads into the empty cell of a used code


@given(arrays(np.float64, (4,), elements=st.sampled_from([0.0, 1e-30, 0.1, 1.0])))
@QUICK
def test_entropy_counts_a_zero_as_nothing(p):
    p = torch.from_numpy(p).requires_grad_()
    found = losses.entropy(p)
    assert float(found.detach()) == pytest.approx(-sum(v * np.log(v) for v in p.tolist() if v), abs=1e-12)
    found.backward()
    assert p.grad.isfinite().all()
