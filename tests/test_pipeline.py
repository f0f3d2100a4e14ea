"""The pipeline through DVC at the smoke setting: what it leaves, what makes it run again, what a kill does to it.

It runs once for all tests (`conftest.pipeline`); a test that changes something works on a copy.
"""

import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import drill
import psutil
import pytest
import smoke
from browser import WIDTHS, chromium, fits_paper_and_the_dark, needs_chromium, opened
from bs4 import BeautifulSoup
from mounts import can_mount, contents, run_full, run_read_only, seen
from smoke import lock, read_params, rows, run, stages_run, stale, write_params

import anonrep.data
from anonrep.data import builders
from anonrep.data.dataset import Dataset
from anonrep.pipeline import code
from anonrep.pipeline.parameters import dumped, read
from anonrep.stages import controls, finite, game, paths, releases, results
from anonrep.stages.assess import assess_release
from anonrep.stages.threat_models import assess_threat_models

TESTS = Path(__file__).parent
EIGHTS = read(TESTS / "eights.yaml")
PAGES = ("index", "pendigits", "ferg", "audit")
DATA = ("pendigits", "ferg")
slow = pytest.mark.slow


# What it leaves.


def test_every_stage_leaves_whole_files_and_nothing_else(pipeline):
    params = read_params(pipeline)
    known = lock(pipeline)
    for stage, names in {"data": params["datasets"], "start": params["games"], "assess": params["releases"]}.items():
        assert {f"{stage}@{name}" for name in names} <= known.keys()
    assert drill.half_written(pipeline) == []
    assert drill.leftovers(pipeline) == []
    assert {path.stem for path in (pipeline / "reports").glob("*.html")} == set(PAGES)


def test_the_rows_are_of_the_releases_of_params_yaml_and_say_that_they_are_synthetic(pipeline):
    for data in DATA:
        names = {name for name, one in read_params(pipeline)["releases"].items() if one["data"] == data}
        index = [one for name in names for one in json.loads(index_of(pipeline, name).read_text()) if one["attacked"]]
        key = ("method", "setting", "target", "seed")
        assert {tuple(row[k] for k in key) for row in rows(pipeline, data, "runs")} == {
            tuple(one[k] for k in key) for one in index
        }
        for kind in (*results.KINDS, "target_accuracy"):
            assert {row["source"] for row in rows(pipeline, data, kind)} <= {"synthetic"}


def index_of(folder: Path, release: str) -> Path:
    """The list of a release's images."""
    return folder / paths.release_folder(release) / releases.INDEX


def test_a_collapsed_run_is_nowhere_reported_as_private(pipeline):
    collapsed = {row["method"]: row["collapsed"] for row in rows(pipeline, "pendigits", "runs")}
    assert "constant" in collapsed["faithful"]
    assert collapsed["stabilised"] is None
    for kind in ("attacks", "naturalness"):
        methods = {row["method"] for row in rows(pipeline, "pendigits", kind)}
        assert "stabilised" in methods
        assert "faithful" not in methods
    assert not list((pipeline / "models/releases/pendigits-faithful-1").glob("*.npz")), "it has no release"
    page = BeautifulSoup((pipeline / "reports/pendigits.html").read_text(encoding="utf-8"), "html.parser")
    assert "faithful, λ = 1, seed 0: collapsed" in " ".join(page.main.text.split())


def test_no_attacker_breaks_a_certificate(pipeline):
    for data in DATA:
        codes = read_params(pipeline)["datasets"][data]["methods"]["finite"]["codes"][0]  # attackers are set on these

        def key(row: dict) -> tuple:
            return tuple(row[name] for name in ("split", "method", "setting", "target", "seed"))

        proofs = [row for row in rows(pipeline, data, "certificate") if (row["m"], row["codes"]) == (1, codes)]
        bounds = {key(row): row["bound"] for row in proofs}
        private = rows(pipeline, data, "about")["private"]
        attacks = [row for row in rows(pipeline, data, "attacks") if (row["m"], row["task"]) == (1, private)]
        certified = [row for row in attacks if key(row) in bounds and row["attacker"] != results.READER]
        assert {row["method"] for row in certified} == {"finite"}
        assert all(row["accuracy"] <= bounds[key(row)] for row in certified)


@pytest.mark.parametrize("name", PAGES)
def test_a_report_is_one_file_that_asks_for_nothing_and_says_what_it_is(pipeline, name):
    text = (pipeline / f"reports/{name}.html").read_text(encoding="utf-8")
    page = BeautifulSoup(text, "html.parser")
    said = " ".join(page.main.text.split())
    assert "synthetic" in said
    assert "smoke setting" in said.lower()
    assert "Traceback" not in said
    assert not re.search(r"\bnan\b", said), "an empty mean reached the page"
    assert not page.find_all(["script", "link", "iframe", "object"])
    for element in page.find_all(True):
        for attribute in ("src", "srcset", "data", "poster", "xlink:href", *(["href"] if element.name != "a" else [])):
            assert element.get(attribute, "data:").startswith("data:"), element.name
    assert not re.search(r"url\(\s*['\"]?(?!data:)|@import", text)
    assert all(image.get("alt") and image["alt"] != "Figure without a description" for image in page.find_all("img"))
    for link in page.find_all("a", href=True):  # to a place on the page, or to another report
        assert link["href"].startswith(("#", "https://doi.org/")) or (pipeline / "reports" / link["href"]).is_file()


@needs_chromium
def test_reports_in_a_browser_fit_phone_and_paper_and_slide_by_keyboard(pipeline):
    with chromium() as browser:
        for name in PAGES:
            for width in WIDTHS:
                with opened(browser, pipeline / f"reports/{name}.html", width) as page:
                    panels = page.locator(".slider").first.locator(".panel")
                    if panels.count() > 1:  # the smoke setting has one target
                        assert [panels.nth(i).is_visible() for i in (0, 1)] == [True, False]
                        page.locator(".slider input").first.focus()
                        page.keyboard.press("ArrowRight")
                        assert [panels.nth(i).is_visible() for i in (0, 1)] == [False, True]
                    fits_paper_and_the_dark(page)


def test_dvc_shows_the_headline_numbers(copy):
    shown = json.loads(run(copy, "dvc", "metrics", "show", "--json"))[""]["data"]
    assert set(shown) == {"reports/metrics/headline.json"}
    assert set(DATA) <= set(shown["reports/metrics/headline.json"]["data"])


# What makes it run again.


def test_nothing_is_stale_after_a_run_and_prose_changes_that_for_no_stage_but_numbers_do(copy):
    assert "up to date" in run(copy, "anonrep.pipeline.repro")
    edit(copy / "lib/anonrep/losses.py", '"""', '"""Other words. ')
    edit(copy / "notebooks/stages/assess.ipynb", '"# What', '"# Just what')
    code.write(copy)
    assert stale(copy) == {"code"}, "which finds that nothing else has changed"
    edit(copy / "lib/anonrep/losses.py", "def ", "ANOTHER = 1\n\n\ndef ")
    code.write(copy)
    found = stale(copy)
    assert {f"start@{name}" for name in read_params(copy)["games"]} <= found
    assert not {stage for stage in found if stage.split("@")[0] in ("data", "controls", "assess", "results")}


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands first."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_release_added_and_a_number_changed_make_their_own_stages_stale_alone(copy):
    before = read_params(copy)
    after = with_release(before)
    write_params(copy, after)
    summaries = {*(f"{stage}@{data}" for stage in ("results", "report") for data in DATA), "audit", "index", "code"}
    assert {"release@another", "assess@another"} <= (found := stale(copy))
    assert found <= {"release@another", "assess@another"} | summaries
    game = {**before["games"]["pendigits-faithful"]}
    game["config"] = {**game["config"], "rate": 0.001}
    write_params(copy, {**before, "games": {**before["games"], "pendigits-faithful": game}})
    mine = {"start@pendigits-faithful", "release@pendigits-faithful-1"}
    assert mine <= (found := stale(copy))
    assert found <= mine | summaries
    write_params(copy, before)
    assert stale(copy) <= {"code"}


def with_release(params: dict) -> dict:
    """The parameters with the game at one more lambda."""
    another = {**params["releases"]["pendigits-stabilised-1"], "options": {"lam": 0.5}}
    return {**params, "releases": {**params["releases"], "another": another}}


def test_dvc_names_every_kind_of_artefact_of_which_a_bit_has_changed(copy):
    """Also those that can be read with the bit changed: a figure in JSON, a word in a page."""
    damaged = {
        "data@pendigits": "data/processed/pendigits/random.npz",
        "controls@pendigits": "models/controls/pendigits/random/reader-digit.safetensors",
        "start@pendigits-stabilised": "models/start/pendigits-stabilised/seed-0.safetensors",
        "release@pendigits-stabilised-1": "models/releases/pendigits-stabilised-1/snapshots-0.npz",
        "release@pendigits-finite-1": "models/releases/pendigits-finite-1/codebooks.json",
        "assess@pendigits-finite-1": "build/assess/pendigits-finite-1.json",
        "results@ferg": "reports/metrics/ferg/attacks.json",
        "index": "reports/index.html",
    }
    for path in damaged.values():
        data = bytearray((copy / path).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / path).write_bytes(data)
    found = json.loads(run(copy, "dvc", "status", "--json", *damaged).splitlines()[-1])
    for stage, path in damaged.items():
        (changed,) = [part["changed outs"] for part in found[stage] if "changed outs" in part]
        assert any(path == name or path.startswith(f"{name}/") for name in changed), (stage, changed)


@slow
def test_a_release_added_trains_alone_and_one_taken_away_leaves_no_ghost(copy):
    before, files = read_params(copy), drill.artefacts(copy)
    write_params(copy, with_release(before))
    ran = stages_run(run(copy, "dvc", "repro", "results@pendigits"))
    assert ran == {"code", "release@another", "assess@another", "threat_models@pendigits", "results@pendigits"}
    assert 0.5 in {row["setting"] for row in rows(copy, "pendigits", "runs")}
    write_params(copy, before)
    run(copy, "dvc", "repro", "results@pendigits")
    assert 0.5 not in {row["setting"] for row in rows(copy, "pendigits", "runs")}
    found = drill.artefacts(copy)
    assert not [name for name in files if name.startswith("reports/metrics") and found[name] != files[name]]


# The same again, whatever happens.


@slow
def test_stages_that_run_again_make_the_same_bits(copy):
    """dvc.lock has the hash of every file that went in and came out; of reports, the figures are the same too."""
    again = [
        "data@pendigits",
        "start@pendigits-stabilised",
        "release@pendigits-stabilised-1",
        "release@pendigits-finite-1",
        "assess@pendigits-stabilised-1",
        "release@ferg-clips-target-6",
        "results@ferg",
        "report@ferg",
    ]
    before, files = lock(copy), drill.artefacts(copy)
    log = run(copy, "dvc", "repro", "--force", "--single-item", *again)
    assert stages_run(log) == set(again)
    assert {name: now for name, now in lock(copy).items() if name != "report@ferg"} == {
        name: then for name, then in before.items() if name != "report@ferg"
    }
    found = drill.artefacts(copy)
    made = [name for name in files if not name.endswith(".html") and "build/runs" not in name]
    assert {Path(name).suffix for name in made} >= {".npz", ".safetensors", ".json", ".svg", ".png"}
    assert not [name for name in made if found[name] != files[name]]


@slow
def test_repro_goes_on_after_kills_with_dvcs_own_files_cut_short(copy):
    """A short form of `make drill`, with what a kill seldom leaves: half a dvc.lock, locks of numbers others have."""
    stages, files = lock(copy), drill.artefacts(copy)
    run(copy, "anonrep.pipeline.resume")
    forget(copy, "release@pendigits-stabilised-1", "release@pendigits-finite-1", "assess@ferg-clips-finite")
    sign = copy / "models/releases/pendigits-stabilised-1/history.json"  # written while the stage is at work
    for way, until in ((signal.SIGKILL, sign.exists), (signal.SIGINT, lambda: True)):
        drill.kill(at_work(copy, until), way)
        assert drill.half_written(copy) == []
    whole = (copy / "dvc.lock").read_bytes()
    (copy / "dvc.lock").write_bytes(whole[: len(whole) // 3])
    entry = {"pid": os.getppid(), "cmd": "dvc repro"}
    (copy / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {str(copy / "models"): entry}, "read": {}}))
    process, log = at_work(copy, lambda: True), copy.with_suffix(".log")
    family = process.children(recursive=True)
    for one in family:
        one.suspend()  # until the next run is seen to wait for what this one started
    process.kill()
    process.wait()
    following, deadline = drill.start(copy, log, jobs=2), time.monotonic() + 60
    while "waiting for an earlier run" not in log.read_text(encoding="utf-8"):
        assert following.poll() is None, drill.last_words(copy)
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for one in family:
        one.resume()
    assert following.wait() == 0, drill.last_words(copy)
    assert "dvc.lock cannot be read" in log.read_text(encoding="utf-8")
    assert lock(copy) == stages
    found = drill.artefacts(copy)
    assert not [name for name in files if found.get(name) != files[name]]
    assert drill.leftovers(copy) == []


def forget(folder: Path, *stages: str) -> None:
    """Let DVC know nothing of these stages, and take what they made away."""
    known = lock(folder)
    for stage in stages:
        for out in known.pop(stage)["outs"]:
            path = folder / out["path"]
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "dvc.lock").write_text(dumped({"schema": "2.0", "stages": known}), encoding="utf-8")
    shutil.rmtree(folder / ".dvc/cache/runs")  # or they would be taken from there


def at_work(folder: Path, until) -> psutil.Popen:
    """A new run of `anonrep.pipeline.repro`, when a stage has begun and `until` says so."""
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    process = drill.start(folder, log, jobs=2)
    while process.poll() is None and not ("Running stage" in log.read_text(encoding="utf-8") and until()):
        time.sleep(0.01)
    assert process.poll() is None, drill.last_words(folder)
    return process


@slow
@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount")
@pytest.mark.parametrize(("mount", "why"), [(run_full, "No space left on device"), (run_read_only, "Read-only file")])
def test_a_stage_without_room_in_reports_fails_and_loses_nothing(copy, mount, why):
    before, stages = contents(copy / "reports"), lock(copy)
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "results@pendigits"]
    done = mount(copy / "reports", *command, cwd=copy, env=smoke.environment(copy))
    assert done.returncode != 0
    assert re.search(rf"(reports/.* cannot be written: {why}|{why}.*reports/)", done.stderr), done.stderr
    assert seen(copy / "reports") == before
    assert lock(copy) == stages
    assert stale(copy) == set()


# A further data set: a module and a block of parameters.


def test_a_further_data_set_takes_the_same_path(tmp_path, monkeypatch):
    """From its module to the rows of its judges, by the calls that the notebooks make."""
    monkeypatch.setattr(anonrep.data, "__path__", [*anonrep.data.__path__, str(TESTS)])
    monkeypatch.chdir(tmp_path)
    mine, (name,) = EIGHTS["datasets"]["eights"], EIGHTS["games"]
    builders.build("eights", mine["build"], ["random"], paths.PROCESSED / "eights")
    data, start = Dataset.load(paths.data_file("eights", "random")), paths.start_folder(name)
    judges, where = mine["assessment"], paths.controls_folder("eights", "random")
    controls.assess_controls(data, judges, mine["controls"], out=where)
    game.prepare_seeds(data, EIGHTS["games"][name]["config"], [0], start)
    readers = controls.load_readers(where, judges)
    for release, one in EIGHTS["releases"].items():
        out, options = paths.release_folder(release), one["options"]
        if one["method"] == "finite":
            config = mine["methods"]["finite"]
            finite.release_by_codebook(data, config["config"], config["codes"], **options, start=start, out=out)
        else:
            config = EIGHTS["games"][name]["config"]
            game.release_by_game(data, config, "stabilised", **options, start=start, out=out)
        assess_release(data, out, readers, judges, out=paths.assessment_file(release))
    assess_threat_models(data, [], judges, out=paths.threat_models_file("eights"))
    results.collect("eights", ["random"], EIGHTS["releases"], [0.5], out=paths.metrics_folder("eights"))
    found = results.Results.read(paths.metrics_folder("eights"))
    assert (found.private, found.to_keep, found.source) == ("hand", "digit", "synthetic")
    best = found.attackers("hand").groupby("method").accuracy.max()
    chance = (data.z[data.split == 2] == 0).mean()
    assert best["raw"] > 0.8, "the hand is there to be found"
    assert best["permuted"] < 0.45, "and attackers find nothing where there is nothing"
    assert chance < 0.4
    proof = found.certificate[found.certificate.m == 1]
    assert (best["finite"] <= proof.bound).all()


@slow
def test_a_further_data_set_runs_through_the_pipeline(copy):
    raw = copy / "data/raw"
    raw.unlink()
    for name in (*DATA, "eights"):
        (raw / name).mkdir(parents=True)
    shutil.copy(TESTS / "eights.py", copy / "lib/anonrep/data")
    params = read_params(copy)
    write_params(copy, {**params, **{group: {**params[group], **EIGHTS[group]} for group in EIGHTS}})
    ran = stages_run(run(copy, "dvc", "repro", "report@eights"))
    assert {stage.split("@")[0] for stage in ran if "eights" in stage} == {
        *("data", "controls", "start", "release", "assess", "threat_models", "results", "report")
    }
    assert not {stage for stage in ran if stage.split("@")[0] in ("release", "assess") and "eights" not in stage}
    assert {row["method"] for row in rows(copy, "eights", "runs")} == {"stabilised", "finite"}
    assert "hand" in (copy / "reports/eights.html").read_text(encoding="utf-8")
