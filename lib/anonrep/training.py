"""The game, in the paper's three phases (Section 2, "Training procedure").

(i)   `pretraining`: the autoencoder alone, on a pixel loss, until its output looks like its input;
(ii)  `play` without lambda: the discriminator and the autoencoder in turn;
(iii) `play` with lambda: the autoencoder in turn with the discriminator and the private classifier.

Phases (i) and (ii) do not know lambda: they are trained once a seed and shared (`prepare`). With the defaults of
`game.GameConfig` this is the paper as printed, with the sign of the GAN mended (losses.fool_loss); whatever else helps
is a field of it that is off by default.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from anonrep.data.dataset import Dataset
from anonrep.game import GameConfig, collapse
from anonrep.networks import Players
from anonrep.pretraining import batches, mean_row, pretrain_autoencoder, reconstruct
from anonrep.turns import Optimisers, moved_parameters, private_turn, update
from anonrep.utils.images import spread, to_bytes, to_float
from anonrep.utils.seeds import torch_generator


@dataclass
class Outcome:
    """What a phase leaves: the autoencoder to release and the record of how it came about.

    history    a row an epoch of what each player saw
    snapshots  uint8 (epochs + 1, watched images, H, W): what became of the watched images through the epochs
    collapsed  why the run stopped before its end and says nothing about privacy, or None
    """

    autoencoder: nn.Module
    history: list[dict]
    snapshots: np.ndarray
    collapsed: str | None = None


def play(
    players: Players,
    train: Dataset,
    *,
    lam: float | None,
    epochs: int,
    config: GameConfig,
    seed: int,
    device: torch.device | str = "cpu",
    watch: np.ndarray | None = None,
    real: np.ndarray | None = None,
    anchor: np.ndarray | None = None,
) -> Outcome:
    """Phase (ii) with `lam` None, phase (iii) with a number: every player takes its turn on every batch.

    watch   uint8 (K, H, W), images to follow through the epochs
    real    uint8 (R, H, W), what the discriminator is shown as real images, in the place of the training images: those
            of one person alone restrict the game to that target (paper, Section 3, the second method on faces)
    anchor  uint8 (N, H, W), what the pixel anchor holds each redrawn training image to, in the place of itself

    The players are changed in place. A run that has left the game is stopped: `collapse` says when and why.
    """
    x, z = to_bytes(train.images, device), torch.from_numpy(train.z).to(device)
    templates, held = (None if one is None else to_bytes(one, device) for one in (real, anchor))
    p_z = torch.from_numpy(train.p_z).float().to(device)
    optimisers = Optimisers.build(players, config)
    averaged = copy.deepcopy(players.autoencoder) if config.ema else players.autoencoder
    mean, moved = (moved_parameters(one, config) for one in (averaged, players.autoencoder))
    name = None if lam is None else f"{lam:g}"  # 1 and 1.0 are the same game
    order, steps = torch_generator(seed, "game order", name), count()

    def turn(index: Tensor) -> dict[str, float]:
        others = {}
        if templates is not None:
            others["real"] = to_float(templates[torch.randint(len(templates), index.shape, generator=order)])
        if held is not None:
            others["anchor"] = to_float(held[index])
        options = {"lam": lam, "config": config, "step": next(steps), **others}
        row = update(players, optimisers, to_float(x[index]), z[index], p_z, **options)
        if config.ema:
            _average(mean, moved, config.ema)
        return row

    return rounds(
        turn,
        lambda: batches(len(x), config.batch, order),
        averaged,
        epochs=epochs,
        phase="fidelity" if lam is None else "privacy",
        name=f"seed {seed}, lambda {lam}",
        raw_spread=spread(train.images if real is None else real),
        watch=train.images[:0] if watch is None else watch,
        device=device,
    )


def rounds(
    turn: Callable[[Tensor], dict[str, float]],
    parts: Callable[[], Iterator[Tensor]],
    released: nn.Module,
    *,
    epochs: int,
    phase: str,
    name: str,
    raw_spread: float,
    watch: np.ndarray,
    device: torch.device | str,
    over: Callable[..., str | None] = collapse,
) -> Outcome:
    """A game, epoch by epoch: `turn` on the indices of every batch of `parts`, until the last epoch or until `over`.

    `released`: the autoencoder that the outcome is about, whatever moves it; `watch`: uint8 (K, H, W), to be followed.
    """
    history, snapshots, collapsed = [], [reconstruct(released, watch, device)], None
    for epoch in tqdm(range(epochs), desc=f"{phase}, {name}", mininterval=10):
        history.append({"phase": phase, "epoch": epoch, **mean_row([turn(index) for index in parts()])})
        snapshots.append(reconstruct(released, watch, device))
        collapsed = over(history, raw_spread, final=epoch == epochs - 1)
        if collapsed:
            tqdm.write(f"{name}: {collapsed}; this run says nothing about privacy")
            break
    return Outcome(released, history, np.array(snapshots), collapsed)


@torch.no_grad()
def _average(mean: Sequence[Tensor], current: Sequence[Tensor], decay: float) -> None:
    torch._foreach_lerp_(mean, current, 1 - decay)


def warm_up(players: Players, train: Dataset, config: GameConfig, seed: int, device: torch.device | str) -> list[dict]:
    """The private classifier alone, on outputs that do not move, before lambda acts (`config.warm_up_epochs`)."""
    z = torch.from_numpy(train.z).to(device)
    seen = to_bytes(reconstruct(players.autoencoder, train.images, device), device)
    optimiser = torch.optim.Adam(players.private_classifier.parameters(), lr=1e-3, fused=True)
    order, history = torch_generator(seed, "warm-up order"), []
    for epoch in range(config.warm_up_epochs):
        parts = batches(len(z), config.batch, order)
        rows = [private_turn(players.private_classifier, optimiser, to_float(seen[index]), z[index]) for index in parts]
        history.append({"phase": "warm-up", "epoch": epoch, **mean_row(rows)})
    return history


def prepare(
    players: Players, train: Dataset, config: GameConfig, seed: int, device: torch.device | str = "cpu"
) -> Outcome:
    """Phases (i) and (ii), which do not know lambda, and the warm-up: the start of every lambda's phase (iii)."""
    history = pretrain_autoencoder(players.autoencoder, to_bytes(train.images, device), config, seed)
    fidelity = play(players, train, lam=None, epochs=config.fidelity_epochs, config=config, seed=seed, device=device)
    players.autoencoder = fidelity.autoencoder
    if not fidelity.collapsed:
        fidelity.history += warm_up(players, train, config, seed, device)
    fidelity.history = history + fidelity.history
    return fidelity
