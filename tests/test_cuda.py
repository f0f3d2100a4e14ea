"""What only a machine with a GPU can tell. All other tests run there too: `auto` is the GPU where there is one."""

import numpy as np
import pytest
import torch

from anonrep.data.dataset import Dataset
from anonrep.data.pendigits import Options, build
from anonrep.data.synthetic.pendigits import synthetic_pendigits
from anonrep.data.unipen import parse_unipen
from anonrep.evaluation.attackers import AttackBudget
from anonrep.evaluation.judge import judge
from anonrep.stages.game import prepare_seeds, release_by_game
from anonrep.stages.releases import pick_device
from anonrep.utils import project
from anonrep.utils.files import read_json
from anonrep.utils.weights import load_weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
GPU = "cuda"
GAME = {"hidden": 16, "channels": 8, "pixel_epochs": 30, "fidelity_epochs": 1, "private_epochs": 3, "pixel_rate": 0.002}
GAME |= {"kl": 0.001, "freeze_decoder": True, "pixel_anchor": 250, "r1": 0.1, "warm_up_epochs": 1, "ema": 0.9}


@pytest.fixture(scope="module", autouse=True)
def entered():
    """PyTorch as in a stage."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    project.enter()
    yield
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Synthetic digits of thirty writers."""
    return build(
        parse_unipen(synthetic_pendigits(0, 30, 40)), {"source": "synthetic"}, Options(split_sizes=(800, 200, 200))
    )


@pytest.fixture(scope="module")
def folders(data, tmp_path_factory):
    """Three games: twice on the GPU, once on the CPU."""
    made = {}
    for name, device in (("first", "auto"), ("second", GPU), ("processor", "cpu")):
        made[name] = tmp_path_factory.mktemp(name)
        prepare_seeds(data, GAME, [0], made[name] / "start", device=device)
        where = {"start": made[name] / "start", "out": made[name] / "run"}
        release_by_game(data, GAME, "stabilised", lam=1, device=device, **where)
    return made


def test_a_game_is_the_same_bits_again(folders):
    assert pick_device() == GPU
    for path in ("start/seed-0.safetensors", "run/seed-0.safetensors"):
        first, second = (load_weights(folders[name] / path) for name in ("first", "second"))
        assert all(torch.equal(first[key], second[key]) for key in first)
    first, second = (read_json(folders[name] / "run/history.json") for name in ("first", "second"))
    assert first == second


def test_it_learns_what_the_processor_learns(folders):
    """Roundings differ and a game amplifies them; what the autoencoder has learned by then is the same."""
    rows = {name: read_json(folder / "start/history.json") for name, folder in folders.items()}
    last = {name: [row["mse"] for row in found if row["phase"] == "pixels"][-1] for name, found in rows.items()}
    assert last["first"] == pytest.approx(last["processor"], rel=0.1)
    shown = {name: Dataset.load(folder / "run/seed-0.npz").images.astype(float) for name, folder in folders.items()}
    apart = np.abs(shown["first"] - shown["processor"]).mean()
    assert apart < np.abs(shown["first"] - shown["first"][::-1]).mean() / 2  # than another digit's release


def test_attackers_find_the_same_again(data):
    budget = AttackBudget(network_epochs=2, large_epochs=2, trees=5, boosting_rounds=2)
    rows = [
        judge(data, budget, private=("mlp", "cnn", "cnn_large"), utility=("cnn",), device=GPU, key={"seed": 0})
        for _ in range(2)
    ]
    assert rows[0] == rows[1]
