"""The whole pipeline through DVC at the smoke setting: what it leaves, what it says, and what makes it run again.

The pipeline runs once; a test that changes something works on a copy of that workspace.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import drill
import psutil
import pytest
import yaml
from browser import WIDTHS, chromium, fits_paper_and_the_dark, needs_chromium, opened
from bs4 import BeautifulSoup
from mounts import can_mount, contents, run_full, run_read_only, seen
from test_notebook import saved_by_lab

from anonrep.data.dataset import Dataset
from anonrep.pipeline import workspace
from anonrep.reports import words

ROOT = Path(__file__).parents[1]
SETTING = yaml.safe_load((ROOT / "settings/smoke.yaml").read_text(encoding="utf-8"))
FIG2 = ("fig2", "controls", "naturalness", "runs", "summary")
FACES = ("table1", "ferg_certificate")
METRICS = (*FIG2, "certificate", "kept", "epsilon", "audit", "baselines", *FACES)
PAGES = ("index", "pendigits", "audit", "ferg")
SPLITS = ("random", "clips")
MATRICES = (("ablation", "without"), ("audit", "methods"))
GAMES = ("faithful", "stabilised")
NAMES = (*GAMES, "finite")
TRAINED = ("history.json", "runs.json", "seed-0.json", "seed-0.npz", "seed-0.safetensors", "snapshots-0.npz")
LEARNED = ("history.json", "runs.json", "codebooks.json", "seed-0.npz", "codes-8-seed-0.npz", "codes-4-seed-0.json")
OUTPUTS = [
    "data/processed/pendigits.npz",
    "build/figures/contact_sheet.svg",
    "models/controls/controls.json",
    "models/controls/reader.safetensors",
    *(f"models/{name}/start/{file}" for name in GAMES for file in ("runs.json", "history.json")),
    *(f"models/faithful/lambda-{lam}/runs.json" for lam in (0, 1)),
    *(f"models/stabilised/lambda-{lam}/{file}" for lam in (0, 1) for file in TRAINED),
    *(f"models/finite/lambda-{lam}/{file}" for lam in (0, 1) for file in LEARNED),
    *(f"build/assess/{name}-{lam}.json" for name in NAMES for lam in (0, 1)),
    *(f"build/ablation/{name}.json" for name in SETTING["ablation"]["without"]),
    *(f"build/baselines/{name}.json" for name in SETTING["audit"]["methods"]),
    "models/baselines/gaussian_noise/0.5-0.npz",
    "build/outsiders.json",
    *(f"reports/metrics/{name}.json" for name in METRICS),
    "reports/figures/fig2.svg",
    "reports/figures/fig2.png",
    "reports/figures/frontier.svg",
    "reports/figures/pareto.svg",
    "reports/figures/table1.svg",
    *(f"data/processed/ferg-{name}.npz" for name in (*SPLITS, "artificial")),
    *(
        f"models/ferg/{split}/target-6/{file}"
        for split in SPLITS
        for file in (*TRAINED, "substituted-0.npz", "pixels.npz")
    ),
    *(f"models/ferg/{split}/finite/{file}" for split in SPLITS for file in ("seed-0.safetensors", "target-6.npz")),
    *(f"build/ferg/{split}-6.json" for split in SPLITS),
    *(f"reports/{name}.html" for name in PAGES),
    "dvc.lock",
]


def environment(folder: Path) -> dict[str, str]:
    """This interpreter first, and no settings of a user's DVC."""
    own = {f"DVC_{name}_DIR": str(folder.parent / "dvc") for name in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, **own, "PATH": path, "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1"}


def run(folder: Path, *command: str) -> str:
    """What a command of this interpreter prints in `folder`; the test fails with it when the command does."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def stages_run(log: str) -> list[str]:
    """The stages that `dvc repro` ran."""
    return re.findall(r"^Running stage '(.+)'", log, re.MULTILINE)


def status(folder: Path) -> set[str]:
    """The stages that are not up to date by themselves; one that only waits for them is not among them."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=folder, env=environment(folder), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def lock(folder: Path) -> dict:
    """Every stage with the hashes of what went in and came out."""
    return yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def metrics(folder: Path) -> dict[str, bytes]:
    """The metrics files."""
    return {name: (folder / f"reports/metrics/{name}.json").read_bytes() for name in METRICS}


def rows(folder: Path, name: str) -> list[dict]:
    """The rows of a metrics file."""
    return json.loads(metrics(folder)[name])


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> tuple[Path, str]:
    """A workspace after its first `dvc repro`, and what that printed. Only to be read."""
    folder = tmp_path_factory.mktemp("pipeline") / "smoke"
    workspace.make(ROOT, "smoke", folder)
    return folder, run(folder, "dvc", "repro")


@pytest.fixture(scope="module")
def done(pipeline) -> Path:
    """The workspace. Only to be read."""
    return pipeline[0]


NUMBERS = count()


@pytest.fixture
def copy(done) -> Path:
    """A copy of the workspace, to change as one likes."""
    folder = done.parent / f"copy-{next(NUMBERS)}"
    shutil.copytree(done, folder, symlinks=True)
    yield folder
    shutil.rmtree(folder)


def change_parameters(folder: Path, **values: object) -> str:
    """Set parameters at the top of params.yaml; returns the text as it was."""
    path = folder / "params.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(yaml.safe_dump({**yaml.safe_load(before), **values}, sort_keys=False), encoding="utf-8")
    return before


# What it leaves.


def test_every_stage_ran_once_and_left_what_it_should(pipeline):
    folder, log = pipeline
    assert sorted(stages_run(log)) == sorted(lock(folder))
    assert len(set(stages_run(log))) == 38 + sum(len(SETTING[part][names]) for part, names in MATRICES)
    assert not [path for path in OUTPUTS if not (folder / path).is_file()]
    pages = {path.stem for path in (folder / "build/runs").glob("*.html")}
    assert pages == {stage.replace("@", "-") for stage in lock(folder)} - {
        "notebooks",
        "report",
        "audit",
        "ferg",
        "index",
    }
    hidden = [path for part in ("build", "data/processed", "models", "reports") for path in (folder / part).rglob(".*")]
    assert not hidden, "temporary files were left"


def test_the_rows_have_the_keys_that_others_rely_on(done):
    keys = {"variant", "lam", "seed", "task", "attacker", "accuracy", "low", "high", "n", "source"}
    assert all(keys <= set(row) for row in rows(done, "fig2"))
    keys = {"variant", "lam", "seed", "digit_accuracy", "ssim", "two_sample_accuracy", "source"}
    assert all(keys <= set(row) for row in rows(done, "naturalness"))
    assert all({"variant", "lam", "seed", "collapsed", "source"} <= set(row) for row in rows(done, "runs"))


def test_the_rows_hold_the_whole_grid_and_both_controls(done):
    runs = rows(done, "runs")
    grid = [(name, lam, 0) for name in NAMES for lam in (0, 1)]
    assert [(row["variant"], row["lam"], row["seed"]) for row in runs] == grid
    accuracy = rows(done, "fig2") + rows(done, "controls")
    assert {row["variant"] for row in rows(done, "fig2") if row["lam"] is None} == {"raw"}
    assert {(row["variant"], row["lam"]) for row in rows(done, "controls")} == {("permuted", None), ("constant", None)}
    attackers = {
        (variant, task): {row["attacker"] for row in accuracy if (row["variant"], row["task"]) == (variant, task)}
        for variant in ("raw", "permuted", "stabilised", "finite")
        for task in ("writer", "digit")
    }
    for (variant, task), found in attackers.items():
        more = {"majority", "logistic", "boosted", "mlp"} if task == "writer" else set()
        large = {"cnn_large"} if task == "writer" and variant != "finite" else set()
        assert found == {"cnn", "trees", "svm", "neighbours", "ensemble"} | more | large
    for row in accuracy:
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["n"] == (Dataset.load(done / "data/processed/pendigits.npz").split == 2).sum() == 100
    for row in rows(done, "naturalness"):
        assert 0 <= row["digit_accuracy"] <= 1
        assert 0 <= row["two_sample_accuracy"] <= 1
        assert -1 <= row["ssim"] <= 1


def test_the_certificate_has_every_release_of_fixed_pictures_and_no_attacker_breaks_it(done):
    certificate = rows(done, "certificate")
    keys = {"dataset", "method", "lam", "codebook", "seed", "m", "delta", "bound", "worst_attacker", "utility"}
    assert all(keys | {"naturalness", "n", "source"} <= set(row) for row in certificate)
    assert {row["method"] for row in certificate} == {
        "finite",
        "finite, two codes",
        "k-means",
        "medoids",
        "substitution",
    }
    finite = {(row["lam"], row["codebook"], row["m"]): row["bound"] for row in certificate if row["method"] == "finite"}
    assert set(finite) == {(lam, codes, m) for lam in (0, 1) for codes in (8, 4) for m in (1, 5, 20)}
    for row in certificate:
        assert row["m"] > 1 or row["worst_attacker"] <= row["bound"]
    for row in rows(done, "fig2"):  # the whole suite sees the same pictures
        if row["variant"] == "finite" and row["task"] == "writer":
            assert row["accuracy"] <= finite[row["lam"], 8, 1]


def test_the_audit_has_every_kind_of_attacker_and_every_baseline(done):
    audit = rows(done, "audit")
    assert {row["method"] for row in audit} == {"raw", "permuted", "constant", "stabilised", "finite"}
    assert {row["knowledge"] for row in audit} == {"release", "raw", "unseen", "as few"}
    assert {row["m"] for row in audit} >= {1, 5}
    releases = rows(done, "baselines")
    keys = {"dataset", "method", "setting", "seed", "worst_attacker", "utility", "naturalness", "source"}
    assert all(keys <= set(row) for row in releases)
    found = [(row["method"], row["setting"]) for row in releases]
    assert found == [
        *[(name, lam) for name in ("stabilised", "finite") for lam in (0, 1)],
        *[("maximum_entropy", 1), ("gaussian_noise", 0.1), ("gaussian_noise", 0.5), ("leace", None)],
    ]
    worst = {(row["method"], row["setting"]): row["worst_attacker"] for row in releases}
    for row in rows(done, "fig2"):
        if row["task"] == "writer" and row["variant"] != "raw":
            assert row["accuracy"] <= worst[row["variant"], row["lam"]]


def test_table_1_has_every_method_on_both_splits_and_no_attacker_breaks_the_certificate(done):
    table = rows(done, "table1")
    keys = {"target", "method", "split", "task", "attacker", "accuracy", "low", "high", "n", "source"}
    assert all(keys <= set(row) for row in table)
    methods = {
        (None, "raw"),
        (None, "standard"),
        *((6, name) for name in ("restricted", "substituted", "pixels", "finite")),
    }
    assert {(row["target"], row["method"]) for row in table} == methods
    for split, bound in ((row["split"], row["bound"]) for row in rows(done, "ferg_certificate")):
        mine = [row for row in table if row["split"] == split]
        assert {row["task"] for row in mine} == {"identity", "expression", "pose", "gaze"}
        found = [row["accuracy"] for row in mine if (row["method"], row["task"]) == ("finite", "identity")]
        assert found
        assert max(found) <= bound


def test_a_collapsed_run_is_nowhere_reported_as_private(done):
    lost = {row["variant"]: row["collapsed"] for row in rows(done, "runs")}
    assert "constant" in lost["faithful"]
    assert lost["stabilised"] is None
    for name in ("fig2", "naturalness"):  # and of the audit's rows, above
        assert {"faithful"} & {row["variant"] for row in rows(done, name)} == set()
        assert {"stabilised"} <= {row["variant"] for row in rows(done, name)}
    assert "faithful" not in json.loads(metrics(done)["summary"])
    assert not list((done / "models/faithful").rglob("seed-*.npz")), "a collapsed run has no release"


def test_a_release_says_where_it_came_from_and_keeps_labels_and_split(done):
    data = Dataset.load(done / "data/processed/pendigits.npz")
    for lam in (0, 1):
        release = Dataset.load(done / f"models/stabilised/lambda-{lam}/seed-0.npz")
        assert (release.z == data.z).all()
        assert (release.split == data.split).all()
        assert (release.images != data.images).any()
        assert data.provenance.items() <= release.provenance.items()
        assert (release.provenance["lam"], release.provenance["seed"]) == (lam, 0)
        facts = json.loads((done / f"models/stabilised/lambda-{lam}/seed-0.json").read_text())
        assert facts["provenance"]["source"] == "synthetic"


def test_synthetic_data_is_named_everywhere(done):
    for name in set(METRICS) - {"controls", "summary"}:
        assert {row["source"] for row in rows(done, name)} == {"synthetic"}
    assert json.loads(metrics(done)["summary"])["source"] == "synthetic"


def test_the_report_says_synthetic_smoke_and_collapsed(done):
    page = BeautifulSoup((done / "reports/pendigits.html").read_text(encoding="utf-8"), "html.parser")
    text = " ".join(page.main.text.split())
    assert "The data is synthetic." in text
    assert "This is the smoke setting" in text
    assert "2 of 6 runs collapsed; they are no evidence of privacy and have no accuracy" in text
    assert "faithful, λ = 0, seed 0: collapsed in epoch 2 of the fidelity phase" in text
    assert "synthetic" in text
    assert "Traceback" not in text
    assert not re.search(r"\bnan\b", text), "an empty mean reached the page"


@pytest.mark.parametrize("name", PAGES)
def test_a_report_is_one_file_that_asks_for_nothing(done, name):
    text = (done / f"reports/{name}.html").read_text(encoding="utf-8")
    assert "synthetic" in text
    assert "Traceback" not in text
    page = BeautifulSoup(text, "html.parser")
    assert not page.find_all(["script", "link", "iframe", "object"])
    (policy,) = page.find_all("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert {"default-src 'none'", "script-src 'none'", "form-action 'none'"} <= set(policy["content"].split("; "))
    for element in page.find_all(True):
        for attribute in ("src", "srcset", "data", "poster", "xlink:href", *(["href"] if element.name != "a" else [])):
            assert element.get(attribute, "data:").startswith("data:"), element.name
    assert not re.search(r"url\(\s*['\"]?(?!data:)|@import", text)
    assert all(image.get("alt") and image["alt"] != "Figure without a description" for image in page.find_all("img"))
    assert len(page.find_all("img")) >= 2
    tables = page.main.find_all("table")
    assert tables
    assert all("synthetic" in table.caption.text and "SMOKE SETTING" in table.caption.text for table in tables)
    for link in page.find_all("a", href=True):  # to a place on the page, or to another report
        assert link["href"].startswith("#") or (done / "reports" / link["href"]).is_file(), link["href"]


def test_the_index_leads_to_every_report_and_shows_the_headline_figures(done):
    page = BeautifulSoup((done / "reports/index.html").read_text(encoding="utf-8"), "html.parser")
    assert {link["href"] for link in page.find_all("a", href=True)} >= {
        f"{name}.html" for name in set(PAGES) - {"index"}
    }
    assert {image["alt"] for image in page.find_all("img")} >= {
        words.FIGURE2[0],
        words.PARETO[0],
        words.TARGETS[0],
    }


@needs_chromium
@pytest.mark.parametrize("name", PAGES)
def test_a_report_in_a_browser_asks_for_nothing_fits_phone_and_paper_and_slides_by_keyboard_and_touch(done, name):
    with chromium() as browser:
        for width in WIDTHS:
            with opened(browser, done / f"reports/{name}.html", width) as page:
                panels = page.locator(".slider").first.locator(".panel")
                assert panels.first.is_visible()
                if panels.count() > 1:  # the smoke setting has one target
                    assert [panels.nth(i).is_visible() for i in (0, 1)] == [True, False]
                    page.locator(".slider input").first.focus()
                    page.keyboard.press("ArrowRight")
                    assert [panels.nth(i).is_visible() for i in (0, 1)] == [False, True]
                    page.locator(".slider label").first.tap()
                    assert [panels.nth(i).is_visible() for i in (0, 1)] == [True, False]
                fits_paper_and_the_dark(page)


def test_dvc_knows_the_metrics_and_the_plots(done, tmp_path):
    """`metrics show` wants numbers by name, which the summary has; the lists of rows are for `plots show`."""
    shown = json.loads(run(done, "dvc", "metrics", "show", "--json"))[""]["data"]
    assert shown["reports/metrics/summary.json"]["data"]["stabilised"]["lambda 1"]["seeds"] == 1
    assert not [path for path, value in shown.items() if "error" in value]
    run(done, "dvc", "plots", "show", "--out", str(tmp_path))
    drawn = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert all(words in drawn for words in ("fresh attackers against lambda", "a reader of raw digits reads"))


# What makes it run again.


def test_a_second_repro_runs_nothing(done):
    assert status(done) == set()
    before = lock(done)
    assert stages_run(run(done, "dvc", "repro")) == []
    assert lock(done) == before


def test_opening_and_saving_in_lab_leaves_all_but_the_clean_copies_up_to_date(copy):
    for path in (copy / "notebooks").glob("*.ipynb"):
        path.write_text(saved_by_lab(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert status(copy) == {"notebooks"}
    assert stages_run(run(copy, "dvc", "repro")) == ["notebooks"]
    assert status(copy) == set()


def test_a_changed_cell_runs_its_stage_again(copy):
    """The control of the test above: an edit is noticed, and by the stages of that notebook alone."""
    path = copy / "notebooks/assess.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][-1]["source"] = ["Another reading."]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert stages_run(run(copy, "dvc", "repro", "notebooks")) == ["notebooks"]
    assert status(copy) == {f"assess@{name}-{lam}" for name in NAMES for lam in (0, 1)}


def test_another_lambda_makes_its_own_stages_stale_and_taking_it_back_none(copy):
    before = change_parameters(copy, lambdas=[0, 0.5, 1])
    own = {*(f"train@{name}-0.5" for name in GAMES), "finite@0.5", *(f"assess@{name}-0.5" for name in NAMES)}
    assert status(copy) == own | {"certify", "epsilon", "fig2", "report", "audit"}
    (copy / "params.yaml").write_text(before, encoding="utf-8")
    assert status(copy) == set()


def test_another_number_of_one_game_leaves_the_other_alone(copy):
    parameters = yaml.safe_load((copy / "params.yaml").read_text(encoding="utf-8"))
    parameters["variants"]["faithful"]["game"]["rate"] = 0.001
    change_parameters(copy, **parameters)
    trained = {f"train@faithful-{lam}" for lam in (0, 1)}
    assert status(copy) == {"pretrain@faithful", *trained, "report"}


def test_a_lambda_taken_away_leaves_no_ghost_and_comes_back_from_the_cache(copy):
    numbers, parameters = metrics(copy), change_parameters(copy, lambdas=[1])
    assert stages_run(run(copy, "dvc", "repro", "fig2")) == ["certify", "fig2"]
    for name in ("fig2", "naturalness", "runs", "certificate"):
        assert {row["lam"] for row in rows(copy, name)} <= {None, 1}
    (copy / "params.yaml").write_text(parameters, encoding="utf-8")
    run(copy, "dvc", "repro", "fig2")
    assert metrics(copy) == numbers
    assert status(copy) <= {"report", "epsilon", "audit", "index"}


def test_dvc_names_every_kind_of_artefact_of_which_a_bit_has_changed(copy):
    """Also those that can be read with the bit changed: a figure in JSON, a word in a page."""
    damaged = {
        "render": "data/processed/pendigits.npz",
        "controls": "models/controls/reader.safetensors",
        "pretrain@stabilised": "models/stabilised/start/seed-0.safetensors",
        "train@stabilised-1": "models/stabilised/lambda-1/seed-0.json",
        "train@stabilised-0": "models/stabilised/lambda-0/snapshots-0.npz",
        "finite@1": "models/finite/lambda-1/codes-8-seed-0.npz",
        "assess@finite-1": "build/assess/finite-1.json",
        "certify": "reports/metrics/kept.json",
        "fig2": "reports/metrics/fig2.json",
        "audit": "reports/figures/pareto.png",
        "index": "reports/index.html",
    }
    for path in damaged.values():
        data = bytearray((copy / path).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / path).write_bytes(data)
    found = json.loads(run(copy, "dvc", "status", "--json", *damaged))
    for stage, path in damaged.items():
        (changed,) = [part["changed outs"] for part in found[stage] if "changed outs" in part]
        assert any(path == name or path.startswith(f"{name}/") for name in changed), (stage, changed)
        assert set(changed.values()) == {"modified"}


# The same again, whatever happens.


def test_stages_that_run_again_make_the_same_bits_of_data_weights_metrics_and_figures(copy):
    """dvc.lock has the hash of every file that went in and came out."""
    digits = [
        "render",
        "pretrain@stabilised",
        "train@stabilised-1",
        "finite@1",
        "assess@stabilised-1",
        "certify",
        "fig2",
    ]
    again = [*digits, "faces", "faces-target@clips-6", "ferg"]
    before, files = lock(copy), drill.artefacts(copy)
    for path in ("data/processed", "models/stabilised/start", "models/stabilised/lambda-1", "models/finite/lambda-1"):
        shutil.rmtree(copy / path)
    for path in (*(copy / "reports/figures").iterdir(), *(copy / "reports/metrics").iterdir()):
        path.unlink()
    log = run(copy, "dvc", "repro", "--force", "--single-item", *again)
    assert sorted(stages_run(log)) == sorted(again)
    now = lock(copy)
    assert {name: now[name] for name in again} == {name: before[name] for name in again}
    made = {name for stage in again for out in before[stage]["outs"] for name in files if name.startswith(out["path"])}
    kinds = {Path(name).suffix for name in made}
    assert kinds >= {".npz", ".safetensors", ".json", ".svg", ".png"}
    found = drill.artefacts(copy)
    assert not [name for name in made if found[name] != files[name]]


def forget(folder: Path, *stages: str) -> None:
    """Let DVC know nothing of these stages, and take what they made away."""
    known = lock(folder)
    for stage in stages:
        for out in known.pop(stage)["outs"]:
            path = folder / out["path"]
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": known}), encoding="utf-8")
    shutil.rmtree(folder / ".dvc/cache/runs")  # or they would be taken from there


def test_killed_in_the_middle_and_started_again_it_ends_in_the_same_metrics(copy):
    """SIGKILL to everything while a stage is writing: no lock, half file or wrong hash is left in the way."""
    stages, numbers = lock(copy), metrics(copy)
    forgotten = ("train@stabilised-1", "assess@stabilised-1", "fig2")
    forget(copy, *forgotten)

    kill_when(copy, copy / "models/stabilised/lambda-1/seed-0.safetensors")
    assert "train@stabilised-1" not in lock(copy), "the stage was already over: nothing was interrupted"

    assert stages_run(run(copy, "dvc", "repro")) == list(forgotten)
    assert metrics(copy) == numbers
    assert lock(copy) == stages
    assert status(copy) == set()


def test_repro_goes_on_after_kills_with_dvcs_own_files_cut_short(copy):
    """A short form of `make drill`, with what a kill seldom leaves: half a dvc.lock, locks of numbers others have."""
    stages, files = lock(copy), drill.artefacts(copy)
    run(copy, "anonrep.pipeline.resume")
    forget(copy, "train@stabilised-1", "finite@1", "epsilon")
    for way in drill.WAYS:
        drill.kill(at_work(copy), way)
        assert drill.half_written(copy) == []
    whole = (copy / "dvc.lock").read_bytes()
    (copy / "dvc.lock").write_bytes(whole[: len(whole) // 3])
    entry = {"pid": os.getppid(), "cmd": "dvc repro"}
    (copy / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {str(copy / "models"): entry}, "read": {}}))
    process, log = at_work(copy), copy.with_suffix(".log")
    groups = [stage.pid for stage in process.children()]
    for group in groups:
        os.killpg(group, signal.SIGSTOP)  # until the next one is seen to wait for what this one started
    process.send_signal(signal.SIGKILL)
    process.wait()
    following, deadline = drill.start(copy, log, jobs=2), time.monotonic() + 60
    while "waiting for an earlier run" not in log.read_text(encoding="utf-8"):
        assert following.poll() is None, drill.last_words(copy)
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for group in groups:
        os.killpg(group, signal.SIGCONT)
    assert following.wait() == 0, drill.last_words(copy)
    assert "dvc.lock cannot be read" in log.read_text(encoding="utf-8")
    assert lock(copy) == stages
    found = drill.artefacts(copy)
    assert not [name for name in files if found.get(name) != files[name]]
    assert drill.leftovers(copy) == []


def at_work(folder: Path) -> psutil.Popen:
    """A new run of `anonrep.pipeline.repro`, a second after its first stage has begun."""
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    process = drill.start(folder, log, jobs=2)
    while process.poll() is None and "Running stage" not in log.read_text(encoding="utf-8"):
        time.sleep(0.1)
    time.sleep(1)
    assert process.poll() is None, drill.last_words(folder)
    return process


@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount")
@pytest.mark.parametrize(("mount", "why"), [(run_full, "No space left on device"), (run_read_only, "Read-only file")])
def test_a_stage_without_room_in_reports_fails_and_loses_nothing(copy, mount, why):
    before, stages = contents(copy / "reports"), lock(copy)
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "fig2"]
    done = mount(copy / "reports", *command, cwd=copy, env=environment(copy))
    assert done.returncode != 0
    assert re.search(rf"(reports/.* cannot be written: {why}|{why}.*reports/)", done.stderr), done.stderr
    assert seen(copy / "reports") == before
    assert lock(copy) == stages
    assert status(copy) == set()


def kill_when(folder: Path, sign: Path) -> None:
    """Start `dvc repro` and kill it with all its children as soon as the file `sign` is there."""
    with (folder / "build/killed.log").open("w") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "dvc", "repro"],
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 120
            while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            found = sign.exists()
        finally:
            family = [process, *process.children(recursive=True)] if process.is_running() else []
            for member in family:
                with_signal(member, signal.SIGSTOP)  # the kernel does not run on while its parents fall
            for member in family:
                with_signal(member, signal.SIGKILL)
            process.wait(30)
            psutil.wait_procs(family, 30)
    assert found, (folder / "build/killed.log").read_text()[-3000:]


def with_signal(process: psutil.Process, number: int) -> None:
    """Signal a process that may be gone."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


# By hand.


LAB_FACES = ("faces_target", "faces_finite", "faces_assess", "ferg")


def test_notebooks_run_with_the_parameters_they_show_and_make_nothing_stale(copy):
    for name in (
        "train",
        "finite",
        "assess",
        "epsilon",
        "pendigits",
        "baseline",
        "outsiders",
        "audit",
        "index",
        *LAB_FACES,
    ):
        run(copy, "anonrep.pipeline.notebook", "run", f"notebooks/{name}.ipynb", "--as", f"lab-{name}")
        assert (copy / f"build/runs/lab-{name}.html").is_file()
    assert (copy / "build/lab/train/seed-0.npz").is_file()
    assert (copy / "build/lab/assess.json").is_file()
    assert status(copy) == set()
