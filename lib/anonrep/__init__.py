"""Anonymised image representations by mutual information (Feutry, Piantanida and Duhamel, ICASSP 2020).

The names that a user needs first. Each is imported when it is first used, so that `import anonrep` takes no time.
"""

from importlib import import_module

_HOME = {  # a name and its module; losses and finite are modules themselves
    "Dataset": "data.dataset",
    "build": "data.builders",
    "load_folder": "data.image_folder",
    "losses": "losses",
    "Players": "networks",
    "GameConfig": "game",
    "update": "game",
    "prepare": "game",
    "play": "game",
    "finite": "methods.finite",
    "FiniteConfig": "methods.finite",
    "make_codebook": "methods.code_encoder",
    "AttackBudget": "evaluation.attackers",
    "suite": "evaluation.attackers",
    "assess": "evaluation.assessment",
    "accuracy_bound": "evaluation.certificate",
    "certify": "evaluation.certificate",
    "audit": "release.model_audit",
    "release_folder": "release.folder",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:  # PEP 562
    if name not in _HOME:
        raise AttributeError(f"module 'anonrep' has no attribute {name!r}")
    module = import_module(f".{_HOME[name]}", __name__)
    return module if _HOME[name].split(".")[-1] == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
