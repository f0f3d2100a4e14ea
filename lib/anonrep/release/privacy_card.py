"""The privacy card of a release: what was measured, what follows from it and what does not, as JSON and as one page.

No sentence claims more than a number behind it: each names the certificate or the attackers it rests on and what is
assumed. A model that was not audited, or that collapsed, gets no number and no promise.

The facts that a card is made from, all of them JSON:

data         name, source, private (what z is called), size [height, width]; from an audit also people, people_in_test,
             images {train, validation, test}, blind (accuracy of naming the commonest one), sha256, resized, inverted,
             turned_to_grey
model        kind ("finite" or "adversarial"), lam, seed, sha256 {file: digest}, collapsed (why, or null), audited,
             pictures (how many there are; null if adversarial); from an audit of a finite one also behind (the
             least number of people whose training images a picture was drawn from)
attackers    rows: on ("released", "raw" or "permuted" labels), m, attacker, n_train, accuracy, low, high, n
certificate  rows of `certificate.certify`; null where the release does not consist of fixed pictures
kept         rows of `utility.utility_by_code` or `utility.utility_scores`
usual        what USUAL of the test images do not exceed in `anonymiser.change`; from an audit
release      images, unlike (how many exceed `usual`; null without an audit), synthetic (did a program draw them?); null
             where nothing is released yet
against      refusals that were overridden: "collapsed", "unaudited"
"""

import io
import math
from base64 import b64encode
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from anonrep.stages.old_results import limited, percent
from anonrep.utils.files import write_json, write_text

TEMPLATES = Path(__file__).parents[1] / "reports" / "templates"
NAME = "privacy-card"  # of both files
VERSION = 1  # of the JSON's form
GROUPS = (1, 5, 20)  # numbers of images of one person that a card speaks of
NOTHING = {"attackers": [], "certificate": None, "kept": []}
COLUMNS = ("released", "raw", "permuted")  # what attackers are set on
USUAL = 0.95  # the share of test images that sets how far an image may be from what is released for it


def card(facts: dict) -> dict:
    """The facts with what may be said about them: `notices`, `statements` and `not_covered`."""
    if facts["model"]["audited"] and not facts["model"]["collapsed"]:
        statements = sorted([*_certified(facts), *_attacked(facts)], key=lambda statement: statement["m"])
    else:
        facts = {**facts, **NOTHING}
        statements = [_unknown(facts)]
    words = {"notices": _notices(facts), "statements": statements, "not_covered": _not_covered(facts)}
    return {"card": VERSION, **words, **facts}


def write(folder: str | Path, card: dict, pictures: np.ndarray | None = None) -> None:
    """Write the card's two files to `folder`. `pictures`: uint8 (K, H, W), shown on the page as they are."""
    write_json(Path(folder) / f"{NAME}.json", card)
    write_text(Path(folder) / f"{NAME}.html", render(card, pictures))


def render(card: dict, pictures: np.ndarray | None = None) -> str:
    """The page: one file that asks the network for nothing, whatever the facts hold. `pictures` as in `write`."""
    folders = [TEMPLATES / "card", TEMPLATES / "report"]
    room = Environment(autoescape=True, undefined=StrictUndefined, loader=FileSystemLoader(folders), trim_blocks=True)
    room.filters["percent"] = percent
    assumptions = list(dict.fromkeys(text for statement in card["statements"] for text in statement["assumes"]))
    shown = [] if pictures is None else [_uri(picture) for picture in pictures]
    tried = {"tried": _table(card["attackers"]), "limited": limited(card["attackers"])}
    return room.get_template("card.html.j2").render(
        **card, assumptions=assumptions, pictures=shown, columns=COLUMNS, **tried
    )


def at_most(bound: float) -> str:
    """A bound in percent, rounded up, or it would promise too much."""
    return f"{math.ceil(1e4 * bound) / 100:.2f} %"


def best(facts: dict, on: str, m: int = 1) -> dict | None:
    """The row of the attacker who does best; None where nobody was set on it."""
    rows = [row for row in facts["attackers"] if (row["on"], row["m"]) == (on, m)]
    return max(rows, key=lambda row: row["accuracy"], default=None)


def _table(attackers: list[dict]) -> list[tuple[str, int, list[str]]]:
    """Attacker, images held, and a cell for each of COLUMNS."""
    cells: dict[tuple[str, int], dict[str, str]] = {}
    for row in attackers:
        text = f"{percent(row['accuracy'])} ({100 * row['low']:.1f} to {100 * row['high']:.1f}; {row['n']})"
        cells.setdefault((row["attacker"], row["m"]), {})[row["on"]] = text
    ordered = sorted(cells.items(), key=lambda item: item[0][1])  # one image first
    return [(*key, [found.get(on, "–") for on in COLUMNS]) for key, found in ordered]


def _uri(picture: np.ndarray) -> str:
    with io.BytesIO() as file:
        Image.fromarray(picture).save(file, "png")
        return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def _held(m: int, private: str) -> str:
    return "one released image" if m == 1 else f"{m} released images that are known to be of one {private}"


def _notices(facts: dict) -> list[str]:
    """What has to be read first."""
    data, model, notices = facts["data"], facts["model"], []
    if data["source"] == "synthetic":
        notices.append("Synthetic: a program drew the images. Nobody is in them, and no number here is a result.")
    elif (facts["release"] or {}).get("synthetic"):
        notices.append("Synthetic: a program drew the images released here. Nobody is in them.")
    if model["collapsed"]:
        notices.append(f"This model {model['collapsed']}. What it releases is no evidence of privacy.")
    if not model["audited"]:
        notices.append("This model was not audited: what its images tell about anybody was not measured.")
    if facts["against"]:
        notices.append(f"Released although the model is {' and '.join(facts['against'])}: somebody said so explicitly.")
    raw, one = best(facts, "raw"), next(iter(facts["certificate"] or ()), None)
    if raw and raw["low"] <= data["blind"]:
        notices.append(
            "On raw images the attackers tried do no better than a blind guess: that they fail on released ones says "
            "nothing about the release."
        )
    elif raw and one and one["bound"] >= raw["accuracy"]:
        notices.append(
            "What is certified is no less than what the best attacker reaches on raw images: the certificate promises "
            "nothing here. More test images lower it."
        )
    if model.get("behind") == 1:
        notices.append(
            "At least one of the pictures was drawn from training images of a single person, and may show what these "
            "look like."
        )
    release = facts["release"]
    if release and release["unlike"] is not None and _many(release["unlike"], release["images"]):
        notices.append(
            f"{release['unlike']} of these {release['images']} images are further from what was released for them than "
            f"{percent(USUAL)} of the test images are. They are unlike what the model was measured on, so the numbers "
            "below need not hold for them."
        )
    return notices


def _many(unlike: int, images: int) -> bool:
    """More than chance leaves beyond a limit that USUAL of like images keep: three times their share, and three."""
    return unlike >= 3 and unlike > 3 * (1 - USUAL) * images


def _unknown(facts: dict) -> dict:
    why = "the model collapsed" if facts["model"]["collapsed"] else "the model was not audited"
    return {"says": "Nothing is known about the privacy of these images.", "rests_on": f"{why}.", "assumes": []}


def _certified(facts: dict) -> list[dict]:
    """What no attacker exceeds, whoever it is."""
    found = []
    for row in facts["certificate"] or ():
        private, m = facts["data"]["private"], row["m"]
        held, right = _held(m, private), private if m == 1 else "one"
        says = f"Who holds {held} names the right {right} in at most {at_most(row['bound'])} of cases, by any method."
        if math.ceil(1e4 * row["bound"]) >= 10_000:
            says = f"Nothing is promised about who holds {held}: the certificate ends at 100 %."
        how = (
            "by counting" if m == 1 else f"by mutual information (at most {row['information_bound']:.3f} nats an image)"
        )
        level = f"confidence {100 * (1 - row['delta']):g} % for this statement by itself"
        rests_on = f"a certificate {how} on {row['n']} test images, {level}."
        found.append({"m": m, "says": says, "rests_on": rests_on, "assumes": _assumed(facts, m)})
    return found


def _assumed(facts: dict, m: int) -> list[str]:
    private, people = facts["data"]["private"], facts["data"]["people"]
    several = (
        f"Several images of one {private} are independent of one another: not two frames of one film. Nor are the test "
        "images more regular than chance, everybody having been asked for the same: this limit would be somewhat low."
    )
    return [
        f"The images are drawn like the test images: of the same {people} people in the same shares, of the same kind.",
        "The test images took no part in any choice: neither in training nor in picking this model among others.",
        f"The attacker may know everything about the release, and nothing else about the {private}.",
        *([several] if m > 1 else []),
    ]


def _attacked(facts: dict) -> list[dict]:
    """What the attackers tried have reached: a lower end of what is possible, never an upper one."""
    private, found = facts["data"]["private"], []
    for m in GROUPS:
        top, held = best(facts, "released", m), _held(m, private)
        if top is None:
            says, rests_on = f"What {held} tell was not tried.", "no attacker: none was set on so many images."
        else:
            tried = sum((row["on"], row["m"]) == ("released", m) for row in facts["attackers"])
            who = f"{f'The best of the {tried} attackers' if tried > 1 else 'The attacker'} tried, {top['attacker']},"
            blind = f", a blind guess in {percent(facts['data']['blind'])}" if m == 1 else ""
            says = f"{who} names the right {private} from {held} in {percent(top['accuracy'])} of cases{blind}."
            unit = "test images" if m == 1 else f"groups of {m} test images"
            interval = f"95 % interval {percent(top['low'])} to {percent(top['high'])}"
            rests_on = f"{top['n']} {unit}; {interval}, for all who were tried. Another attacker may reach more."
        assumes = _assumed(facts, m)
        found.append({"m": m, "says": says, "rests_on": rests_on, "assumes": assumes if top else []})
    return found


def _not_covered(facts: dict) -> list[str]:
    """What nobody may read into the card."""
    private, finite = facts["data"]["private"], facts["model"]["kind"] == "finite"
    return [
        f"Anything but who the {private} is: age, health, place or whatever else an image shows. What is kept can be "
        "read from the release, and is meant to be.",
        f"Anybody who is not among the people that the model was trained on, and whoever holds more than {max(GROUPS)} "
        f"images that are known to be of one {private}.",
        "Images unlike the training data, and images that took part in training or validation themselves.",
        "Other releases of the same images, by another model or by this one at another setting, and the images "
        "themselves, wherever else they are.",
        "What comes with a release: who publishes it, when and where, and what is said beside it. The files here have "
        "no metadata and are numbered at random; a list of which file was which has to stay secret.",
        "Who took part in training. The model's own files name the folders it was trained on, and are not for passing "
        "on.",
        *([] if finite else ["Every attacker that was not tried: this release has no certificate."]),
    ]
