"""The game: a step, all cores, the share of the machine's floating-point rate, and the whole sweep."""

import copy
import pickle
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from anonrep.data.dataset import Dataset
from anonrep.data.pendigits import Options, build
from anonrep.data.synthetic.pendigits import synthetic_pendigits
from anonrep.data.unipen import parse_unipen
from anonrep.game import GameConfig, Optimisers, Outcome, play, prepare, pretrain_autoencoder, update
from anonrep.networks import Players
from anonrep.pipeline.notebook import ENVIRONMENT
from anonrep.utils.images import to_bytes, to_tensor
from anonrep.utils.precision import mixed_precision
from bench import textbook
from bench.textbook import plain, players_of
from bench.timing import Pairs, as_in_a_stage, cores, process, seconds, threads

LAM = 2.0  # any: none costs more than another


def digits(images: int) -> Dataset:
    """So many synthetic digits of thirty writers, all of them training images."""
    data = build(
        parse_unipen(synthetic_pendigits(0, 30, max(10, -(-images // 300) * 10))), {"source": "synthetic"}, Options()
    )
    data = data.take(np.random.default_rng(0).permutation(len(data))[:images])
    return Dataset(data.images, data.z, data.attributes, np.zeros(len(data), np.uint8), data.provenance)


def ours(data: Dataset, config: GameConfig, players: Players, epochs: int = 1) -> None:
    """Epochs of phase (iii) as a stage plays them."""
    with as_in_a_stage():
        whole(play(players, data, lam=LAM, epochs=epochs, config=config, seed=0))


def whole(outcome: Outcome) -> None:
    """Raise RuntimeError if the game was stopped: it would pass for a fast one."""
    if outcome.collapsed:
        raise RuntimeError(f"{outcome.collapsed}: what was measured is not a whole game")


def other(data: Dataset, config: GameConfig, players: Players, epochs: int = 1) -> None:
    """Epochs of phase (iii) by the textbook."""
    textbook.play(players, data, lam=LAM, epochs=epochs, config=config, seed=0)


def players_for(data: Dataset, config: GameConfig, seed: int = 0, least: int = 200) -> Players:
    """Players whose autoencoder has learned for `least` steps: a game whose outputs are all alike would be stopped."""
    players = players_of(data, config, seed)
    epochs = -(-least * config.batch // len(data))
    with as_in_a_stage():
        pretrain_autoencoder(players.autoencoder, to_bytes(data.images), replace(config, pixel_epochs=epochs), seed)
    return players


def training_step(config: GameConfig, steps: int = 16) -> Pairs:
    """Seconds a step of phase (iii), in one process on one thread, for ours and for the textbook.

    `steps`: of an epoch; one in sixteen has the penalty on the discriminator's gradient.
    """
    data = digits(steps * config.batch)
    players = players_for(data, config)
    rival = plain(players)
    with threads(1):
        while True:
            pair = seconds(ours, data, config, players), seconds(other, data, config, rival)
            yield tuple(taken / steps for taken in pair)


def training(config: GameConfig, steps: int = 32) -> Pairs:
    """Seconds a step and game with the whole machine: ours a game a core, the textbook with PyTorch's default threads.

    By default PyTorch takes all cores for one game. Each game of ours has a process of its own, of one thread, as the
    pipeline has it. Every pair has fresh processes, which warm up first: some are faster than others as long as they
    live, by more than what one varies from epoch to epoch.
    """
    data, count = digits(steps * config.batch), cores()
    learned = pickle.dumps(players_for(data, config))
    while True:
        with ExitStack() as stack:
            mine = [stack.enter_context(process(environment=ENVIRONMENT)) for _ in range(count)]
            rival = stack.enter_context(process(per_process=count))
            for _ in range(2):
                games = [one.submit(_epoch, ours, data, config, learned) for one in mine]
                side_by_side = max(game.result() for game in games)
                alone = rival.submit(_epoch, other, data, config, learned).result()
        yield side_by_side / count / steps, alone / steps


def _epoch(how: Callable, data: Dataset, config: GameConfig, learned: bytes) -> float:
    players = pickle.loads(learned)
    return seconds(how, data, config, players if how is ours else plain(players))


def floating_point_rate(config: GameConfig, steps: int = 16, side: int = 1024) -> Pairs:
    """GFLOP/s of our step on one thread, and of a matrix product in the same precision.

    The operations are those of convolutions and products alone, as PyTorch counts them; whatever else a step does costs
    time and counts for nothing.
    """
    data = digits(steps * config.batch)
    players = players_for(data, config)
    x, z = to_tensor(data.images[: config.batch]), torch.from_numpy(data.z[: config.batch])
    p_z = torch.from_numpy(data.p_z).float()
    optimisers = Optimisers.build(players, config)
    with FlopCounterMode(display=False) as counter:
        update(players, optimisers, x, z, p_z, lam=LAM, config=config, step=1)
    operations, matrix = counter.get_total_flops(), torch.rand(side, side)
    with threads(1):
        while True:
            step = seconds(ours, data, config, players) / steps
            with mixed_precision("cpu"):
                products = seconds(lambda: [matrix @ matrix for _ in range(10)]) / 10
            yield operations / step / 1e9, 2 * side**3 / products / 1e9


def sweep(config: GameConfig, lambdas: Sequence[float], steps: int, seeds: Sequence[int]) -> Pairs:
    """Seconds for every lambda and seed; an epoch has `steps` steps, everything else is as in params.yaml.

    Ours: phases (i) and (ii) once a seed, then phase (iii) at each lambda, a process of one thread a core. The other:
    all three phases for each lambda from nothing, one after the other, by the textbook with PyTorch's default threads.
    "Nothing" is the same for both, an autoencoder that has learned for a while: epochs are so short here that outputs
    would still be all alike when the game begins, and ours would be stopped as collapsed.
    """
    data = digits(steps * config.batch)
    learned = [pickle.dumps(players_for(data, config, seed)) for seed in seeds]
    with process(cores(), environment=ENVIRONMENT) as mine, process(per_process=cores()) as rival:
        while True:
            start = time.perf_counter()
            prepared = list(mine.map(_prepared, [data] * len(seeds), [config] * len(seeds), seeds, learned))
            begun = product(zip(seeds, prepared, strict=True), lambdas)
            for game in [mine.submit(_played, data, config, *one, lam) for one, lam in begun]:
                game.result()
            shared = time.perf_counter() - start
            yield shared, rival.submit(_from_nothing, data, config, seeds, learned, lambdas).result()


def _prepared(data: Dataset, config: GameConfig, seed: int, learned: bytes) -> bytes:
    with as_in_a_stage():
        players = pickle.loads(learned)
        whole(prepare(players, data, config, seed))
        return pickle.dumps(players)  # as bytes: PyTorch lets processes share what it sends them


def _played(data: Dataset, config: GameConfig, seed: int, start: bytes, lam: float) -> None:
    with as_in_a_stage():
        whole(play(pickle.loads(start), data, lam=lam, epochs=config.private_epochs, config=config, seed=seed))


def _from_nothing(
    data: Dataset, config: GameConfig, seeds: Sequence[int], learned: Sequence[bytes], lambdas: Sequence[float]
) -> float:
    rivals = [plain(pickle.loads(players)) for players in learned]
    start = time.perf_counter()
    for (seed, players), lam in product(zip(seeds, rivals, strict=True), lambdas):
        textbook.train(copy.deepcopy(players), data, lam, config, seed)
    return time.perf_counter() - start
