"""The README's numbers are the ones the code prints from the committed metrics."""

import hashlib
import inspect
import json
import re
from pathlib import Path

import pandas as pd
import yaml
from bench.__main__ import measures, said

from anonrep.pipeline.parameters import declared
from anonrep.release.folder import release_folder
from anonrep.reports import report, report_ferg, report_finite
from anonrep.stages import results_ferg
from anonrep.stages.old_results import trade_off
from anonrep.utils.files import read_json

ROOT = Path(__file__).parents[1]


def test_headline_is_printed_by_the_code():
    metrics = ROOT / "reports" / "metrics"
    accuracy = pd.DataFrame(read_json(metrics / "fig2.json"))
    natural = pd.DataFrame(read_json(metrics / "naturalness.json"))
    parameters = yaml.safe_load((ROOT / "params.yaml").read_text())
    private, kept = parameters["tasks"]
    table = trade_off(accuracy, natural, private, kept)
    text = re.search(r"<!-- headline.*?-->\n(.*?)\n<!-- /headline -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert text, "README.md has no headline between its two comments"
    printed = report.headline(table, accuracy, "stabilised", private, kept=0.95, naturalness=0.85)
    certificate, codes = (
        pd.DataFrame(read_json(metrics / "certificate.json")),
        parameters["variants"]["finite"]["codes"][0],
    )
    printed += " " + report_finite.headline(certificate, table, codes, private=private, kept=kept)
    assert " ".join(text[1].split()) == " ".join(printed.split())


def faces() -> tuple[list[dict], pd.DataFrame, pd.DataFrame]:
    """The committed rows on faces, their releases, and their certificates."""
    metrics = ROOT / "reports" / "metrics"
    rows = read_json(metrics / "table1.json")
    return rows, results_ferg.releases(rows), pd.DataFrame(read_json(metrics / "ferg_certificate.json"))


def test_what_is_said_of_faces_is_printed_by_the_code_and_named_synthetic():
    rows, table, certificate = faces()
    text = re.search(r"<!-- faces.*?-->\n(.*?)\n<!-- /faces -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert text, "README.md has no faces between its two comments"
    said = [
        report_ferg.headline(table, certificate, split, results_ferg.majority(rows, split))
        for split in certificate.split
    ]
    assert " ".join(text[1].split()) == " ".join(" ".join(said).split())
    if {row["source"] for row in rows} == {"synthetic"}:
        assert "**synthetic**" in (ROOT / "README.md").read_text()


def test_what_is_said_of_costs_is_printed_by_the_code():
    metrics = ROOT / "reports" / "metrics"
    text = re.search(r"<!-- bench.*?-->\n(.*?)\n<!-- /bench -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert text, "README.md has no bench between its two comments"
    rows, growth = read_json(metrics / "bench.json"), metrics / "growth.json"
    assert text[1] == said(rows, read_json(growth) if growth.exists() else [])
    names = [one.name for one in measures(yaml.safe_load((ROOT / "params.yaml").read_text())).values()]
    cores = r"\d+ (cores|seeds|stages)"  # of the machine that measured
    shown, known = ([re.sub(cores, r"\1", name) for name in some] for some in ([one["name"] for one in rows], names))
    assert shown == [name for name in known if name in shown]


def test_the_committed_faces_reach_what_was_to_be_reached():
    rows, table, certificate = faces()
    for split, proof in certificate.set_index("split").iterrows():
        mine, chance = table[table.split == split].set_index("method"), results_ferg.majority(rows, split)
        assert mine.loc["raw"].identity >= 0.99
        assert mine.loc["raw"].expression >= 0.9
        assert (mine.loc["finite"].identity <= proof.bound).all()
        if split == "random":  # the paper's
            best = results_ferg.best_target(table, split)
            assert best.identity <= chance + 0.15
            assert best.expression >= 0.7
            assert proof.bound <= chance + 0.05
            assert (mine.loc["finite"].expression >= 0.7).all()


def test_the_commands_for_your_own_images_name_what_there_is():
    section = (ROOT / "README.md").read_text().split("## Your own images")[1].split("\n## ")[0]
    run, later = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    notebook = json.loads((ROOT / "notebooks/own_images.ipynb").read_text())
    parameters = declared(notebook)
    assert set(re.findall(r"-p (\w+) ", run)) == {"out", "folder", "new", "size", "invert"} <= set(parameters)
    assert set(re.findall(r"`(lam|codes|private|attributes|mapping)`", section)) <= set(parameters)
    model, *places = re.findall(r'"([^"]+)"', later)
    assert model == f"build/lab/mine/finite/codes-{parameters['codes']}-seed-{parameters['seed']}"
    assert list(inspect.signature(release_folder).parameters)[:3] == ["path", "folder", "out"]
    assert len(places) == 2


def test_committed_results_are_real():
    """What the README shows comes from the real data at the full setting, never from synthetic data."""
    rows = read_json(ROOT / "reports" / "metrics" / "fig2.json")
    assert {row["source"] for row in rows} == {"uci"}
    for name in ("certificate", "audit", "baselines", "kept", "controls"):
        assert {row["source"] for row in read_json(ROOT / "reports" / "metrics" / f"{name}.json")} == {"uci"}, name
    assert (ROOT / "reports" / "figures" / "fig2.png").exists()


def test_committed_results_are_what_the_pipeline_wrote():
    """Byte by byte, by dvc.lock, and at the full setting: a flipped figure or a quick run's would show."""
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    wrote = {out["path"]: out["md5"] for stage in lock.values() for out in stage.get("outs", [])}
    benches = {"bench.json", "growth.json", "growth.svg", "growth.png"}
    committed = [path for kind in ("metrics", "figures") for path in (ROOT / "reports" / kind).glob("*.*")]
    names = {path.relative_to(ROOT).as_posix() for path in committed if path.name not in benches}
    assert {"reports/metrics/fig2.json", "reports/figures/fig2.png", "reports/metrics/table1.json"} <= names
    for name in names:
        assert hashlib.md5((ROOT / name).read_bytes()).hexdigest() == wrote[name], name
    assert {stage["params"]["params.yaml"].get("setting", "full") for stage in lock.values() if "params" in stage} == {
        "full"
    }


def test_no_attacker_breaks_a_committed_certificate():
    """Every attacker of the suite, on every finite release: never above the bound, for one image or for several."""
    metrics = ROOT / "reports" / "metrics"
    certificate = pd.DataFrame(read_json(metrics / "certificate.json"))
    one = certificate[certificate.m == 1]
    assert (one.worst_attacker <= one.bound).all()
    codes = yaml.safe_load((ROOT / "params.yaml").read_text())["variants"]["finite"]["codes"][0]
    finite = one[(one.method == "finite") & (one.codebook == codes)].set_index(["lam", "seed"]).bound
    fig2 = pd.DataFrame(read_json(metrics / "fig2.json"))
    private = fig2[(fig2.variant == "finite") & (fig2.task == "writer")]
    assert len(private) >= len(finite) > 0
    assert (
        private.accuracy.to_numpy() <= finite.loc[list(zip(private.lam, private.seed, strict=True))].to_numpy()
    ).all()
    bounds = certificate[(certificate.method == "finite") & (certificate.codebook == codes)]
    bounds = bounds.set_index(["lam", "seed", "m"]).bound
    audit = [row for row in read_json(metrics / "audit.json") if row["method"] == "finite" and row["task"] == "writer"]
    assert {row["m"] for row in audit} == {1, 5, 20}
    assert all(row["accuracy"] <= bounds[row["setting"], row["seed"], row["m"]] for row in audit)


def test_the_committed_results_reach_what_was_to_be_reached():
    """The project's own floors, on the real data: a run that falls below them is not one to commit."""
    metrics = ROOT / "reports" / "metrics"
    accuracy, natural = (pd.DataFrame(read_json(metrics / f"{name}.json")) for name in ("fig2", "naturalness"))
    raw = accuracy[accuracy.variant == "raw"].groupby(["task", "attacker"]).accuracy.mean()
    assert raw["digit"].max() >= 0.99
    assert raw["writer"].max() >= 0.55
    audit = pd.DataFrame(read_json(metrics / "audit.json"))
    played = audit[(audit.method == "stabilised") & (audit.knowledge == "release") & (audit.task == "writer")]
    played = played[played.m == 1]
    assert played.accuracy.max() >= 0.3, "the suite finds what a forest found in a prototype"
    table = trade_off(accuracy, natural, "writer", "digit")
    good = table[(table.variant == "stabilised") & (table.kept_cnn >= 0.95) & (table.naturalness >= 0.85)]
    assert good.private_cnn.min() <= 0.15
    certificate = pd.DataFrame(read_json(metrics / "certificate.json"))
    finite = certificate[(certificate.method == "finite") & (certificate.m == 1)]
    codes = yaml.safe_load((ROOT / "params.yaml").read_text())["variants"]["finite"]["codes"][0]
    point = finite[(finite.codebook == codes) & (finite.lam == report_finite.point(certificate, codes))]
    assert point.seed.nunique() >= 3
    assert point.bound.mean() <= 0.11
    assert min(point.utility.mean(), point.naturalness.mean()) >= 0.94
