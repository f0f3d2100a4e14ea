"""The check of parameters: what is committed passes, and whatever is wrong is named by its key, all of it at once."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.evaluation.attackers import AttackBudget
from anonrep.game import GameConfig
from anonrep.methods.finite import FiniteConfig
from anonrep.pipeline import schema
from anonrep.pipeline.parameters import ParameterError, parse, read
from anonrep.pipeline.workspace import at_setting

ROOT = Path(__file__).parents[1]
PARAMS = read(ROOT / "params.yaml")
FREE = {("datasets",), ("games",), ("releases",)}  # groups whose names are their author's


def problems(params: object) -> list[str]:
    """The lines of what is wrong."""
    try:
        schema.check(params)
    except ParameterError as error:
        return error.problems
    return []


def small() -> dict:
    """The committed parameters with a release of each method."""
    releases = ["pendigits-stabilised-2", "pendigits-finite-2", "pendigits-pixelate", "ferg-clips-target-6"]
    games = ["pendigits-stabilised", "ferg-clips"]
    params = PARAMS | {"releases": {name: PARAMS["releases"][name] for name in releases}}
    params = copy.deepcopy(params | {"games": {name: PARAMS["games"][name] for name in games}})
    params["datasets"]["pendigits"]["threat_models"] = releases[:1]
    return params


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value in a tree, groups and lists included."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed(path: tuple, value: object) -> dict:
    """The small parameters with another value at a path; without the key where `value` is Ellipsis."""
    params = tree = small()
    for key in path[:-1]:
        tree = tree[key]
    if value is ...:
        del tree[path[-1]]
    else:
        tree[path[-1]] = value
    return params


def dotted(path: tuple) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]


PLACES = [*places(small())]


@pytest.mark.parametrize("setting", [None, *sorted(path.stem for path in (ROOT / "settings").glob("*.yaml"))])
def test_the_committed_parameters_pass_at_every_setting(setting):
    assert problems(PARAMS if setting is None else at_setting(PARAMS, read(ROOT / f"settings/{setting}.yaml"))) == []
    assert problems(small()) == []


@pytest.mark.parametrize("value", [{"x": 1}, math.nan, b""], ids=repr)
def test_what_fits_nowhere_is_named_wherever_it_stands(value):
    for path in PLACES:
        lines = problems(changed(path, value))
        begins = tuple(f"{key}{end}" for key in (dotted(path), dotted(path[:-1])) for end in (" is ", ".", "["))
        assert any(line.startswith(begins) for line in lines), (path, lines)
        assert all("; expected " in line or line.endswith(" is missing") for line in lines)


def test_a_mistyped_key_is_named_with_the_one_that_was_meant():
    for path in PLACES:
        if isinstance(path[-1], str) and path[:-1] not in FREE and path[-2:-1] not in {("budgets",), ("attackers",)}:
            params = changed(path, ...)
            tree = params
            for key in path[:-1]:
                tree = tree[key]
            tree[f"{path[-1]}x"] = 1
            text = "\n".join(problems(params))
            assert f"{dotted(path)}x is unknown; expected " in text
            assert f"(did you mean {path[-1]}?)" in text


GAME, RELEASE = ("games", "ferg-clips"), ("releases", "ferg-clips-target-6")
ASSESSMENT = ("datasets", "ferg", "assessment")
WRONG = [  # path, value, how its line goes on after the path
    (("device",), "gpu", " is 'gpu'; expected auto, cpu, mps, cuda or cuda:N"),
    (("target_accuracy",), [0.1, 1], "[1] is 1; expected less than 1"),
    (("target_accuracy",), [0.1, 0.05], " is [0.1, 0.05]; expected the smallest first"),
    (("target_accuracy",), [0.1, 0.1], " is [0.1, 0.1]; expected each value once"),
    (("sed",), 1, " is unknown; expected one of setting, device"),
    ((*GAME, "config", "hidden"), 0, " is 0; expected a whole number from 1"),
    ((*GAME, "config", "rate"), "fast", " is 'fast'; expected a number from 0"),
    ((*GAME, "seeds"), [True], "[0] is True; expected a whole number"),
    ((*GAME, "data"), "fer", " is 'fer'; expected one of pendigits, ferg (did you mean ferg?)"),
    ((*GAME, "split"), "clip", " is 'clip'; expected one of random, clips (did you mean clips?)"),
    ((*RELEASE, "start"), "ferg-clip", " is 'ferg-clip'; expected ferg-clips (did you mean ferg-clips?)"),
    ((*RELEASE, "start"), "pendigits-stabilised", " is 'pendigits-stabilised'; expected ferg-clips"),
    ((*RELEASE, "method"), "baseline", " is 'baseline'; expected one of game, finite"),
    ((*RELEASE, "options", "lam"), 2.0, " is 2.0; expected a number from 0, of at most six figures and written like"),
    ((*RELEASE, "options", "target"), -1, " is -1; expected at least 0"),
    ((*RELEASE, "options", "changes"), {"batch": 1}, ".batch is 1; expected a whole number from 2"),
    (RELEASE, None, " is empty; expected a group of data, split, start, method, options"),
    (("releases", "pendigits-pixelate", "options", "values"), [4, 0.5], "[1] is 0.5; expected a whole number"),
    (("releases", "pendigits-pixelate", "options", "name"), "pixel", " is 'pixel'; expected one of gaussian_noise"),
    ((*ASSESSMENT, "budget", "trees"), 0, " is 0; expected a whole number from 1"),
    ((*ASSESSMENT, "images_per_person"), [5], " is [5]; expected 1 among them: tables begin with it"),
    ((*ASSESSMENT, "attackers", "side"), ["tree"], " is ['tree']; expected all, or a list of one of majority, "),
    ((*ASSESSMENT, "attackers"), {}, " is {}; expected default among them"),
    (("datasets", "faces"), PARAMS["datasets"]["ferg"], " is unknown; expected the name of a module in anonrep"),
    (("datasets", "ferg", "build", "source"), "synthetik", " is 'synthetik'; expected one of auto, raw, shared"),
    (("datasets", "ferg", "build", "frame"), "digit", " is unknown; expected one of source, size"),
    (("datasets", "ferg", "splits"), ["random", "clips", "all"], "[2] is 'all'; expected one of "),
    (("datasets", "pendigits", "threat_models"), ["x"], "[0] is 'x'; expected one of pendigits-stabilised-2, "),
    (("datasets", "ferg", "methods", "finite", "config", "codes"), 5, " is unknown; expected one of units, "),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG, ids=range(len(WRONG)))
def test_one_mistake_is_one_line_with_what_was_found_and_what_is_allowed(path, value, words):
    first, *others = problems(changed(path, value))
    assert first.startswith(dotted(path) + words)
    assert all(line.startswith("releases.") for line in others)  # those that begin with what is wrong


@pytest.mark.parametrize("name", ["x; touch here #", "a.b", "../x", "", "-a"])
def test_names_fit_commands_files_and_dvc(name):
    (line,) = problems(changed(("games", name), PARAMS["games"]["ferg-clips"]))
    assert "expected letters, digits, _ and -" in line


def test_all_mistakes_are_named_at_once():
    params = changed((*GAME, "config"), {"hidden": 0, "batch": 0, "x": 1}) | {"target_accuracy": [2], "extra": 1}
    params["releases"]["pendigits-finite-2"] = {"data": "pendigits", "start": "nothing"}
    found = [line.split(" is ")[0] for line in problems(params)]
    config, release = "games.ferg-clips.config", "releases.pendigits-finite-2"
    assert sorted(found) == sorted(
        ["target_accuracy[0]", "extra", *(f"{config}.{key}" for key in ("hidden", "batch", "x"))]
        + [f"{release}.{key}" for key in ("split", "start", "method", "options")]
    )


@pytest.mark.parametrize("params", [None, [], "text", 3, {}])
def test_what_is_no_group_at_all_is_said(params):
    assert problems(params)


def test_a_line_stays_short_and_printable_whatever_was_found():
    tree = ["x" * 10_000] * 10_000
    for _ in range(50):
        tree = [tree] * 50  # 50 to the power of 50 values
    lines = problems(small() | {"device": tree, "setting": "x" * 10_000, "y\n" * 10_000: 1, "target_accuracy": tree})
    assert len(lines) >= 4
    assert max(map(len, lines)) < 1000
    assert all(line.isprintable() for line in lines)


LEAF = st.sampled_from([None, True, 0, 1, 3, 0.5, 1.0, -1, 10**400, "1e-2", "game", "cpu"]) | st.text(max_size=5)
VALUE = LEAF | st.lists(LEAF, max_size=3) | st.dictionaries(LEAF, LEAF, max_size=3)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUE), min_size=1, max_size=3))
def test_parameters_are_refused_or_all_that_is_built_from_them_can_be(changes):
    params = small()
    for path, value in changes:
        tree = params
        try:
            for key in path[:-1]:
                tree = tree[key]
            tree[path[-1]] = value
        except (KeyError, IndexError, TypeError):  # an earlier change took it away
            continue
    if lines := problems(params):
        assert all(line.isprintable() for line in lines)
        return
    for game in params["games"].values():
        GameConfig(**game["config"])
    for data in params["datasets"].values():
        for change in [{}, *data["assessment"]["budgets"].values()]:
            AttackBudget(**data["assessment"]["budget"] | change)
        if "finite" in data["methods"]:
            for codes in data["methods"]["finite"]["codes"]:
                FiniteConfig(**data["methods"]["finite"]["config"], codes=codes)


# the reader


def test_numbers_are_read_as_dvc_reads_them():
    text = "[1e-2, 2e-05, .5, 1_000, 010, 0x10, yes, 'a', ~]"
    assert parse(text) == [0.01, 2e-05, 0.5, 1000, 10, 16, "yes", "a", None]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: {c: 1,\n c: 2}\n", "line 3: not readable as YAML: found duplicate key"),
        ("a: 1\nb: {c: 1\nd: 3\n", "line 3: not readable as YAML: "),
        ("a:\n\tb: 1\n", "line 2: not readable as YAML: found character that cannot start any token"),
        ("a: !!python/object:os.system 1\n", "line 1: not readable as YAML: could not determine a constructor"),
        ("a: 2020-13-45\n", "not readable as YAML: month must be"),
        ("[" * 5000, "not readable as YAML: "),
        ("a: 1\n---\nb: 1\n", "line 2: not readable as YAML: "),
        (b"a: \xff\n", "not readable as text: "),
    ],
    ids=range(8),
)
def test_a_file_that_is_not_yaml_or_says_things_twice_is_an_error_with_its_line(tmp_path, text, words):
    (tmp_path / "p.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ParameterError) as caught:
        read(tmp_path / "p.yaml")
    (line,) = caught.value.problems
    assert words in line
    assert line.isprintable()
    assert str(caught.value).startswith(f"{tmp_path / 'p.yaml'}: 1 problem")
