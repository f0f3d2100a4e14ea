"""The parameters' check: what is committed passes, and whatever is wrong is named by its key, all of it at once."""

import copy
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from anonrep.pipeline import schema, workspace
from anonrep.pipeline.checks import choice, config, group, several, whole
from anonrep.pipeline.parameters import ParameterError, read

ROOT = Path(__file__).parents[1]
PARAMS = read(ROOT / "params.yaml")
SETTINGS = sorted(path.stem for path in (ROOT / "settings").glob("*.yaml"))


def problems(params: object) -> list[str]:
    """The lines of what is wrong."""
    try:
        schema.check(params)
    except ParameterError as error:
        return error.problems
    return []


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value in a tree, groups and lists included."""
    if path:
        yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def at(tree: object, path: tuple) -> object:
    for key in path:
        tree = tree[key]
    return tree


def changed(path: tuple, value: object) -> dict:
    """The committed parameters with another value at a path."""
    params = copy.deepcopy(PARAMS)
    at(params, path[:-1])[path[-1]] = value
    return params


def dotted(path: tuple) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]


PLACES = list(places(PARAMS))
KEYS = [path for path in PLACES if isinstance(path[-1], str)]
LEAVES = [path for path in PLACES if not isinstance(at(PARAMS, path), (dict, list))]
FREE = [("variants",)]  # groups whose names are their author's


def has_a_default(path: tuple) -> bool:
    """Whether the key is a field of a dataclass, or of a group that need not hold them all."""
    return (
        path[:-1] == ("audit", "points")
        or path[-2:-1] in {("game",), ("config",), ("assessment",)}
        or path[:-1] == ("ferg", "standard")
    )


def allowed(path: tuple, value: object) -> bool:
    """What fits nowhere else: no setting for the baseline that has none."""
    return value is None and path == ("audit", "settings", "leace", 0)


# what passes


def test_the_committed_parameters_pass():
    schema.check(PARAMS)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_over_them_passes(setting):
    schema.check(workspace.merged(PARAMS, read(ROOT / f"settings/{setting}.yaml")))


def test_what_a_working_copy_gets_passes(tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS, sort_keys=False, allow_unicode=True))
    schema.check(read(tmp_path / "params.yaml"))


# what does not


def named(path: tuple, value: object) -> None:
    """With another value at `path`, a line begins with its key, or with its list's, and says what is allowed."""
    lines = problems(changed(path, value))
    keys = (f"{dotted(path)} is ", f"{dotted(path)}.", f"{dotted(path)}[", f"{dotted(path[:-1])} is ")
    assert any(line.startswith(keys) for line in lines), f"{dotted(path)}: {value!r} {lines}"
    assert all("; expected " in line or "to YAML, not a number: write " in line for line in lines)


@pytest.mark.parametrize("value", [None, -1, "no such thing", [], {"x": 1}, math.nan, math.inf, b""], ids=repr)
def test_what_fits_nowhere_is_named_wherever_it_stands(value):
    for path in PLACES:
        if allowed(path, value):
            assert problems(changed(path, value)) == []
        else:
            named(path, value)


def test_a_value_of_another_kind_is_named():
    for path in LEAVES:
        value = at(PARAMS, path)
        others = [1] if isinstance(value, bool | str) else [True, str(value)]
        for other in others:
            named(path, other)


def without(path: tuple) -> dict:
    """The committed parameters with one key less."""
    params = copy.deepcopy(PARAMS)
    del at(params, path[:-1])[path[-1]]
    return params


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_a_mistyped_key_is_named_with_the_one_that_was_meant(path):
    params, wrong = without(path), f"{path[-1]}x"
    at(params, path[:-1])[wrong] = at(PARAMS, path)
    text = "\n".join(problems(params))
    if path[:-1] not in FREE:
        assert f"{dotted(path)}x is unknown; expected " in text
        assert f"(did you mean {path[-1]}?)" in text
    elif path[-1] in ("stabilised", "finite"):  # the pipeline names these
        assert f"{dotted(path)} is missing; expected a group of " in text
    else:  # those who use the name
        assert f" is {path[-1]!r}; expected one of " in text
        assert f"(did you mean {wrong}?)" in text


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_a_missing_key_is_named_unless_it_has_a_default(path):
    text = "\n".join(problems(without(path)))
    if has_a_default(path):
        assert text == ""
    elif path[:-1] in FREE and path[-1] not in ("stabilised", "finite"):
        assert f" is {path[-1]!r}; expected " in text
    else:
        assert f"{dotted(path)} is missing; expected " in text


GAMES = PARAMS["games"]
WRONG = {  # what: (path, value, how its line begins)
    "lambda with a point": (("lambdas",), [2, 4, 3.0], "lambdas[2] is 3.0; expected a number from 0, of at most six"),
    "lambda of many figures": (("lambdas",), [2, 4, 4.1234567], "lambdas[2] is 4.1234567; expected a number"),
    "lambda twice": (("lambdas",), [2, 3, 3, 4], "lambdas is [2, 3, 3, 4]; expected each value once"),
    "lambdas for no slider": (
        ("lambdas",),
        [*range(13)],
        "lambdas is [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...]; expected at most 12 values",
    ),
    "lambdas in disorder": (("lambdas",), [0, 4, 2], "lambdas is [0, 4, 2]; expected the smallest first: [0, 2, 4]"),
    "exponent": (("lambdas",), [2, 4, "1e-2"], "lambdas[2] is the text '1e-2' to YAML, not a number: write 0.01"),
    "unknown name": (("names",), [*PARAMS["names"], "faithfull"], "names[3] is 'faithfull'; expected one of "),
    "name twice": (
        ("games",),
        GAMES * 2,
        "games is ['faithful', 'stabilised', 'faithful', 'stabilised']; expected each ",
    ),
    "no game": (("games",), [*GAMES, "finite"], "games[2] is 'finite'; expected one of faithful, stabilised"),
    "seed twice": (("variants", "stabilised", "seeds"), [0, 0], "variants.stabilised.seeds is [0, 0]; expected each"),
    "seed below nought": (("data", "seed"), -1, "data.seed is -1; expected a whole number from 0"),
    "two splits": (("data", "split"), [1, 2], "data.split is [1, 2]; expected three whole numbers"),
    "an empty split": (("data", "split"), [1, 0, 1], "data.split is [1, 0, 1]; expected three whole numbers"),
    "a thin split": (
        ("ferg", "data", "split_sizes"),
        [1, 1, 200],
        "ferg.data.split_sizes is [1, 1, 200]; exp",
    ),
    "images too small for SSIM": (("data", "size"), 6, "data.size is 6; expected a whole number from 7 to 500"),
    "source": (("data", "source"), "syntetic", "data.source is 'syntetic'; expected one of auto, "),
    "asked of everybody": (("asked",), [0.1, 1], "asked[1] is 1; expected a number between 0 and 1"),
    "tasks": (("tasks",), ["digit", "writer"], "tasks is ['digit', 'writer']; expected ['writer', 'digit']"),
    "device": (("device",), "gpu", "device is 'gpu'; expected auto, cpu, mps, cuda or cuda:N"),
    "range of a game": (("variants", "faithful", "game", "hidden"), 0, "variants.faithful.game.hidden is 0; expected"),
    "codes": (("variants", "finite", "codes"), [20, 1], "variants.finite.codes[1] is 1; expected at least 2"),
    "codes elsewhere": (("variants", "finite", "config", "codes"), 5, "variants.finite.config.codes is unknown; "),
    "budget": (("assessment", "trees"), 0, "assessment.trees is 0; expected a whole number from 1"),
    "unknown departure": (("ablation", "without"), ["clam"], "ablation.without[0] is 'clam'; expected one of kl, "),
    "no departure": (("ablation", "without"), ["batch"], "ablation.without[0] is 'batch'; expected one of kl, "),
    "lambda off the grid": (("ablation", "lam"), 7, "ablation.lam is 7; expected one of 0, 0.25, 0.5, 1, 1.5, 2"),
    "images in disorder": (("held",), [5, 1], "held is [5, 1]; expected the smallest first: [1, 5]"),
    "no image at all": (("held",), [0, 1], "held[0] is 0; expected a whole number from 1"),
    "never one image": (("held",), [5, 20], "held is [5, 20]; expected 1 among them: Fig. 2 is about one image"),
    "no channel": (("ferg", "game", "channels"), 0, "ferg.game.channels is 0; expected at least 1"),
    "a name that a shell would run": (
        ("variants", "x; touch here #"),
        PARAMS["variants"]["faithful"],
        "variants.'x; touch here #' is unknown; expected one of stabilised, faithful",
    ),
    "point off the grid": (("audit", "points", "finite"), 7, "audit.points.finite is 7; expected one of 0, 0.25, 0.5"),
    "unknown baseline": (
        ("audit", "methods"),
        ["leacy"],
        "audit.methods[0] is 'leacy'; expected one of gaussian_noise",
    ),
    "baseline twice": (("audit", "methods"), ["leace"] * 2, "audit.methods is ['leace', 'leace']; expected each value"),
    "setting below nought": (
        ("audit", "settings", "pixelate"),
        [-1],
        "audit.settings.pixelate[0] is -1; expected a whole number from 1",
    ),
    "half a pixel": (("audit", "settings", "pixelate"), [0.5], "audit.settings.pixelate[0] is 0.5; expected a whole"),
    "more people than there are": (("audit", "settings", "k_same"), [31], "audit.settings.k_same[0] is 31; expected a"),
    "nobody": (("audit", "settings", "substitution"), [30], "audit.settings.substitution[0] is 30; expected a whole"),
    "nobody's images": (("baselines", "targets"), [99], "baselines.targets[0] is 99; expected a whole number from 0"),
    "a baseline without a setting": (
        ("audit", "settings"),
        {name: value for name, value in PARAMS["audit"]["settings"].items() if name != "k_same"},
        "audit.settings.k_same is missing; expected a list of at least one",
    ),
    "range of an adversary": (("audit", "game", "batch"), 1, "audit.game.batch is 1; expected a whole number from 2"),
    "seed off the grid": (("ablation", "seeds"), [3], "ablation.seeds[0] is 3; expected one of 0, 1, 2"),
    "an empty group": (
        ("data",),
        None,
        "data is empty; expected a group of source, size, frame, split, seed, synthetic",
    ),
    "a number for a key": (("data", 7), 1, "data.7 is unknown; expected one of source, size"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_one_mistake_is_one_line_with_what_was_found_and_what_is_allowed(kind):
    path, value, words = WRONG[kind]
    (line,) = problems(changed(path, value))
    assert line.startswith(words)


@pytest.mark.parametrize(
    ("left", "gone", "why"),
    [("faithful", "stabilised", "`finite` and the baselines begin"), ("stabilised", "faithful", "Fig. 2 and the rep")],
)
def test_the_pipeline_cannot_do_without_two_of_the_games(left, gone, why):
    lines = problems(changed(("games",), [left]) | {"names": [left, "finite"]})
    assert f"games is [{left!r}]; expected {gone} among them: {why}" in "\n".join(lines)


def test_a_likely_meaning_is_suggested():
    (line,) = problems(changed(("device",), "cuda:0") | {"sede": 1})
    assert line.startswith("sede is unknown; expected one of setting, device")
    (line,) = problems(changed(("data", "source"), "syntetic"))
    assert line.endswith("(did you mean synthetic?)")


def test_all_mistakes_are_named_at_once():
    params = changed(("data",), {"size": "x"}) | {"asked": 3, "lambdas": [2.0], "extra": 1}
    del params["names"]
    named = [line.split(" is ")[0] for line in problems(params)]
    assert {"data.size", "data.source", "data.split", "asked", "lambdas[0]", "extra", "names"} <= set(named)


def test_mistakes_that_belong_together_are_named_all_the_same():
    lines = problems(changed(("games",), [{}, {}]) | {"variants": None, "lambdas": [], "ablation": {"lam": []}})
    assert "games[0] is {}; expected a word or a number" in lines
    assert "ablation.lam is []; expected a word or a number" in lines


@pytest.mark.parametrize("params", [None, [], "text", 3, {}])
def test_what_is_no_group_at_all_is_said(params):
    assert problems(params)


def test_a_line_stays_short_whatever_was_found():
    tree = ["x" * 10_000] * 10_000
    for _ in range(50):
        tree = [tree] * 50  # 50 to the power of 50 values
    round_ = []
    round_.append(round_)
    for value in (tree, round_, "x" * 10_000):
        params = changed(("ablation", "lam"), value) | {"lambdas": value, "asked": [value], "names": {"x": value}}
        params["y\n" * 10_000] = 1
        lines = problems(params)
        assert len(lines) >= 4
        assert max(map(len, lines)) < 1000
        assert all(len(line.splitlines()) == 1 for line in lines)


# what new sections are made of


def test_a_new_field_of_a_dataclass_is_known_without_another_word():
    @dataclass(frozen=True)
    class Config:
        width: int = 3

        def __post_init__(self) -> None:
            if self.width < 1:
                raise ValueError(f"width is {self.width}; expected at least 1")

    section = group({"config": config(Config), "seeds": several(whole()), "way": choice(["a", "b"])})
    assert not list(section("", {"config": {"width": 1}, "seeds": [0], "way": "a"}))
    assert list(section("s", {"config": {"width": 0}, "seeds": [1.5], "way": "c"})) == [
        "s.config.width is 0; expected at least 1",
        "s.seeds[0] is 1.5; expected a whole number from 0",
        "s.way is 'c'; expected one of a, b",
    ]


# the file

FILES = {
    "twice": ("a: 1\nb: {c: 1,\n c: 2}\n'a': 3\n", ["line 4: the key 'a' is there", "line 3: the key 'c' is there"]),
    "open bracket": ("a: 1\nb: {c: 1\nd: 3\n", ["line 3: no YAML: while parsing a flow mapping; expected ',' or '}'"]),
    "tab": ("a:\n\tb: 1\n", ["line 2: no YAML: while scanning for the next token; found character '\\t'"]),
    "unknown anchor": ("a: 1\nb: *c\n", ["line 2: no YAML: found undefined alias 'c'"]),
    "unknown tag": ("a: !!python/object:os.system 1\n", ["line 1: no YAML: could not determine a constructor"]),
    "no such date": ("a: 2020-13-45\n", ["no readable YAML: ValueError: month"]),
    "no such number": ("a: !!int x\n", ["no readable YAML: ValueError: invalid literal"]),
    "control character": ("a: \x01\n", ["no readable YAML: ReaderError: unacceptable character"]),
    "too deep": ("[" * 500, ["no readable YAML: RecursionError"]),
    "two documents": ("a: 1\n---\nb: 1\n", ["line 2: no YAML: expected a single document"]),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_yaml_or_says_things_twice_is_an_error_with_its_line(tmp_path, kind):
    text, words = FILES[kind]
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ParameterError) as caught:
        read(tmp_path / "p.yaml")
    assert len(caught.value.problems) == len(words)
    assert all(line.startswith(start) for line, start in zip(caught.value.problems, words, strict=True))
    assert str(caught.value).startswith(f"{tmp_path / 'p.yaml'}: {len(words)} problem")


def test_bytes_that_are_no_text_are_an_error(tmp_path):
    (tmp_path / "p.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ParameterError, match="no readable YAML: UnicodeDecodeError"):
        read(tmp_path / "p.yaml")


def test_keys_that_differ_are_not_twice_there(tmp_path):
    (tmp_path / "p.yaml").write_text("1: a\n'1': b\nx: &x {c: 1}\ny: {<<: *x, c: 2}\n? [1, 2]\n: c\n")
    with pytest.raises(ParameterError, match="unhashable"):
        read(tmp_path / "p.yaml")
    (tmp_path / "p.yaml").write_text("1: a\n'1': b\nx: &x {c: 1}\ny: {<<: *x, c: 2}\n")
    assert read(tmp_path / "p.yaml") == {1: "a", "1": "b", "x": {"c": 1}, "y": {"c": 2}}


def test_the_command_line_says_nothing_when_all_is_well(capsys, monkeypatch):
    monkeypatch.chdir(ROOT / "lib")
    schema.main([])
    assert capsys.readouterr() == ("", "")


def test_the_command_line_ends_with_the_lines_and_no_traceback(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(changed(("asked",), [2]) | {"extra": 1}))
    done = subprocess.run([sys.executable, "-m", "anonrep.pipeline.schema", path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    head, extra, asked = done.stderr.splitlines()
    assert head == f"{path}: 2 problems"
    assert extra.startswith("extra is unknown; expected one of ")
    assert asked == "asked[0] is 2; expected a number between 0 and 1"


def test_the_command_line_says_where_it_finds_nothing(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="No such file"):
        schema.main([str(tmp_path / "none.yaml")])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="start from inside the project"):
        schema.main([])
