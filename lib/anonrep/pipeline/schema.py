"""What params.yaml may hold, asked before any work: every problem at once, by its key, with what is allowed there.

    python -m anonrep.pipeline.schema

A new section is an entry in `_schema`. What a dataclass holds is asked of the dataclass itself, so that its names,
types and ranges stand in one place; a field of it that the file leaves out has its default.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from anonrep.data import ferg, pendigits
from anonrep.data.ferg import SPLIT_WAYS
from anonrep.data.ferg_reader import CHARACTERS, COUNTS, EXPRESSIONS
from anonrep.data.pendigits import PENS
from anonrep.evaluation.attackers import AttackBudget
from anonrep.game import DEPARTURES, GameConfig
from anonrep.methods import perturbations
from anonrep.methods.adversaries import OBJECTIVES, AdversaryConfig
from anonrep.methods.finite import FiniteConfig
from anonrep.pipeline.checks import (
    NAME,
    Check,
    choice,
    config,
    field,
    group,
    holding,
    rule,
    several,
    text,
    whole,
    wrong,
)
from anonrep.pipeline.parameters import ParameterError, read
from anonrep.reports.elements import STOPS
from anonrep.utils.project import root

FILE = "params.yaml"
WRITERS = 30  # of Pen-digits, and of the synthetic digits
share = rule(lambda value: type(value) in (int, float) and 0 < value < 1, "a number between 0 and 1")
lam = rule(
    lambda value: type(value) in (int, float) and 0 <= value < 1e6 and f"{value:g}" == str(value),
    "a number from 0, of at most six figures and written like 0, 0.5 or 2 (not 2.0): files are named after it",
)
writer = whole(0, WRITERS - 1)
parts = rule(
    lambda value: (
        isinstance(value, list)
        and len(value) == 3
        and all(type(part) is int and part > 0 for part in value)
        and 100 * min(value) >= sum(value)
    ),
    "three whole numbers (train, validation, test), none less than a hundredth of their sum",
)
BASELINES = {  # what the settings of each mean: params.yaml, `audit`
    **dict.fromkeys([*OBJECTIVES, "gaussian_noise", "gaussian_blur"], several(lam)),
    "pixelate": several(whole(1)),
    "without_identity": several(writer),
    "leace": several(rule(lambda value: value is None, "null")),
    "k_same": several(whole(1, WRITERS)),
    "substitution": several(writer),
}


def check(params: object, where: object = "the parameters") -> None:
    """Raise ParameterError with all that is wrong in the parameters; `where` they come from is for the message."""
    if problems := list(group(_schema(params))("", params)):
        raise ParameterError(problems, where)


def _schema(params: object) -> dict[str, Check]:
    """A check a section; where one section names things of another, what it may name is looked up there."""
    points = dict.fromkeys(_at(params, "names"), choice(_at(params, "lambdas")))
    # The pipeline's commands and files bear their names.
    played = [name for name in _at(params, "variants") if name != "finite" and NAME.fullmatch(str(name))]
    game = {"seeds": several(whole()), "assessment": config(AttackBudget), "game": _game}
    finite = {
        "codes": several(field(FiniteConfig, "codes")),
        "assessment": config(AttackBudget),
        "config": config(FiniteConfig, leave_out="codes"),  # it has them from the list above
    }
    return {
        "setting": text(r"[A-Za-z][\w-]*", "a word"),
        "device": text(r"auto|cpu|mps|cuda(:\d+)?", "auto, cpu, mps, cuda or cuda:N"),
        "data": group(
            {
                "source": choice(get_args(pendigits.Options.__annotations__["source"])),
                "size": whole(7, 500),  # SSIM looks at seven pixels a side; the tablet has 500 units
                "frame": choice(PENS),
                "split": parts,
                "seed": whole(),
                "synthetic_digits_per_writer": whole(10),
            }
        ),
        "tasks": choice([["writer", "digit"]]),
        "lambdas": several(lam, most=STOPS, rising=True),  # each is a stop of the reports' sliders
        "names": several(choice([*_at(params, "games"), "finite"])),
        "games": holding(
            holding(several(choice(played)), "stabilised", "`finite` and the baselines begin with its phase (i)"),
            "faithful",
            "Fig. 2 and the reports show it",
        ),
        # dvc.yaml names these two; whatever else is there is a game of somebody's own
        "variants": group(dict.fromkeys(["stabilised", *played], group(game)) | {"finite": group(finite)}),
        "baselines": group({"codes": several(whole(1)), "targets": several(writer)}),
        "asked": several(share, rising=True),
        "held": holding(several(whole(1), rising=True), 1, "Fig. 2 is about one image"),
        "audit": group(
            {
                "points": group(points, required=False),
                "methods": several(choice([*perturbations.METHODS, *OBJECTIVES])),
                "settings": group(BASELINES, required=_at(params, "audit", "methods")),
                "game": config(AdversaryConfig),
            }
        ),
        "ferg": group(
            {
                "data": group(
                    {
                        "source": choice(get_args(ferg.Options.__annotations__["source"])),
                        "size": whole(15, 256),  # three cells of edges a side; the real images have 256
                        "images": whole(COUNTS.size),
                        "artificial": whole(len(EXPRESSIONS)),
                        "split_sizes": parts,
                        "seed": whole(),
                        "run": whole(1),
                        "gap": whole(),
                    }
                ),
                "splits": several(choice(SPLIT_WAYS)),
                "targets": several(whole(0, len(CHARACTERS))),
                "seeds": several(whole()),
                "lam": lam,
                "game": _game,
                "standard": _game,
                "finite": group({"lam": lam, "config": config(FiniteConfig)}),
                "assessment": config(AttackBudget),
            }
        ),
        "ablation": group(
            {
                "lam": choice(_at(params, "lambdas")),  # the table's first row is the grid's own run
                "seeds": several(choice(_at(params, "variants", "stabilised", "seeds"))),
                "without": several(choice(DEPARTURES)),
            }
        ),
        "assessment": config(AttackBudget),
    }


def _game(key: str, value: object) -> Iterator[str]:
    """Fields of `GameConfig`; networks without a channel, which it lets pass, are none."""
    yield from config(GameConfig)(key, value)
    for name in ("channels", "adversary_channels"):
        if isinstance(value, dict) and value.get(name) == 0:
            yield wrong(f"{key}.{name}", 0, "at least 1")


def _at(params: object, *path: str) -> list:
    """The names in the group, or the words and numbers in the list, at a path; empty where neither is there."""
    for key in path:
        params = params.get(key) if isinstance(params, dict) else None
    return [part for part in params if type(part) in (str, int, float)] if isinstance(params, (dict, list)) else []


def check_file(folder: Path) -> None:
    """Check the parameters of a project."""
    check(read(folder / FILE), folder / FILE)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m anonrep.pipeline.schema", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help=f"a file to check; without one, the project's {FILE}")
    options = parser.parse_args(arguments)
    try:
        path = options.file or root() / FILE
        check(read(path), path)
    except ParameterError as error:
        sys.exit(str(error))
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
