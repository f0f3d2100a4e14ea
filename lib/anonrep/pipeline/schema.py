"""What params.yaml may hold, asked before any work: every problem at once, by its key, with what is allowed there.

What a dataclass holds is asked of the dataclass itself, so that its names, types and ranges stand in one place; a field
of it that the file leaves out has its default.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator

from anonrep.data import builders
from anonrep.evaluation.attackers import AttackBudget, suite
from anonrep.game import GameConfig
from anonrep.methods import perturbations
from anonrep.methods.finite import FiniteConfig
from anonrep.pipeline.checks import Group, dotted, named, of, refuse, rule, tried, unknown, wrong
from anonrep.pipeline.parameters import FILE, ParameterError, one_of, read

Name = Annotated[
    str,
    rule(
        re.compile(r"[A-Za-z0-9][\w-]{0,59}", re.ASCII).fullmatch,
        "letters, digits, _ and - (files and stages bear this name, and DVC takes a dot for a group)",
    ),
]
Title = Annotated[
    str, rule(re.compile(r"[A-Za-z0-9][\w ,-]{0,59}", re.ASCII).fullmatch, "letters, digits, _, -, commas and spaces")
]
Whole, Positive = Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Lam = Annotated[
    Any,
    rule(
        lambda value: type(value) in (int, float) and 0 <= value < 1e6 and f"{value:g}" == str(value),
        "a number from 0, of at most six figures and written like 0, 0.5 or 2 (not 2.0)",
    ),
]
SOME = Field(min_length=1)
EACH_ONCE = rule(lambda values: all(value not in values[:i] for i, value in enumerate(values)), "each value once")
RISING = rule(lambda values: values == sorted(values), "the smallest first")
BASELINES = {  # what the values of each are
    **dict.fromkeys(perturbations.METHODS, Lam),
    **dict.fromkeys(["pixelate", "k_same", "k-means", "medoids"], Positive),
    **dict.fromkeys(["without_identity", "substitution", "substitution codebook"], Whole),
    "leace": None,
}


def _section(name: str) -> AfterValidator:
    """One of the entries of a section of the file."""
    return named(lambda info: info.context[name])


def _of_the_data(name: str) -> AfterValidator:
    """One of the names in a list or a group of the data set that is named beside it."""

    def find(info: ValidationInfo) -> list | dict | None:
        data = (info.context["datasets"] or {}).get(info.data.get("data"))
        part = data.get(name) if isinstance(data, dict) else None
        return part if isinstance(part, list | dict) else None

    return named(find)


def _starts(info: ValidationInfo) -> list[str] | None:
    """The games on the same images."""
    games, here = info.context["games"], {name: info.data.get(name) for name in ("data", "split")}
    if games is None or None in here.values():
        return games
    return [name for name, game in games.items() if not isinstance(game, dict) or here.items() <= game.items()]


Data, Split = Annotated[str, _section("datasets")], Annotated[str, _of_the_data("splits")]


def _attackers(names: Any) -> Any:
    """Names of attackers in a list, or "all"."""
    known = suite(AttackBudget(), seed=0)
    strange = [name for name in names if name not in [*known]] if isinstance(names, list) else [names]
    if strange and names != "all":
        raise wrong(names, f"all, or a list of {one_of(strange[0], known)}")
    return names


Names = Annotated[Any, AfterValidator(_attackers)]


class Plan(Group):
    private: Names
    utility: Names


def _plan(plan: Any) -> Any:
    """Who attacks releases of a method: "again" is the plan of that name, a list is for side attributes."""
    if plan == "again" or isinstance(plan, list):
        return plan if plan == "again" else _attackers(plan)
    return Plan.model_validate(plan)


class Assessment(Group):
    budget: of(AttackBudget)
    budgets: dict[str, of(AttackBudget)]
    attackers: Annotated[
        dict[str, Annotated[Any, AfterValidator(_plan)]], rule(lambda plans: "default" in plans, "default among them")
    ]
    sides: list[str]
    readers: list[str]
    naturalness: bool
    seeds: Annotated[list[Whole], SOME, EACH_ONCE]
    images_per_person: Annotated[
        list[Positive], SOME, EACH_ONCE, RISING, rule(lambda values: 1 in values, "1 among them: tables begin with it")
    ]
    attributes: list[str]


class Finite(Group):
    codes: Annotated[list[Annotated[int, Field(ge=2)]], SOME, EACH_ONCE]
    config: of(FiniteConfig, "codes")  # it has them from the list


class Methods(Group):
    game: Group = None
    finite: Finite = None
    baseline: Group = None


class DataSet(Group):
    splits: Annotated[list[Name], SOME, EACH_ONCE]
    page: Name
    build: dict[str, Any]
    controls: Annotated[list[Literal["permuted", "constant"]], EACH_ONCE]
    assessment: Assessment
    threat_models: Annotated[list[Annotated[str, _section("releases")]], EACH_ONCE]
    methods: Methods


class Game(Group):
    data: Data
    split: Split
    variant: Name
    seeds: Annotated[list[Whole], SOME, EACH_ONCE]
    config: of(GameConfig)


class GameOptions(Group):
    lam: Lam
    target: Whole = None
    title: Title = None
    changes: of(GameConfig) = None


class FiniteOptions(Group):
    lam: Lam
    targets: Annotated[list[Whole], SOME, EACH_ONCE] = None
    runs: Literal["clips", "similarity"] = None
    title: Title = None


class BaselineOptions(Group):
    name: Annotated[str, named(lambda info: BASELINES)]
    values: Annotated[list[Any], SOME, EACH_ONCE]

    @field_validator("values")
    @classmethod
    def _of_their_kind(cls, values: list, info: ValidationInfo) -> list:
        kind = BASELINES.get(info.data.get("name"), Any)
        return TypeAdapter(list[kind], config=Group.model_config).validate_python(values)


OPTIONS = {"game": GameOptions, "finite": FiniteOptions, "baseline": BaselineOptions}


class Release(Group):
    data: Data
    split: Split
    start: Annotated[str, named(_starts)]
    method: Annotated[str, _of_the_data("methods")]
    options: Any

    @field_validator("options")
    @classmethod
    def _of_the_method(cls, options: Any, info: ValidationInfo) -> Any:
        kind = OPTIONS.get(info.data.get("method"))
        return kind.model_validate(options, context=info.context) if kind else options


class Parameters(Group):
    setting: Annotated[str, rule(re.compile(r"[A-Za-z][\w-]*").fullmatch, "a word")]
    device: Annotated[str, rule(re.compile(r"auto|cpu|mps|cuda(:\d+)?").fullmatch, "auto, cpu, mps, cuda or cuda:N")]
    target_accuracy: Annotated[list[Share], SOME, EACH_ONCE, RISING]
    datasets: dict[Name, DataSet]
    games: dict[Name, Game]
    releases: dict[Name, Release]

    @field_validator("datasets")
    @classmethod
    def _as_their_modules_build_them(cls, datasets: dict) -> dict:
        found = {}
        for name, data in datasets.items():
            try:
                module = builders.module_of(name)
            except ValueError as error:
                found[name,] = unknown(name, str(error).rpartition("; expected ")[2])
                continue
            options = {key: tuple(value) if isinstance(value, list) else value for key, value in data.build.items()}
            found |= {(name, "build", *place): error for place, error in tried(module.Options, options).items()}
            for place, split in enumerate(data.splits):
                if split not in module.SPLIT_WAYS:
                    found[name, "splits", place] = wrong(split, one_of(split, module.SPLIT_WAYS))
        refuse(found)
        return datasets


def check(params: object, where: object = "the parameters") -> None:
    """Raise ParameterError with all that is wrong in the parameters; `where` they come from is for the message."""
    sections = {name: params.get(name) if isinstance(params, dict) else None for name in Parameters.model_fields}
    context = {name: part if isinstance(part, dict) else None for name, part in sections.items()}
    try:
        Parameters.model_validate(params, context=context)
    except ValidationError as error:
        lines = [f"{dotted(one['loc'])} {one['msg']}" for one in error.errors(include_url=False)]
        raise ParameterError(lines, where) from None


def check_file(folder: Path) -> None:
    """Check the parameters of a project."""
    check(read(folder / FILE), folder / FILE)
