"""The privacy card of a release: what was measured, what follows from it and what does not, as JSON and as one page.

Each sentence names the certificate or the attackers it is based on, and what it assumes. A model that was not audited,
or that collapsed, gets no number and no promise. The card is made from these facts, all of them JSON:

data         name, source, private (what z is called), size [height, width]; after an audit also people, people_in_test,
             images {train, validation, test}, chance (the commonest person's share of all images), sha256, resized,
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
from base64 import b64encode
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from anonrep.utils.files import write_json, write_text
from anonrep.utils.text import at_most, percent

NAME = "privacy-card"  # of both files
VERSION = 2  # of the JSON's schema
GROUPS = (1, 5, 20)  # the numbers of images of one person that a card speaks of
NOTHING = {"attackers": [], "certificate": None, "utility": []}
USUAL = 0.95  # the share of test images that sets how much a model usually changes an image


def card(facts: dict) -> dict:
    """The facts with what may be said about them: `notices`, `statements` and `not_covered`."""
    measured = facts["model"]["audited"] and not facts["model"]["collapsed"]
    facts = facts if measured else {**facts, **NOTHING}
    sentences = _environment().get_template("sentences.txt.j2")
    say = sentences.make_module({**facts, "GROUPS": GROUPS, "USUAL": USUAL})
    said = [] if measured else [(0, say.unknown(), [])]
    said += [(row["m"], say.certified(row), _lines(say.assumed(row["m"]))) for row in facts["certificate"] or ()]
    for m in GROUPS if measured else ():
        tried = [row for row in facts["attackers"] if (row["on"], row["m"]) == ("released", m)]
        said.append((m, say.attacked(m, tried), _lines(say.assumed(m)) if tried else []))
    statements = []
    for m, text, assumes in sorted(said, key=lambda one: one[0]):
        says, rests_on = _lines(text)
        statements.append({"m": m, "says": says, "rests_on": rests_on, "assumes": assumes})
    words = {"notices": _lines(say.notices()), "statements": statements, "not_covered": _lines(say.not_covered())}
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
    return (
        _environment(autoescape=True)
        .get_template("card.html.j2")
        .render(
            **card,
            assumptions=list(dict.fromkeys(text for statement in card["statements"] for text in statement["assumes"])),
            codewords=[] if codewords is None else [_uri(codeword) for codeword in codewords],
            cells=cells,
        )
    )


@cache
def _environment(autoescape: bool = False) -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    # Whatever the facts hold, a sentence stays on its line.
    one_line = {} if autoescape else {"finalize": lambda value: " ".join(str(value).split())}
    made = Environment(autoescape=autoescape, undefined=StrictUndefined, loader=loader, trim_blocks=True, **one_line)
    made.filters |= {"percent": percent, "at_most": at_most}
    return made


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def _uri(image: np.ndarray) -> str:
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "png")
        return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
