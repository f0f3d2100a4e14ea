"""Trained players on disk: weights as safetensors, and beside them in JSON what is needed to build and judge them."""

from pathlib import Path

import torch
from safetensors import SafetensorError

from anonrep.networks import Players
from anonrep.utils.files import read_json, write_json
from anonrep.utils.weights import load_weights, save_weights

NAMES = ("autoencoder", "discriminator", "private_classifier")


def save_players(path: str | Path, players: Players, architecture: dict, **description: object) -> None:
    """Write `path`.safetensors and `path`.json: `architecture` as `Players.build` takes it, and a description."""
    weights = {
        f"{name}.{key}": value
        for name, player in zip(NAMES, players, strict=True)
        for key, value in player.state_dict().items()
    }
    save_weights(f"{path}.safetensors", weights)
    write_json(f"{path}.json", {"architecture": architecture, **description})


def load_players(path: str | Path, device: torch.device | str = "cpu") -> Players:
    """Read what `save_players` wrote, on `device`. A missing, damaged or unfitting file is named."""
    description = read_json(f"{path}.json")
    try:
        players = Players.build(**description["architecture"], seed=0)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}.json does not describe players ({error!r}): delete it and run `dvc repro`") from error
    try:
        weights = load_weights(f"{path}.safetensors")
        for name, player in zip(NAMES, players, strict=True):
            own = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
            player.load_state_dict(own)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path}.safetensors cannot be used ({error}): delete it and run `dvc repro`") from error
    return players.to(torch.device(device))
