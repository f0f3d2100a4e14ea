"""The runner: parameters, failures, clean copies, and HTML that no request leaves."""

import copy
import json
import re
import subprocess
import sys
from functools import partial

import nbformat
import pytest
from browser import WIDTHS, chromium, fits, needs_chromium, opened
from bs4 import BeautifulSoup
from mounts import can_mount, contents, run_full, run_read_only, seen
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from anonrep.pipeline.notebook import cleaned
from anonrep.pipeline.parameters import ParameterError, declared, parse, read_notebook, resolve
from anonrep.reports import elements
from anonrep.reports.page import formula, to_html
from anonrep.reports.tables import provenance_table

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="600pt" height="60pt"><rect width="600" height="60"/></svg>'
TOY = new_notebook(
    metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    cells=[
        new_markdown_cell("# A toy & its title\n\nInline $\\hat{x}$ and a [link](https://doi.org/10.1109/5.771073)."),
        new_code_cell('lam = 0.5\nname = "toy"\nmore = {}\nfail = False', metadata={"tags": ["parameters"]}),
        new_markdown_cell("## Method\n\n$$\\mathcal{L} = -\\log D(x) \\tag{9}$$\n\n|a|b|\n|--|--|\n|1|2|"),
        new_markdown_cell("## Result\n\nText.\n\n## What it means\n\nMore."),
        new_code_cell(
            "import json, os, sys\nprint('noise')\nprint('progress', file=sys.stderr)\nassert not fail, 'as told'"
        ),
        new_code_cell("print(json.dumps([lam, name, more, os.getcwd(), os.environ['OMP_NUM_THREADS']]))"),
    ],
)

PARAMS = """
fail: false
games:
  name: ferg
  wide: {lam: 2e-05, name: ferg, more: {layers: [64, 32]}}
  narrow: {lam: 3, name: ferg, more: {}}
"""


@pytest.fixture
def project(tmp_path):
    """A project with the toy notebook."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(PARAMS)
    nbformat.write(TOY, tmp_path / "toy.ipynb")
    (tmp_path / "build/notebooks").mkdir(parents=True)
    nbformat.write(TOY, tmp_path / "build/notebooks/toy.ipynb")
    return tmp_path


@pytest.fixture
def executed(tmp_path):
    """The toy notebook with outputs of every kind, as after a run, without the cost of one."""
    notebook = copy.deepcopy(TOY)
    wide = "<table class='dataframe'><tr>" + "<td>0.123456</td>" * 40 + "</tr></table>"
    notebook.cells[4].outputs = [
        new_output("stream", name="stdout", text="noise\n" + "long" * 200),
        new_output("stream", name="stderr", text="progress\n"),
        new_output("display_data", data={"text/html": wide, "text/plain": "table"}),
        new_output("display_data", data={"image/svg+xml": SVG}, metadata={"image/svg+xml": {"alt": "A bar & more"}}),
        new_output("display_data", data={"text/markdown": "**read** $p_z$"}),
    ]
    nbformat.write(notebook, tmp_path / "executed.ipynb")
    return tmp_path / "executed.ipynb"


def run(project, *arguments, name="toy.ipynb"):
    """The runner's command line in `project`."""
    command = [sys.executable, "-m", "anonrep.pipeline.notebook", "run", name, "--as", "job", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120)


def test_parameters_arrive_with_their_types(project):
    done = run(project, "-p", "name", "a: b #2", "--scope", "games.wide", "--scope", "games", "--hide-code", name="toy")
    assert done.returncode == 0, done.stderr
    noise, values, wall = done.stdout.splitlines()
    assert noise == "noise"
    assert json.loads(values) == [2e-05, "a: b #2", {"layers": [64, 32]}, str(project), "1"]
    assert re.fullmatch(r"job: \d+\.\d s", wall)
    assert done.stderr.splitlines() == ["progress"]
    assert nbformat.read(project / "build/runs/job.ipynb", as_version=4).cells[-1].outputs
    assert "noise" not in (project / "build/runs/job.html").read_text()


def test_a_failing_cell_is_an_error_without_a_page(project):
    (project / "reports").mkdir()
    (project / "reports/toy.html").write_text("an earlier run's page")
    done = run(project, "-p", "fail", "true", "--html", "reports/toy.html")
    assert done.returncode == 1
    assert "AssertionError: as told" in done.stderr
    assert "\x1b" not in done.stderr
    assert str(project / "build/runs/job.ipynb") in done.stderr
    assert (project / "build/runs/job.ipynb").exists()
    assert not (project / "reports/toy.html").exists()
    assert not list((project / "build/runs").glob(".*"))


@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount")
@pytest.mark.parametrize(
    ("mount", "why", "cell"),
    [
        (run_full, "No space left on device", "write_text('reports/metrics.json', 'n' * 100_000)"),
        (run_read_only, "Read-only file system", ""),  # the page is what cannot be written
    ],
)
def test_no_room_for_a_result_is_said_in_a_line_and_earlier_results_stay(project, mount, why, cell):
    (project / "reports").mkdir()
    (project / "reports/toy.html").write_text("an earlier run's page")
    (project / "reports/metrics.json").write_text("[]")
    before = contents(project / "reports")
    notebook = copy.deepcopy(TOY)
    notebook.cells.append(new_code_cell(f"from anonrep.utils.files import write_text\n{cell}"))
    nbformat.write(notebook, project / "toy.ipynb")
    command = ["run", "toy.ipynb", "--as", "toy", "--html", "reports/toy.html"]
    done = mount(project / "reports", sys.executable, "-m", "anonrep.pipeline.notebook", *command, cwd=project)
    assert done.returncode == 1
    name = "metrics.json" if cell else "toy.html"
    said = [line for line in done.stderr.splitlines() if line != "progress"]
    assert len(said) == 1, done.stderr
    assert f"reports/{name} cannot be written: {why}" in said[0]
    assert "what was there before is kept" in said[0]
    assert seen(project / "reports") == before


NOTEBOOK = json.loads(nbformat.writes(TOY))


def test_a_parameter_comes_from_the_command_line_then_the_scopes_in_order_then_the_top_level():
    find = partial(resolve, NOTEBOOK, params=parse(PARAMS), complete=True)
    everything = {"lam": 3, "name": "ferg", "more": {}, "fail": False}
    assert find({}, ["games.narrow", "games.wide"]) == everything
    assert find({}, ["games.wide", "games.narrow"]) == everything | {"lam": 2e-05, "more": {"layers": [64, 32]}}
    assert find({"lam": "1e-2", "more": "{a: 2}"}, ["games.narrow"]) == everything | {"lam": 0.01, "more": {"a": 2}}
    with pytest.raises(ValueError, match=r"no value for lam, more: looked in games and the top level of params.yaml"):
        find({}, ["games"])
    for scope, words in [("games.wid", "games.wid is missing; .*did you mean wide?"), ("fail", "fail is False")]:
        with pytest.raises(ParameterError, match=words):
            find({}, [scope])


def test_a_notebook_of_somebodys_own_keeps_its_values_where_there_are_no_others():
    assert resolve(NOTEBOOK, {}, [], {"name": "x", "other": 1}, complete=False) == {"name": "x"}
    assert resolve(NOTEBOOK, {}, [], None, complete=False) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lamb": "1"}, "declares no parameter lamb; it declares lam, name, more, fail"),
        ({"lam": "two"}, "lam is 'two', of type str; expected a value of the kind of 0.5"),
        ({"lam": "true"}, "lam is True, of type bool; expected a value of the kind of 0.5"),
        ({"fail": "1"}, "fail is 1, of type int; expected a value of the kind of False"),
        ({"more": "[1]"}, r"more is \[1\], of type list; expected a value of the kind of {}"),
        ({"more": "[1"}, r"-p more \[1: line \d: not readable as YAML"),
    ],
)
def test_what_papermill_would_let_through_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        resolve(NOTEBOOK, given, [], {}, complete=False)


@pytest.mark.parametrize("text", ["/people #2", "/data/a: b", "2024", "true", "null", "[a", "1e-2"])
def test_where_text_is_declared_every_text_is_taken_as_it_is(text):
    assert resolve(NOTEBOOK, {"name": text}, [], None, complete=False) == {"name": text}


def test_only_literals_are_parameters():
    cell = new_code_cell("a: int = -1\nb = 2 * a", metadata={"tags": ["parameters"]})
    with pytest.raises(ValueError, match="parameter b is no plain literal"):
        declared(new_notebook(cells=[cell]))
    with pytest.raises(ValueError, match="no cell tagged 'parameters'"):
        resolve(new_notebook(cells=[new_code_cell("lam = 1")]), {"lam": "2"}, [], None, complete=False)


def saved_by_lab(text: str) -> str:
    """What opening, running and saving in Lab does to a notebook file."""
    notebook = json.loads(text)
    notebook["metadata"] |= {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "version": "3.13.1", "codemirror_mode": {"name": "ipython", "version": 3}},
        "widgets": {"application/vnd.jupyter.widget-state+json": {}},
    }
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] |= {"execution": {"iopub.status.busy": "now"}, "collapsed": False, "editable": True}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": number, "outputs": [new_output("stream", text="noise")]}
        cell["source"] = "".join(cell["source"])
    return json.dumps(notebook, indent=2)


def test_clean_copies_do_not_notice_lab():
    text = nbformat.writes(TOY)
    once = cleaned(json.loads(text))
    assert cleaned(json.loads(once)) == once
    assert cleaned(json.loads(saved_by_lab(text))) == once
    nbformat.validate(json.loads(once))
    assert [cell["id"] for cell in json.loads(once)["cells"]] == [cell.id for cell in TOY.cells]
    assert declared(json.loads(once)) == {"lam": 0.5, "name": "toy", "more": {}, "fail": False}


def test_clean_command_writes_copies_and_refuses_outputs(tmp_path):
    source = tmp_path / "toy.ipynb"
    source.write_text(saved_by_lab(nbformat.writes(TOY)))
    command = [sys.executable, "-m", "anonrep.pipeline.notebook", "clean", str(source)]
    assert subprocess.run([*command, "--check"], capture_output=True).returncode == 1
    subprocess.run([*command, "--to", str(tmp_path / "copies")], check=True)
    assert (tmp_path / "copies/toy.ipynb").read_text() == cleaned(read_notebook(source))
    subprocess.run([*command, "--to", str(tmp_path)], check=True)
    assert subprocess.run([*command, "--check"]).returncode == 0


def test_the_page_is_one_file_that_asks_for_nothing(executed, tmp_path):
    to_html(executed, tmp_path / "page.html", title=None, hide_code=True)
    text = (tmp_path / "page.html").read_text()
    page = BeautifulSoup(text, "html.parser")
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert "default-src 'none'" in policy
    assert "script-src 'none'" in policy
    assert page.html["lang"] == "en"
    assert page.title.text == "A toy & its title"
    assert page.find("meta", attrs={"name": "viewport"})
    assert len(page.find_all("math")) == 3
    assert page.find("span", class_="tag").text == "(9)"
    assert [link["href"] for link in page.nav.find_all("a")] == ["#method", "#result", "#what-it-means"]
    assert page.find("img")["alt"] == "A bar & more"
    assert "noise" not in page.main.text
    assert "progress" not in page.main.text
    assert not page.find("details")

    for element in page.find_all(True):
        for attribute in ("src", "srcset", "data", "poster", "xlink:href", *(["href"] if element.name != "a" else [])):
            assert element.get(attribute, "data:").startswith("data:"), element.name
    assert not page.find_all(["script", "link", "iframe", "object"])
    assert not re.search(r"url\(\s*['\"]?(?!data:)|@import", text)
    assert len(text.encode()) < 400_000


def test_code_is_folded_away_when_it_is_shown(executed, tmp_path):
    to_html(executed, tmp_path / "page.html", title="Mine")
    page = BeautifulSoup((tmp_path / "page.html").read_text(), "html.parser")
    assert page.title.text == "Mine"
    assert [fold.summary.text for fold in page.find_all("details")] == ["Parameters", "Code", "Log", "Code"]
    assert not any(fold.has_attr("open") for fold in page.find_all("details"))


HOSTILE = "</style></td><script>fetch('//x')</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}<!--"


@pytest.mark.parametrize("hide_code", [True, False])
def test_what_came_from_data_stays_text(tmp_path, hide_code):
    """In a table, in what was printed, in an error, in a figure's words: no element and no attribute of its own."""
    table = elements.data_table(
        provenance_table({"citation": HOSTILE, HOSTILE: "key", "counts": {HOSTILE: 1}}), HOSTILE
    )
    described = {"image/svg+xml": {"alt": HOSTILE, "caption": HOSTILE}}
    outputs = [
        new_output("display_data", data={"text/html": table, "text/plain": HOSTILE}),
        new_output("display_data", data={"text/plain": HOSTILE}),
        new_output("display_data", data={"text/markdown": f"The best attacker, {HOSTILE}, finds **1 %**."}),
        new_output("display_data", data={"text/markdown": HOSTILE}),
        new_output("stream", name="stdout", text=HOSTILE),
        new_output("stream", name="stderr", text=HOSTILE),
        new_output("error", ename="ValueError", evalue=HOSTILE, traceback=[HOSTILE]),
        new_output("display_data", data={"image/svg+xml": SVG}, metadata=described),
    ]
    nbformat.write(new_notebook(cells=[new_code_cell("show()", outputs=outputs)]), tmp_path / "hostile.ipynb")
    to_html(tmp_path / "hostile.ipynb", tmp_path / "page.html", title=HOSTILE, hide_code=hide_code)
    page = BeautifulSoup((tmp_path / "page.html").read_text(), "html.parser")
    assert not page.find_all("script")
    assert all(image["src"].startswith("data:") for image in page.find_all("img"))
    assert not [element.name for element in page.find_all(True) for name in element.attrs if name.startswith("on")]
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert {"default-src 'none'", "script-src 'none'"} <= {part.strip() for part in policy.split(";")}
    assert page.text.count("fetch('//x')") >= 6
    assert "49" not in page.text


def test_a_formula_that_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match=r"cannot show \\nonsense"):
        formula(r"x + \nonsense")


@needs_chromium
def test_in_a_browser_no_request_no_error_no_sideways_scroll(executed, tmp_path):
    to_html(executed, tmp_path / "page.html")
    with chromium() as browser:
        for width in WIDTHS:
            with opened(browser, tmp_path / "page.html", width, columns=False) as page:
                page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
                assert fits(page, width)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: "", "is no notebook: it is empty"),
        (lambda text: text[:100], "is no notebook: "),
        (lambda text: f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n", "holds a merge conflict"),
        (lambda text: text.replace('"nbformat": 4', '"nbformat": 3'), "is nbformat 3; expected"),
        (lambda text: "[1, 2]", "is other JSON; expected"),
    ],
)
def test_a_damaged_notebook_is_named(project, damage, says):
    path = project / "toy.ipynb"
    path.write_text(damage(nbformat.writes(TOY)))
    with pytest.raises(ValueError, match=re.escape(f"{path} {says}")):
        read_notebook(path)
    done = run(project)
    assert done.returncode == 1
    assert f"toy.ipynb {says}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_byte_order_mark_is_no_damage(tmp_path):
    (tmp_path / "toy.ipynb").write_text(nbformat.writes(TOY), encoding="utf-8-sig")
    assert declared(read_notebook(tmp_path / "toy.ipynb"))["name"] == "toy"


def test_a_stage_runs_in_this_interpreters_kernel_and_says_it_on_any_terminal(project, monkeypatch):
    """Another kernel named python3 is passed over, and a terminal that knows no lambda shows the traceback."""
    folder = project / "jupyter/kernels/python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(project / "jupyter"))
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    notebook = new_notebook(cells=[new_code_cell("print('λ'); raise ValueError('λ is 3')")])
    nbformat.write(notebook, project / "toy.ipynb")
    done = run(project)
    assert "\\u03bb is 3" in done.stderr
    assert "toy.ipynb" not in done.stderr.splitlines()[0]
