"""The paper's Fig. 1: the networks as they are, the selector, and which loss moves which network."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from torch import nn

from anonrep.networks import Players
from anonrep.reports.figures import COLOURS, title_suffix

PLAYER_COLOURS = {"A": COLOURS["utility"], "D": COLOURS["best"], "C": COLOURS["certified"]}
WIDTH, HEIGHT = 13.4, 6.3  # inches, as all places below
MIDDLE, TOP, BOTTOM = 3.25, 4.9, 1.6  # heights at which A, D and C stand
LINE = {"color": "black", "linewidth": 1.1}
WORDS = {"fontsize": 10, "ha": "center", "va": "center"}


@torch.no_grad()
def layer_sizes(network: nn.Module, height: int, width: int) -> list[tuple[int, ...]]:
    """What each layer with weights gives, in the order in which an image passes them: (C, H, W) or (units,)."""
    sizes, hooks = [], []
    for layer in network.modules():
        if not any(layer.children()) and any(True for _ in layer.parameters()):
            hooks.append(layer.register_forward_hook(lambda *call: sizes.append(tuple(call[2].shape[1:]))))
    network(torch.zeros(1, 1, height, width, device=next(network.parameters()).device))
    for hook in hooks:
        hook.remove()
    return sizes


def figure1(
    players: Players,
    config: Mapping,
    image: np.ndarray,
    released: np.ndarray,
    *,
    source: str,
    setting: str = "full",
    ink: bool = True,
) -> Figure:
    """The three players with the size of every layer, the selector S, and the losses with the networks they move.

    image, released  uint8 (H, W), an image and what is released for it
    config           of the game, `GameConfig`'s: with `freeze_decoder` the decoder rests in phases (ii) and (iii)
    """
    frozen = config["freeze_decoder"]
    figure = Figure(figsize=(WIDTH, HEIGHT))
    figure.text(0.1, 0.9, f"The networks of the game: {title_suffix(source, setting)}", fontsize=11)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axis.axis("off")
    for x, shown, name in ((0.6, image, "$x$"), (6.95, released, r"$\hat x$")):
        side = 0.36
        axis.imshow(
            255 - shown if ink else shown,
            cmap="gray",
            vmin=0,
            vmax=255,
            aspect="auto",
            extent=(x - side, x + side, MIDDLE - side, MIDDLE + side),
        )
        axis.add_patch(Rectangle((x - side, MIDDLE - side), 2 * side, 2 * side, fill=False, **LINE))
        axis.text(x + 0.18, MIDDLE - 0.55, name, **WORDS | {"fontsize": 12})
    axis.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))  # the images have moved them

    size = image.shape
    sizes = layer_sizes(players.autoencoder, *size)
    hidden = sizes.index((players.autoencoder.mean.out_features,))
    resting = range(hidden + 1, len(sizes)) if frozen else ()
    title = f"autoencoder $A$: encoder, hidden layer of {sizes[hidden][0]}, decoder{' at rest' if frozen else ''}"
    _player(axis, "A", (1.3, 6.25), MIDDLE, title, sizes, size, hidden=hidden, resting=resting)
    for name, player, what, height in (
        ("D", players.discriminator, "discriminator $D$: $q(y \\mid v)$", TOP),
        ("C", players.private_classifier, "private classifier $C$: $q(z \\mid \\hat x)$", BOTTOM),
    ):
        _player(axis, name, (8.45, 10.6), height, what, layer_sizes(player, *size), size)

    axis.add_patch(Circle((7.95, TOP), 0.2, facecolor="white", edgecolor="black", zorder=3))
    axis.text(7.95, TOP, "$S$", zorder=4, **WORDS | {"fontsize": 11})
    for text, place in (("$y = 1$", (7.6, TOP + 0.6)), ("$y = 0$", (7.4, TOP + 0.15)), ("$v$", (8.3, TOP + 0.15))):
        axis.text(*place, text, **WORDS)
    _way(axis, [(0.96, MIDDLE), (1.3, MIDDLE)])
    _way(axis, [(6.25, MIDDLE), (6.59, MIDDLE)])
    _way(axis, [(0.6, MIDDLE + 0.36), (0.6, 6.0), (7.95, 6.0), (7.95, TOP + 0.2)])
    _way(axis, [(6.95, MIDDLE + 0.36), (6.95, TOP), (7.75, TOP)])
    _way(axis, [(8.15, TOP), (8.45, TOP)])
    _way(axis, [(6.95, MIDDLE - 0.36), (6.95, BOTTOM), (8.45, BOTTOM)])

    losses = {
        "D": (TOP, "(13): cross-entropy of $y$"),
        "A": (MIDDLE, "(12): $-\\log q(1 \\mid \\hat x) + \\lambda \\, |L_{obj} - L|$"),
        "C": (BOTTOM, "$L$ (14): cross-entropy of $z$"),
    }
    for name, (height, text) in losses.items():
        box = FancyBboxPatch((11.05, height - 0.22), 2.2, 0.44, boxstyle="round,pad=0.03", facecolor="white")
        box.set(edgecolor=PLAYER_COLOURS[name], linewidth=1.5)
        axis.add_patch(box)
        axis.text(12.15, height, text, **WORDS)
    for height, aside in ((TOP, -1), (BOTTOM, 1)):
        _way(axis, [(10.6, height + 0.12), (11.02, height + 0.12)])
        _way(axis, [(10.85, height + 0.12), (10.85, MIDDLE - 0.12 * aside), (11.02, MIDDLE - 0.12 * aside)])
        _way(axis, [(11.02, height - 0.12), (10.6, height - 0.12)], PLAYER_COLOURS["D" if height == TOP else "C"])
    _way(axis, [(11.02, MIDDLE), (7.31, MIDDLE)], PLAYER_COLOURS["A"])
    _way(axis, [(6.59, MIDDLE - 0.15), (6.25, MIDDLE - 0.15)], PLAYER_COLOURS["A"])
    phases = (
        "Dashed: the network that a loss moves. (13) and (14) leave $A$ where it is, and (12) leaves $D$ and $C$.",
        "Phase (i): $A$ alone, on pixels. (ii): $D$ and $A$, without $\\lambda$. (iii): all three.",
    )
    for line, text in enumerate(phases):
        axis.text(WIDTH / 2, 0.42 - 0.24 * line, text, **WORDS)
    return figure


def _player(
    axis: Axes,
    name: str,
    ends: tuple[float, float],
    height: float,
    title: str,
    sizes: Sequence[tuple[int, ...]],
    image: tuple[int, int],
    *,
    hidden: int | None = None,
    resting: Sequence[int] = (),
) -> None:
    """A frame from left to right `ends` around a block for each layer, as high as its image, with its size below."""
    (left, right), colour = ends, PLAYER_COLOURS[name]
    frame = FancyBboxPatch((left + 0.05, height - 0.8), right - left - 0.1, 1.45, boxstyle="round,pad=0.05")
    frame.set(facecolor="none", edgecolor=colour, linewidth=1.5)
    axis.add_patch(frame)
    axis.text((left + right) / 2, height + 0.85, title, **WORDS)
    places = left + (np.arange(len(sizes)) + 0.5) * (right - left) / len(sizes)
    for place, (layer, size) in zip(places, enumerate(sizes), strict=True):
        tall = 0.9 * size[1] / image[0] if len(size) == 3 else 0.12 + 0.07 * np.log2(size[0])
        wide = 0.06 + 0.04 * np.log2(size[0]) if len(size) == 3 else 0.08
        block = Rectangle((place - wide / 2, height + 0.12 - tall / 2), wide, tall, edgecolor=colour, facecolor=colour)
        block.set(alpha=0.25 if layer in resting else 1.0 if layer == hidden else 0.6)
        axis.add_patch(block)
        words = f"{size[0]}\n{size[1]} × {size[2]}" if len(size) == 3 else f"{size[0]}"
        axis.text(place, height - 0.45, words, **WORDS | {"fontsize": 8.5, "va": "top"})


def _way(axis: Axes, places: Sequence[tuple[float, float]], colour: str = "black") -> None:
    """An arrow along these places; dashed where it is not black."""
    style = {"color": colour, "linewidth": 1.1, "linestyle": "-" if colour == "black" else "--"}
    axis.plot(*zip(*places, strict=True), **style)
    head = {"arrowstyle": "-|>", "color": colour, "linewidth": 0, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11}
    (x, y), (u, v) = places[-1], places[-2]
    length = max(abs(x - u), abs(y - v))
    axis.annotate("", (x, y), (x - 0.1 * (x - u) / length, y - 0.1 * (y - v) / length), arrowprops=head)
