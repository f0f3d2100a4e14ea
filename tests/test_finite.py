"""The finite release: eq. (5) is what is minimised, and it does what it is for, which its controls do not."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from anonrep.data.dataset import Dataset
from anonrep.evaluation.contingency import plug_in_information
from anonrep.evaluation.utility import utility_by_code
from anonrep.game import GameConfig, pretrain_autoencoder
from anonrep.methods.code_encoder import CodeEncoder, make_codebook
from anonrep.methods.finite import FiniteConfig, learn, objective, prepare, train, validate
from anonrep.networks import Autoencoder
from anonrep.utils.images import to_tensor
from anonrep.utils.seeds import seeded_initialisation, torch_generator

SIZE, PEOPLE, SHAPES, HIDDEN = 12, 6, 4, 5
TERMS = ["distortion", "consistency", "code_usage", "information"]
TINY = {"codes": 8, "units": 8, "steps": 20, "batch": 32, "restarts": 2, "neighbours": 2, "copies": 2}


def drawn(n: int = 144, seed: int = 0) -> Dataset:
    """Four shapes that everybody draws, and in the top row one of three marks; two people share a mark."""
    draw = np.random.default_rng(seed)
    images, z, shape = draw.integers(0, 40, (n, SIZE, SIZE), np.uint8), np.arange(n) % PEOPLE, np.arange(n) // PEOPLE
    for image, person, kind in zip(images, z, shape % SHAPES, strict=True):
        if kind == 0:
            image[3:11, 5:7] = 220
        elif kind == 1:
            image[6:8, 2:10] = 220
        elif kind == 2:
            image[3:11, [2, 9]] = image[[3, 10], 2:10] = 220
        else:
            image[range(3, 11), range(2, 10)] = image[range(3, 11), range(1, 9)] = 220
        image[:3, 4 * (person // 2) : 4 * (person // 2) + 4] = 240
    split = draw.permutation(np.repeat([0, 1, 2], [n - 2 * (n // 6), n // 6, n // 6])).astype(np.uint8)
    attributes = {"shape": shape % SHAPES, "mark": z // 2}
    return Dataset(images, z, attributes, split, {"source": "synthetic", "private": "writer"})


def network(data: Dataset, epochs: int = 0) -> Autoencoder:
    with seeded_initialisation(0):
        autoencoder = Autoencoder(height=SIZE, width=SIZE, hidden=HIDDEN, channels=4)
    config = GameConfig(pixel_epochs=epochs, pixel_rate=0.01)
    pretrain_autoencoder(autoencoder, to_tensor(data.subset("train").images), config, 0)
    return autoencoder.eval()


def tiny(**changes: object) -> tuple[Autoencoder, dict, FiniteConfig]:
    """What `learn` takes, for runs too short to learn anything."""
    data, config = drawn(), FiniteConfig(**(TINY | changes))
    autoencoder = network(data)
    return autoencoder, prepare(autoencoder, data, config, 0), config


def fresh(autoencoder: Autoencoder, config: FiniteConfig) -> CodeEncoder:
    with seeded_initialisation(0):
        return CodeEncoder(autoencoder.encoder, autoencoder.mean.in_features, config.codes, config.units)


def weights(module: nn.Module) -> list[torch.Tensor]:
    """A copy of all weights of a module."""
    return [value.detach().clone() for value in module.state_dict().values()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    """Bit by bit."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# --- the objective


def equation_5(p, q, hidden, z, lam):
    """As the docstring prints it, one image and one code at a time."""
    n, k = p.shape
    centres = [sum(p[i, c] * hidden[i] for i in range(n)) / sum(p[:, c]) for c in range(k)]
    distortion = sum(p[i, c] * np.sum((hidden[i] - centres[c]) ** 2) for i in range(n) for c in range(k)) / n
    consistency = -sum(np.log(p[i] @ q[i]) for i in range(n)) / n
    share = [(sum(p[:, c]) + sum(q[:, c])) / (2 * n) for c in range(k)]
    code_usage = np.log(k) + sum(s * np.log(s) for s in share)
    joint = np.array([[sum(p[z == person, c]) / n for c in range(k)] for person in range(max(z) + 1)])
    independent = np.outer(joint.sum(1), joint.sum(0))
    information = sum(a * np.log(a / b) for a, b in zip(joint.flat, independent.flat, strict=True) if a > 0)
    terms = dict(zip(TERMS, (distortion, consistency, code_usage, information), strict=True))
    return distortion + consistency + code_usage + lam * information, terms


@st.composite
def batches(draw):
    """Soft codes of images and of their neighbours, a hidden layer and private labels, float64."""
    n, k, d, persons = (draw(st.integers(*ends)) for ends in ((1, 12), (2, 6), (1, 4), (1, 4)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sharpness = draw(st.sampled_from([0.3, 1, 10]))
    p, q = (generator.dirichlet(np.full(k, sharpness), n) * 0.99 + 0.01 / k for _ in range(2))
    return p, q, generator.standard_normal((n, d)), generator.integers(0, persons, n)


def found(p, q, hidden, z, lam):
    """`objective` of arrays."""
    one_hot = np.eye(max(z) + 1)[z]
    return objective(*map(torch.from_numpy, (p, q, hidden, one_hot)), lam)


@given(batches(), st.floats(0, 5))
def test_agrees_with_numpy_written_from_its_formula(batch, lam):
    loss, terms = found(*batch, lam)
    expected, expected_terms = equation_5(*batch, lam)
    assert list(terms) == TERMS
    assert terms == pytest.approx(expected_terms, rel=1e-6, abs=1e-9)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert all(type(value) is float for value in terms.values())


def test_a_code_that_nobody_gets_has_a_finite_slope():
    """Softmax underflows: a probability is 0 for every image, and must not turn the encoder into NaN."""
    logits = torch.tensor([[9.0, 1.0, -1e4]] * 4, requires_grad=True)
    p = logits.softmax(1)
    assert (p[:, 2] == 0).all()
    loss, _ = objective(p, p, torch.randn(4, 2), torch.eye(2)[[0, 1, 0, 1]], 3.0)
    loss.backward()
    assert logits.grad.isfinite().all()


# --- training


def test_moves_the_head_alone_and_leaves_the_global_generators_alone():
    autoencoder, seen, config = tiny()
    encoder = fresh(autoencoder, config)
    torch.manual_seed(5)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    before = weights(autoencoder), weights(encoder.head)
    train(encoder, seen["train"], 1.0, config, torch_generator(0))
    assert same(before[0], weights(autoencoder))
    assert not same(before[1], weights(encoder.head))
    assert not encoder.training
    learn(autoencoder.encoder, seen, 1.0, config, 0)
    assert same(before[0], weights(autoencoder))
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert np.array_equal(states[2], np.random.get_state()[1])  # noqa: NPY002


def test_same_seed_same_history_and_weights_whatever_the_global_generators_hold():
    ends = []
    for wanted, seed in ((1, 0), (2, 0), (2, 1)):
        torch.manual_seed(wanted)
        autoencoder, seen, config = tiny()
        encoder, history, restarts = learn(autoencoder.encoder, seen, 1.0, config, seed)
        ends.append((weights(encoder), history, restarts))
    first, again, other = ends
    assert same(first[0], again[0])
    assert first[1:] == again[1:]
    assert not same(first[0], other[0])
    assert first[1] != other[1]
    assert first[2] != other[2]


def test_neither_test_images_nor_attributes_decide_anything():
    """Nor do validation images decide more than which restart is kept."""
    data, config = drawn(), FiniteConfig(**(TINY | {"restarts": 1}))
    autoencoder, noise = network(data), np.random.default_rng(1).integers(0, 256, data.images.shape, np.uint8)
    ends = {}
    for split in (None, 2, 1, 0):
        painted = data.split == (3 if split is None else split)
        images = np.where(painted[:, None, None], noise, data.images)
        attributes = {} if split == 2 else data.attributes
        seen = prepare(autoencoder, replace(data, images=images, attributes=attributes), config, 0)
        encoder, history, (row,) = learn(autoencoder.encoder, seen, 1.0, config, 0)
        ends[split] = weights(encoder), history, row
    for split, other in ends.items():
        assert same(ends[None][0], other[0]) == (split != 0)
        assert (ends[None][1] == other[1]) == (split != 0)
        assert (ends[None][2] == other[2]) == (split in (None, 2))


# --- restarts


def test_the_restart_with_the_least_objective_on_validation_is_kept():
    autoencoder, seen, config = tiny(restarts=4)
    lam = 1.0
    encoder, history, restarts = learn(autoencoder.encoder, seen, lam, config, 7)
    assert [row["restart"] for row in restarts] == [0, 1, 2, 3]
    assert all(list(row) == ["restart", "objective", *TERMS, "chosen"] for row in restarts)
    (chosen,) = [row for row in restarts if row["chosen"]]
    assert chosen["objective"] == min(row["objective"] for row in restarts)
    assert len({row["objective"] for row in restarts}) == 4
    for row in restarts:
        fidelity = row["distortion"] + row["consistency"] + row["code_usage"]
        assert row["objective"] == pytest.approx(fidelity + lam * row["information"], rel=1e-5)
    assert [row["restart"] for row in history] == [0, 0, 1, 1, 2, 2, 3, 3]
    judged = torch_generator(7, "finite", "1", config.codes, chosen["restart"], "judge")
    again = validate(encoder, seen["validation"], lam, config, judged)
    assert again == {name: chosen[name] for name in ("objective", *TERMS)}


# --- the claim

ENOUGH = {
    **{"codes": 20, "units": 32, "steps": 100, "batch": 300, "rate": 0.01, "temperature": 0.25},
    **{"restarts": 3, "jitter": 0.05, "copies": 4},
}


def test_the_codes_tell_the_person_for_nothing_hardly_at_a_price_and_the_shape_either_way():
    """At lambda 0 the codes tell each pair of people by its mark: log 3 nats. At 4 they do not, and tell the shape,
    which nobody ever gave: it is what other people's images have in common."""
    data, config = drawn(960), FiniteConfig(**ENOUGH)
    autoencoder = network(data, epochs=6)
    seen, test, told = prepare(autoencoder, data, config, 0), data.split == 2, {}
    for lam in (0, 4):
        encoder, _, _ = learn(autoencoder.encoder, seen, lam, config, 0)
        codes = make_codebook(autoencoder, encoder, data).codes
        told[lam] = {row["attribute"]: row["score"] for row in utility_by_code(data, codes, ["shape", "mark"])}
        told[lam]["person"] = plug_in_information(codes[test], data.z[test])
    assert told[0]["person"] > 0.3
    assert told[4]["person"] < 0.15  # of which chance alone makes about (4 - 1)(6 - 1) / (2 x 160) = 0.05
    assert told[4]["shape"] > 0.9
    assert told[0]["mark"] > 0.45  # by chance a third
    assert told[4]["mark"] < 0.45


# --- its numbers


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"codes": 2.0}, r"codes is 2\.0; expected a whole number from 2$"),
        ({"steps": True}, "steps is True; expected a whole number from 1$"),
        ({"codes": 1}, "codes is 1; expected a whole number from 2$"),
        ({"jitter": -0.1}, r"jitter is -0\.1; expected a number from 0$"),
        ({"temperature": 0}, "temperature is 0; expected a number from 1e-06$"),
        ({"rate": math.nan}, "rate is nan"),
        ({"blur": 4}, "blur is 4; expected an odd number of pixels, 1 for no blur"),
    ],
)
def test_a_wrong_number_is_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        FiniteConfig(**wrong)
