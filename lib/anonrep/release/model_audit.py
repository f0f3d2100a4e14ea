"""The audit of one trained model: what attackers reach on its test images, and a bound for every attacker.

The result is the facts of a privacy card (`privacy_card` lists them), written beside the model.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from anonrep.data.dataset import SPLITS, Dataset
from anonrep.evaluation.assessment import assess
from anonrep.evaluation.attackers import AttackBudget, Suite, suite
from anonrep.evaluation.certificate import certify
from anonrep.evaluation.contingency import smoothed, table_attack
from anonrep.evaluation.intervals import wilson
from anonrep.evaluation.utility import utility_by_code, utility_scores
from anonrep.release.anonymiser import change, load, stem
from anonrep.release.privacy_card import GROUPS, NOTHING, USUAL
from anonrep.stages.releases import pick_device
from anonrep.utils.files import write_sealed
from anonrep.utils.seeds import numpy_generator


def audit(path: str | Path, data: Dataset, budget: dict, *, seed: int = 0, device: str = "auto") -> dict:
    """Try every attacker on the model's own test images, certify a finite release, and write `path`.audit.json.

    path    the model, as `anonymiser.load` takes it
    data    the data set it was trained on, with the same split: only then are the test images new to it
    budget  fields of `AttackBudget`: how hard the attackers work

    Returns the facts. A model whose output is nearly constant has collapsed, and gets no number. Raises ValueError for
    other data.
    """
    model, device, data = load(path, device), pick_device(device), data.known()
    if _told(data.provenance) != _told(model.provenance):
        raise ValueError(
            f"{path} was trained on other data or another split; expected the same, or no test image is new"
        )
    test, released = data.split == 2, data.released(model.redraw(data.images))
    collapsed = model.collapsed or constant(data.images[test], released.images[test])
    facts = {
        "data": _data(data),
        "model": {**model.facts(), "collapsed": collapsed, "audited": True},
        **NOTHING,
        "usual": float(np.quantile(change(data.images[test], released.images[test]), USUAL)),
    }
    if not collapsed:
        attackers = dict(suite(AttackBudget(**budget), seed=seed, device=device))
        attackers.pop("majority", None)  # the card gives chance by itself
        facts["attackers"] = _attacked(data, released, attackers, seed)
        if model.codewords is None:
            facts["utility"] = utility_scores(released, list(data.attributes), seed)
        else:
            codes, k, train = model.apply(data.images), len(model.codewords), data.split == 0
            # A codeword is the mean of the training images that it was drawn from.
            people = [len(np.unique(data.z[train & (codes == code)])) for code in range(k)]
            facts["model"]["fewest_people"] = min(people)
            facts["attackers"] += _table(data, codes, k, seed)
            references = {"p_z": smoothed(data.z[train], data.n_private), "p_k": smoothed(codes[train], k)}
            facts["certificate"] = certify(codes[test], data.z[test], **references, images_per_person=GROUPS)
            facts["utility"] = utility_by_code(data, codes, list(data.attributes))
        # Wilson intervals, simultaneous at 95 % for all attackers on the same images, with the same m.
        together = Counter((row["on"], row["m"]) for row in facts["attackers"])
        for row in facts["attackers"]:
            hits, count = round(row["accuracy"] * row["n"]), together[row["on"], row["m"]]
            row["low"], row["high"] = map(float, wilson(hits, row["n"], simultaneous=count))
    write_sealed(f"{stem(path)}.audit.json", facts)
    return facts


def constant(images: np.ndarray, released: np.ndarray) -> str | None:
    """Why a release is nearly constant, or None.

    It is where released images differ from one another by less than a tenth of what real ones do, as in
    `game.collapse`: the mean over pixels of the standard deviation over images. Both uint8 (N, H, W).
    """
    real, left = (float((part / 255).std(0).mean()) for part in (images, released))
    if left >= real / 10:
        return None
    return f"collapsed: its output is nearly constant (pixel standard deviation {left:.4f}, real images {real:.4f})"


def _told(provenance: dict) -> dict:
    """What determines images and split. Attributes, which only judge a release, may come later."""
    return {name: value for name, value in provenance.items() if name != "attribute_words"}


def _data(data: Dataset) -> dict:
    """What a card says of the data. It holds no name of a person."""
    provenance, test = data.provenance, data.split == 2
    reading = provenance.get("reading", {})
    return {
        **{"name": provenance["dataset"], "source": data.source, "private": provenance["private"]},
        "size": list(data.images.shape[1:]),
        "people": len(np.unique(data.z)),
        "people_in_test": len(np.unique(data.z[test])),
        "images": {name: int((data.split == index).sum()) for index, name in enumerate(SPLITS)},
        "chance": data.chance(data.private),
        "sha256": provenance.get("sha256"),
        **{"resized": reading.get("resized", False), "inverted": reading.get("inverted", False)},
        "turned_to_grey": provenance.get("turned_to_grey", 0),
    }


def _attacked(data: Dataset, released: Dataset, attackers: Suite, seed: int) -> list[dict]:
    """The attackers on released images and, as controls, on raw images and on permuted labels."""
    private = data.provenance["private"]
    names, found = ("m", "attacker", "n_train", "accuracy", "n"), []
    for on, shown, permute in (("released", released, None), ("raw", data, None), ("permuted", released, seed)):
        rows = assess(shown, private, attackers, images_per_person=GROUPS, permute=permute)
        found += [{"on": on, **{name: row[name] for name in names}} for row in rows]
    return found


def _table(data: Dataset, codes: np.ndarray, k: int, seed: int) -> list[dict]:
    """One more attacker on codewords: it counts them in training, and adds up several images by naive Bayes."""
    train, test, rows = data.split == 0, data.split == 2, []
    for m in (m for m in GROUPS if m <= np.bincount(data.z[test]).max()):
        known, held = (codes[train], data.z[train]), (codes[test], data.z[test])
        rng = numpy_generator(seed, "groups", m)
        hits, n = table_attack(*known, *held, sizes=(data.n_private, k), m=m, rng=rng)
        row = {"on": "released", "m": m, "attacker": "table", "n_train": int(train.sum())}
        rows.append({**row, "accuracy": hits / n, "n": n})
    return rows
