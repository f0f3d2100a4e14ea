"""The privacy card of a release: what was measured, what follows from it and what does not, as JSON and as one page.

Each sentence names the certificate or the attackers it is based on, and what it assumes. A model that was not audited,
or that collapsed, gets no number and no promise. The card is made from these facts, all of them JSON:

data         name, source, private (what z is called), size [height, width]; after an audit also people, people_in_test,
             images {train, validation, test}, chance (accuracy of always naming the commonest person), sha256, resized,
             inverted, turned_to_grey
model        kind ("finite" or "adversarial"), lam, seed, sha256 {file: digest}, collapsed (why, or null), audited,
             codewords (how many; null if adversarial), fewest_people (the codeword drawn from the fewest people's
             training images was drawn from so many; after an audit of a finite model)
attackers    rows: on ("released", "raw" or "permuted" labels), m, attacker, n_train, accuracy, low, high, n
certificate  rows of `certificate.certify`; null where the release does not consist of fixed images
utility      rows of `utility.utility_by_code` or `utility.utility_scores`
usual        what USUAL of the test images do not exceed in `anonymiser.change`; after an audit
release      images, unlike (how many exceed `usual`; null without an audit), synthetic (did a program draw them?); null
             where nothing is released yet
forced       the refusals that somebody overrode: "collapsed", "unaudited"
"""

import io
import math
from base64 import b64encode
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from anonrep.utils.files import write_json, write_text
from anonrep.utils.text import percent

NAME = "privacy-card"  # of both files
VERSION = 2  # of the JSON's schema
GROUPS = (1, 5, 20)  # the numbers of images of one person that a card speaks of
NOTHING = {"attackers": [], "certificate": None, "utility": []}
USUAL = 0.95  # the share of test images that sets how much a model usually changes an image
TEMPLATES = FileSystemLoader(Path(__file__).parent / "templates")


def card(facts: dict) -> dict:
    """The facts with what may be said about them: `notices`, `statements` and `not_covered`."""
    if facts["model"]["audited"] and not facts["model"]["collapsed"]:
        statements = sorted([*_certified(facts), *_attacked(facts)], key=lambda statement: statement["m"])
    else:
        facts = {**facts, **NOTHING}
        why = "the model collapsed" if facts["model"]["collapsed"] else "the model was not audited"
        says = "Nothing is known about the privacy of these images."
        statements = [{"says": says, "rests_on": f"no measurement: {why}.", "assumes": []}]
    words = {"notices": _notices(facts), "statements": statements, "not_covered": _not_covered(facts)}
    return {"card": VERSION, **words, **facts}


def write(folder: str | Path, card: dict, codewords: np.ndarray | None = None) -> None:
    """Write the card's two files to `folder`. `codewords`: uint8 (K, H, W), shown on the page as they are."""
    write_json(Path(folder) / f"{NAME}.json", card)
    write_text(Path(folder) / f"{NAME}.html", render(card, codewords))


def render(card: dict, codewords: np.ndarray | None = None) -> str:
    """The page: one file that makes no network request, whatever the facts hold. `codewords` as in `write`."""
    cells: dict[tuple, dict] = {}
    for row in sorted(card["attackers"], key=lambda row: row["m"]):
        cells.setdefault((row["attacker"], row["m"]), {})[row["on"]] = row
    pages = Environment(autoescape=True, undefined=StrictUndefined, loader=TEMPLATES, trim_blocks=True)
    pages.filters["percent"] = percent
    return pages.get_template("card.html.j2").render(
        **card,
        assumptions=list(dict.fromkeys(text for statement in card["statements"] for text in statement["assumes"])),
        codewords=[] if codewords is None else [_uri(codeword) for codeword in codewords],
        cells=cells,
        limited=_limited(card["attackers"]),
    )


def at_most(bound: float) -> str:
    """A bound in percent, rounded up: rounded down, it would promise too much."""
    return f"{math.ceil(1e4 * bound) / 100:.2f} %"


def best(facts: dict, on: str, m: int = 1) -> dict | None:
    """The row of the best attacker; None where no attacker was tried."""
    rows = [row for row in facts["attackers"] if (row["on"], row["m"]) == (on, m)]
    return max(rows, key=lambda row: row["accuracy"], default=None)


def _limited(attackers: list[dict]) -> str:
    """A sentence on the attackers that learned from fewer training images than others; "" if there is none."""
    n_train = {row["attacker"]: row["n_train"] for row in attackers}
    few = [f"{name} learned from {n}" for name, n in n_train.items() if n < max(n_train.values())]
    return f"Of {max(n_train.values())} training images {' and '.join(few)}, drawn at random." if few else ""


def _uri(image: np.ndarray) -> str:
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "png")
        return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def _images(m: int, private: str) -> str:
    return "one released image" if m == 1 else f"{m} released images known to be of one {private}"


def _notices(facts: dict) -> list[str]:
    """What a reader must know first."""
    data, model, release, notices = facts["data"], facts["model"], facts["release"], []
    if data["source"] == "synthetic":
        notices.append("Synthetic data: a program drew the images. Nobody is in them, and no number here is a result.")
    elif release and release.get("synthetic"):
        notices.append("Synthetic images: a program drew the images released here. Nobody is in them.")
    if model["collapsed"]:
        notices.append(f"This model {model['collapsed']}. Its output is no evidence of privacy.")
    if not model["audited"]:
        notices.append("This model was not audited: nobody measured what its images reveal.")
    if facts["forced"]:
        why = " and ".join({"collapsed": "collapsed", "unaudited": "was not audited"}[one] for one in facts["forced"])
        notices.append(f"Somebody forced this release although the model {why}.")
    raw, one = best(facts, "raw"), next(iter(facts["certificate"] or ()), None)
    if raw and raw["low"] <= data["chance"]:
        notices.append(
            "On raw images the attackers tried do no better than chance. That they fail on released images says "
            "nothing about the release."
        )
    elif raw and one and one["bound"] >= raw["accuracy"]:
        notices.append(
            "The certified bound is no lower than what the best attacker reaches on raw images: the certificate "
            "promises nothing here. More test images lower the bound."
        )
    if model.get("fewest_people") == 1:
        notices.append(
            "At least one codeword was drawn from training images of a single person, and may show what they look like."
        )
    # Some images of the usual kind exceed the usual change by chance: allow three times their share, and at least two.
    if release and (release["unlike"] or 0) > max(2, 3 * (1 - USUAL) * release["images"]):
        notices.append(
            f"The model changed {release['unlike']} of these {release['images']} images more than it changed "
            f"{percent(USUAL)} of the test images. They are unlike the images that the model was measured on, so the "
            "numbers below need not hold for them."
        )
    return notices


def _certified(facts: dict) -> list[dict]:
    """The bounds that hold for every attacker."""
    found, private = [], facts["data"]["private"]
    for row in facts["certificate"] or ():
        m, images = row["m"], _images(row["m"], private)
        if math.ceil(1e4 * row["bound"]) < 10_000:
            whom = f"the right {private}" if m == 1 else f"that {private}"
            says = f"An attacker who holds {images} names {whom} in at most {at_most(row['bound'])} of cases."
        else:
            says = f"The certificate promises nothing against an attacker who holds {images}: its bound is 100 %."
        information = f"mutual information (at most {row['information_bound']:.3f} nats an image)"
        how = f"a certificate for every attacker, by {'counting' if m == 1 else information}"
        level = f"with {100 * (1 - row['delta']):g} % confidence for this statement alone"
        rests_on = f"{how}, on {row['n']} test images, {level}."
        found.append({"m": m, "says": says, "rests_on": rests_on, "assumes": _assumed(facts, m)})
    return found


def _attacked(facts: dict) -> list[dict]:
    """What the attackers tried have reached: another attacker may reach more."""
    found, data = [], facts["data"]
    for m in GROUPS:
        top, images = best(facts, "released", m), _images(m, data["private"])
        if top is None:
            says = f"No attacker was tried on {images}."
            found.append({"m": m, "says": says, "rests_on": "no measurement.", "assumes": []})
            continue
        tried = sum((row["on"], row["m"]) == ("released", m) for row in facts["attackers"])
        who = f"The best of the {tried} attackers tried" if tried > 1 else "The only attacker tried"
        says = (
            f"{who}, {top['attacker']}, names the right {data['private']} from {images} in {percent(top['accuracy'])}"
        )
        chance = f"; always naming the commonest {data['private']} is right in {percent(data['chance'])}"
        cases = f"{top['n']} {'test images' if m == 1 else f'groups of {m} test images'}"
        interval = f"95 % interval {percent(top['low'])} to {percent(top['high'])}, for all attackers tried together"
        rests_on = f"{cases}; {interval}. Another attacker may reach more."
        says += f" of cases{chance if m == 1 else ''}."
        found.append({"m": m, "says": says, "rests_on": rests_on, "assumes": _assumed(facts, m)})
    return found


def _assumed(facts: dict, m: int) -> list[str]:
    private, people = facts["data"]["private"], facts["data"]["people"]
    several = (
        f"Several images of one {private} are independent of one another; two frames of one film are not. The test "
        "images are no more regular than chance: where everybody was asked for the same images, this bound is somewhat "
        "too low."
    )
    return [
        f"The attacked images are drawn like the test images: of the same {people} people in the same shares, and of "
        "the same kind.",
        "The test images took no part in any choice, neither in training nor in picking this model among others.",
        f"The attacker may know everything about the release, but knows nothing else about the {private}.",
        *([several] if m > 1 else []),
    ]


def _not_covered(facts: dict) -> list[str]:
    """What nobody may conclude from the card."""
    private, finite = facts["data"]["private"], facts["model"]["kind"] == "finite"
    return [
        f"Anything but who the {private} is: age, health, place or whatever else an image shows. The release may keep "
        "such things, and then anybody can read them.",
        f"People whom the model was not trained on, and attackers who hold more than {max(GROUPS)} images known to be "
        f"of one {private}.",
        "Images unlike the training data, and images used in training or validation.",
        "Other releases of the same images, by another model or by this one at another setting, and the original "
        "images, wherever they are.",
        "What comes with a release: who publishes it, when and where, and what is said beside it. The files have no "
        "metadata and are numbered at random; a list of which file was which must stay secret.",
        "Who took part in training. The model's own files name the training folders and must not be passed on.",
        *([] if finite else ["Attackers that were not tried: this release has no certificate."]),
    ]
