"""The README's numbers are the ones the code prints from the committed metrics."""

import re
from pathlib import Path

import pandas as pd
import yaml

from anonrep.files import read_json
from anonrep.report import headline
from anonrep.results import trade_off

ROOT = Path(__file__).parents[1]


def test_headline_is_printed_by_the_code():
    metrics = ROOT / "reports" / "metrics"
    accuracy = pd.DataFrame(read_json(metrics / "fig2.json"))
    natural = pd.DataFrame(read_json(metrics / "naturalness.json"))
    private, kept = yaml.safe_load((ROOT / "params.yaml").read_text())["tasks"]
    table = trade_off(accuracy, natural, private, kept)
    text = re.search(r"<!-- headline.*?-->\n(.*?)\n<!-- /headline -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert text, "README.md has no headline between its two comments"
    printed = headline(table, accuracy, "stabilised", private, kept=0.95, naturalness=0.85)
    assert " ".join(text[1].split()) == " ".join(printed.split())


def test_committed_results_are_real():
    """What the README shows comes from the real data at the full setting, never from the stand-in."""
    rows = read_json(ROOT / "reports" / "metrics" / "fig2.json")
    assert {row["source"] for row in rows} == {"uci"}
    assert (ROOT / "reports" / "figures" / "fig2.png").exists()
