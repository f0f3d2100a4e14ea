"""The report on faces in words: every number is the rows', and synthetic data is called that before anything else."""

import io
import re
from base64 import b64decode

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure
from PIL import Image

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS, EXPRESSIONS
from anonrep.reports import plots, report_ferg
from anonrep.stages.old_results import percent
from anonrep.stages.results_ferg import PAPER, releases
from anonrep.utils.files import write_arrays, write_json

SIZE = 6
MESSAGE = "collapsed in epoch 2 of the privacy phase: the output was all but constant"


def attacked(
    method: str, target: int | None, identity: float, expression: float, split: str = "random", **more: float
) -> list[dict]:
    """Rows of one release: trees find `identity` and `expression`, a plain network a hundredth less of each."""
    key = {"target": target, "method": method, "seed": 0, "split": split, "n": 1000, "source": "synthetic", "m": 1}
    found = [("identity", "trees", identity), ("identity", "cnn", identity - 0.01)]
    found += [("expression", "trees", expression), ("expression", "cnn", expression - 0.01)]
    found += [("expression", "raw reader", more["read"])] if "read" in more else []
    found += [("identity", "raw reader", more["seen"])] if "seen" in more else []
    found += [(side, "trees", more[side]) for side in ("pose", "gaze") if side in more]
    return [
        {**key, "task": task, "attacker": attacker, "accuracy": value, "low": value - 0.021, "high": value + 0.034}
        for task, attacker, value in found
    ]


RANDOM = [
    *attacked("raw", None, 0.991, 0.962, read=0.973, pose=0.83, gaze=0.71),
    *attacked("standard", None, 0.842, 0.913, read=0.655, seen=0.317),
    *attacked("restricted", 2, 0.501, 0.801, read=0.4),
    *attacked("substituted", 6, 0.321, 0.734, read=0.512, pose=0.44),
    *attacked("substituted", 2, 0.407, 0.788, read=0.523),
    *attacked("pixels", 2, 0.611, 0.643, read=0.333),
    *attacked("finite", 6, 0.226, 0.684, read=0.611),
    *attacked("finite", 2, 0.226, 0.684, read=0.622),
]
CLIPS = [
    *attacked("raw", None, 0.981, 0.812, "clips"),
    *attacked("substituted", 2, 0.411, 0.535, "clips"),
    *attacked("substituted", 6, 0.292, 0.501, "clips"),
    *attacked("finite", 2, 0.232, 0.447, "clips"),
]
TABLE = releases(RANDOM + CLIPS)
CERTIFICATE = pd.DataFrame(
    [
        {**{"split": "random", "used": 8, "bound": 0.257, "clip_bound": 0.398}, "n": 4048, "clips": 749},
        {**{"split": "clips", "used": 7, "bound": 0.269, "clip_bound": 0.437}, "n": 4051, "clips": 338},
    ]
).assign(majority=[0.188, 0.193], information=0.03, source="synthetic")


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+\.\d %", text)


# --- warnings


def test_the_real_thing_needs_no_warning():
    assert report_ferg.warning("ferg", "full") == ""


@pytest.mark.parametrize("setting", ["full", "quick", "smoke"])
def test_synthetic_data_cannot_pass_as_real_at_any_setting(setting):
    first, *rest = report_ferg.warning("synthetic", setting).split("\n\n")
    assert first == f"> {report_ferg.WARNING}"
    assert "synthetic" in first
    assert "no number here is a result on FERG-DB" in first
    assert len(rest) == (setting != "full")


@pytest.mark.parametrize("source", ["ferg", "synthetic"])
def test_a_small_setting_cannot_pass_as_the_results(source):
    last = report_ferg.warning(source, "smoke").split("\n\n")[-1]
    assert last.startswith("> **This is the smoke setting**")
    assert ("synthetic" in report_ferg.warning(source, "smoke")) == (source == "synthetic")


# --- the headline


def headline(split: str = "random", rows: list[dict] | None = None) -> str:
    table = TABLE if rows is None else releases(rows)
    return report_ferg.headline(table, CERTIFICATE, split, {"random": 0.188, "clips": 0.193}[split])


def test_the_headlines_numbers_are_the_rows():
    text = headline()
    assert text.startswith("**By the paper's random split")
    raw, standard, best, finite = (
        ["99.1 %", "96.2 %", "18.8 %"],
        ["31.7 %", "84.2 %"],
        ["32.1 %", "73.4 %"],
        ["68.4 %", "25.7 %"],
    )
    assert numbers(text) == [*raw, *standard, *best, *finite, "95.0 %"]
    assert "substitution with target 6, nobody, identity falls to **32.1 %**" in text
    assert "no target keeps more" not in text
    assert "release of 8 pictures" in text
    assert "on 4048 test frames taken as independent draws" in text


def test_where_clips_stay_whole_clips_are_counted():
    text = headline("clips")
    assert text.startswith("**By a split that keeps clips whole.**")
    assert "no classifier of any kind names the person in more than **43.7 %**" in text
    assert "on 338 test clips taken as independent draws" in text
    assert "26.9 %" not in text  # frames of a clip are no draws here
    assert "standard method" not in text  # there is no row of it
    assert f"target 2, {CHARACTERS[2]}, identity falls to **41.1 %** and expression stays at **53.5 %**" in text
    assert "(no target keeps more)" in text


@pytest.mark.parametrize(
    ("method", "task", "place"),
    [("raw", "identity", 0), ("raw", "expression", 1), ("standard", "identity", 4), ("finite", "expression", 7)],
)
def test_another_row_is_another_number(method, task, place):
    rows = [
        row | {"accuracy": 0.777} if (row["method"], row["task"], row["attacker"]) == (method, task, "trees") else row
        for row in RANDOM
    ]
    rows = [row for row in rows if (row["method"], row["attacker"]) != (method, "cnn")]
    before, after = numbers(headline()), numbers(headline(rows=rows))
    assert [i for i, pair in enumerate(zip(before, after, strict=True)) if len(set(pair)) > 1] == [place]
    assert after[place] == "77.7 %"


def test_an_accuracy_is_never_what_the_raw_reader_reads():
    rows = [row | {"accuracy": 0.9999} if row["attacker"] == "raw reader" else row for row in RANDOM]
    assert headline(rows=rows).replace("100.0 % of its images", "31.7 % of its images") == headline()


def test_what_the_eye_is_told_stands_beside_what_a_network_finds():
    said = "as an eye has, names the person in 31.7 % of its images, and one trained on them in 84.2 %."
    assert said in headline()


def test_where_every_game_collapsed_it_says_so_and_claims_nothing():
    rows = [row for row in RANDOM if row["method"] not in ("restricted", "substituted")]
    text = headline(rows=rows)
    assert "Every game restricted to a target collapsed." in text
    assert "identity falls" not in text
    assert "**68.4 %**" in text


# --- tables


def test_table_1_has_a_row_for_each_release_in_the_order_of_methods_and_targets():
    table = report_ferg.table1(TABLE, "random")
    assert list(zip(table["method"], table["target"], strict=True)) == [
        *[("raw", ""), ("standard", ""), ("restricted", f"2 {CHARACTERS[2]}"), ("pixels", f"2 {CHARACTERS[2]}")],
        *[("substituted", f"2 {CHARACTERS[2]}"), ("substituted", "6 nobody")],
        *[("finite", f"2 {CHARACTERS[2]}"), ("finite", "6 nobody")],
    ]
    assert len(report_ferg.table1(TABLE, "clips")) == 4


def test_table_1_holds_the_rows_numbers():
    table = report_ferg.table1(TABLE, "random").set_index(["method", "target"])
    row = table.loc[("substituted", "6 nobody")]
    assert row.to_dict() == {
        "identity": "32.1 %<br><small>30.0 to 35.5, trees</small>",
        "identity, CNN": "31.1 %",
        "identity, raw reader": "–",
        "expression": "73.4 %<br><small>71.3 to 76.8, trees</small>",
        "expression, raw reader": "51.2 %",
        "pose": "44.0 %",
        "gaze": "–",
        "paper, identity/expression": "",
    }
    assert table.loc[("raw", "")].pose == "83.0 %"
    clips = report_ferg.table1(TABLE, "clips").set_index(["method", "target"])
    assert clips.loc[("raw", "")].identity == "98.1 %<br><small>96.0 to 101.5, trees</small>"
    assert clips.loc[("raw", "")]["expression, raw reader"] == "–"
    assert not {"pose", "gaze"} & set(report_ferg.table1(releases(CLIPS), "clips"))


def test_the_papers_numbers_stand_beside_substitution_alone_and_only_of_its_targets():
    table = report_ferg.table1(TABLE, "random")
    said = dict(zip(zip(table["method"], table["target"], strict=True), table.iloc[:, -1], strict=True))
    paper = " / ".join(map(percent, PAPER[2]))
    assert {key: words for key, words in said.items() if words} == {("substituted", f"2 {CHARACTERS[2]}"): paper}


def test_the_certificates_table_holds_both_bounds():
    table = report_ferg.certificate_table(CERTIFICATE)
    assert table.to_numpy().tolist() == [
        ["random", 8, 4048, "25.7 %", 749, "39.8 %", "18.8 %"],
        ["clips", 7, 4051, "26.9 %", 338, "43.7 %", "19.3 %"],
    ]
    assert list(table)[3::2] == ["bound, frames as draws", "bound, clips as draws"]


# --- files


def runs(folder, *collapsed: str | None) -> None:
    write_json(folder / "runs.json", [{"seed": seed, "collapsed": reason} for seed, reason in enumerate(collapsed)])


def test_collapsed_games_are_listed_with_their_reason(tmp_path):
    runs(tmp_path / "random" / "standard", None, MESSAGE)
    runs(tmp_path / "random" / "target-6", MESSAGE, None)
    runs(tmp_path / "random" / "target-2", MESSAGE)  # not asked for
    head, empty, *lines = report_ferg.collapsed(tmp_path, ["random"], [6]).splitlines()
    assert head == "2 of 4 games collapsed and have no accuracy:"
    assert empty == ""
    assert lines == [f"- random, standard, seed 1: {MESSAGE}", f"- random, target-6, seed 0: {MESSAGE}"]


def test_where_none_collapsed_a_sentence_says_how_many_were_played(tmp_path):
    for split in ("random", "clips"):
        for name in ("standard", "target-0", "target-6"):
            runs(tmp_path / split / name, None)
    assert report_ferg.collapsed(tmp_path, ["random", "clips"], [0, 6]) == "None of the 6 games collapsed."
    with pytest.raises(FileNotFoundError, match=r"runs\.json is missing: `dvc repro`"):
        report_ferg.collapsed(tmp_path, ["random"], [5])


def faces(source: str = "synthetic") -> Dataset:
    """Three images of each person, expression and split, each of a grey of its own."""
    n = 6 * 7 * 9
    z, rest = np.divmod(np.arange(n), 7 * 9)
    expression, place = np.divmod(rest, 9)
    images = np.broadcast_to((np.arange(n) % 251)[:, None, None], (n, SIZE, SIZE)).astype(np.uint8)
    split = (place % 3).astype(np.uint8)
    provenance = {"source": source, "private": "identity", "ink": False}
    return Dataset(images, z, {"expression": expression, "clip": np.arange(n) // 3}, split, provenance)


DATA = faces()


@pytest.fixture
def models(tmp_path):
    """What targets 6 and 2 leave; the game of target 2 collapsed."""
    draw = np.random.default_rng(0)
    for target in (6, 2):
        pictures = np.full((5, SIZE, SIZE), 10 * target, np.uint8) + np.arange(5, dtype=np.uint8)[:, None, None]
        book = Codebook(pictures, draw.integers(0, 5, len(DATA)))
        book.save(tmp_path / f"target-{target}" / "pixels.npz", DATA.provenance)
        book.save(tmp_path / "finite" / f"target-{target}.npz", DATA.provenance)
        runs(tmp_path / f"target-{target}", None if target == 6 else MESSAGE)
        if target == 6:
            book.save(tmp_path / "target-6" / "substituted-0.npz", DATA.provenance)
            DATA.released(255 - DATA.images).save(tmp_path / "target-6" / "seed-0.npz")
            write_arrays(
                tmp_path / "target-6" / "snapshots-0.npz", {}, snapshots=np.zeros((3, 2, SIZE, SIZE), np.uint8)
            )
    runs(tmp_path / "standard", None)
    DATA.released(DATA.images // 2).save(tmp_path / "standard" / "seed-0.npz")
    return tmp_path


def shown(element) -> np.ndarray:
    """The pixels of an image element."""
    return np.asarray(Image.open(io.BytesIO(b64decode(element["src"].partition("base64,")[2]))).convert("L"))


def slid(models, targets: list[int]) -> dict[str, dict[str, list]]:
    """The slider as it was made: stop to label to what is in its row."""
    page = BeautifulSoup(report_ferg.target_slider(DATA, models, TABLE, "random", targets), "html.parser")
    stops = [label.text for label in page.find_all("label")]
    return {
        stop: {
            row.td.get_text(" "): [cell.img or cell.get_text(" ") for cell in row.find_all("td")[1:]]
            for row in panel.find_all("tr")
        }
        for stop, panel in zip(stops, page.find_all("div", "panel"), strict=True)
    }


def test_the_slider_shows_the_same_test_images_and_what_each_method_made_of_them(models):
    rows = slid(models, [6, 2])["6 nobody"]
    images, standard, restricted, pixels, substituted, finite, names = rows.values()
    assert len(images) == 2 * 6 == len(set(names))
    assert [name.split(" ")[0] for name in names] == [person for person in CHARACTERS for _ in range(2)]
    assert {name.split(" ")[1] for name in names} == set(EXPRESSIONS)
    assert [image["alt"] for image in images] == [name.replace(" ", ", ") for name in names]
    book = Codebook.load(models / "target-6" / "pixels.npz")
    for column, image in enumerate(images):
        (i,) = [
            i
            for i in np.flatnonzero((DATA.split == 2) & (DATA.z == column // 2))
            if np.array_equal(DATA.images[i], shown(image))
        ]
        np.testing.assert_array_equal(shown(standard[column]), DATA.images[i] // 2)
        np.testing.assert_array_equal(shown(restricted[column]), 255 - DATA.images[i])
        for cells in (pixels, substituted, finite):
            np.testing.assert_array_equal(shown(cells[column]), book.images[book.codes[i]])


def test_the_slider_says_what_attackers_find_in_each_release(models):
    labels = {label.split(" ")[0]: label for label in slid(models, [6, 2])["6 nobody"]}
    row = TABLE[(TABLE.split == "random") & (TABLE.method == "substituted") & (TABLE.target == 6)].iloc[0]
    assert labels["substituted"] == f"substituted identity {percent(row.identity)} expression {percent(row.expression)}"
    assert labels["restricted"].strip() == "restricted", "there is no such row in the table"
    for target in ("6 nobody", "2 jules"):  # it shows nobody in particular: the same beside every target
        (label,) = [label for label in slid(models, [6, 2])[target] if label.startswith("standard")]
        standard = TABLE[(TABLE.split == "random") & (TABLE.method == "standard")].iloc[0]
        assert label == f"standard identity {percent(standard.identity)} expression {percent(standard.expression)}"
    raw = TABLE[(TABLE.split == "random") & (TABLE.method == "raw")].iloc[0]
    assert labels["image"] == f"image identity {percent(raw.identity)} expression {percent(raw.expression)}"


def test_the_first_game_that_did_not_collapse_is_shown_and_what_is_missing_is_named(models):
    runs(models / "target-2", MESSAGE, None)
    DATA.released(DATA.images).save(models / "target-2" / "seed-1.npz")
    np.testing.assert_array_equal(report_ferg.released(models, "restricted", 2), DATA.images)
    with pytest.raises(FileNotFoundError, match=r"substituted-1\.npz is missing"):
        report_ferg.released(models, "substituted", 2)
    (models / "target-2" / "pixels.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"pixels\.npz is missing"):
        report_ferg.released(models, "pixels", 2)


def test_a_collapsed_game_shows_no_images_and_what_needs_no_game_does(models):
    rows = {label.split(" ")[0]: cells for label, cells in slid(models, [6, 2])[f"2 {CHARACTERS[2]}"].items()}
    assert rows["restricted"] == rows["substituted"] == ["collapsed"]
    assert len(rows["pixels"]) == len(rows["finite"]) == 12


@pytest.mark.parametrize(("source", "setting"), [("ferg", "full"), ("synthetic", "full"), ("synthetic", "smoke")])
def test_no_synthetic_figure_passes_as_real(models, source, setting):
    strip = report_ferg.snapshots(models / "target-6", source=source, setting=setting)
    couples = report_ferg.couples(faces(source=source), models / "target-6", setting=setting)
    for figure in (strip, couples):
        assert isinstance(figure, Figure)
        title = figure.get_suptitle()
        assert title.endswith(plots.title_suffix(source, setting))
        assert ("synthetic, not the real data" in title) == (source == "synthetic")
        assert ("SMOKE SETTING, not the results" in title) == (setting == "smoke")


def test_couples_are_test_images_above_what_they_became(models):
    (axis,) = report_ferg.couples(DATA, models / "target-6", setting="full").axes
    paper, pitch = np.asarray(axis.images[0].get_array()), SIZE + 2
    book = Codebook.load(models / "target-6" / "substituted-0.npz")
    test = np.flatnonzero(DATA.split == 2)
    for column, i in enumerate(test[np.linspace(0, len(test) - 1, 24).round().astype(int)][:12]):
        assert paper[0, column * pitch] == DATA.images[i, 0, 0]
        assert paper[pitch, column * pitch] == book.images[book.codes[i], 0, 0]


def test_what_codes_hold_is_counted_on_test_images():
    """A code that is one expression, spread over everybody; another that is one person."""
    expression = DATA.attributes["expression"]
    codes = np.where(expression == 3, 0, np.where(DATA.z == 5, 1, 2))
    train = DATA.split == 0
    codes = np.where(train, 2 - codes, codes)  # training images say nothing here
    book = Codebook(np.zeros((3, SIZE, SIZE), np.uint8), codes.astype(np.int64))
    table = report_ferg.spread_of(DATA, book, {"identity": CHARACTERS, "expression": EXPRESSIONS})
    assert list(table) == ["picture", "share of images", "identity", "expression"]
    assert table["picture"].tolist() == [1, 2, 3]
    assert table["share of images"].tolist() == [percent(6 / 42), percent(6 / 42), percent(30 / 42)]
    assert table["expression"][0] == f"{EXPRESSIONS[3]} 100.0 %"
    assert table["identity"][0].endswith(percent(1 / 6))
    assert table["identity"][1] == f"{CHARACTERS[5]} 100.0 %"


def test_a_picture_that_no_test_image_becomes_has_a_share_of_nothing():
    book = Codebook(np.zeros((2, SIZE, SIZE), np.uint8), np.zeros(len(DATA), np.int64))
    row = report_ferg.spread_of(DATA, book, {"identity": CHARACTERS}).iloc[1]
    assert row["share of images"] == "0.0 %"
    assert row["identity"].endswith(" 0.0 %")
