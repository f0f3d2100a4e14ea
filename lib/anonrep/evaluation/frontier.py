"""The frontier of releases of K fixed images: what each discloses and what it keeps, and from a promise to lambda.

Somebody who releases images wants to promise "at most p of the people can be recognised", and not to think about
lambda. So releases are made at many lambdas, validation images choose among them (`choose`), and test images, which
took no part in that, say once whether the promise holds (`promise`).

Accuracies, bounds and p are fractions, information is in nats. In every function `data` is the raw data set, and the
codes of a release come in the order of its images.
"""

import math

import numpy as np
import pandas as pd

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import assess
from anonrep.evaluation.attackers import AttackBudget, suite
from anonrep.evaluation.certificate import accuracy_bound, certify
from anonrep.evaluation.contingency import smoothed, table_attack
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.evaluation.utility import utility_by_code
from anonrep.utils.seeds import numpy_generator


def release_rows(
    data: Dataset,
    book: Codebook,
    *,
    reader: NetworkAttacker,
    kept: str,
    images: tuple[int, ...] = (1, 5, 20),
    delta: float = 0.05,
    seed: int,
    **key: object,
) -> list[dict]:
    """A row for each number m of images of one person: what is certified on test images, and what attackers reach.

    `reader`: fitted on raw images to read the whole-number attribute `kept`; `key` names the release and leads each row
    (dataset, method, lam, codebook: the number of codes asked for). Beside it and the columns of `certificate.certify`:

    worst_attacker  test accuracy of the attacker who does best; None where no person has m test images
    attacker        its name. For m = 1 the best of three: the table of training codes, and trees and neighbours that
                    learn from released training images; the table alone for more
    groups          how many groups of m images the table was set on; None for m = 1
    utility         test accuracy with which `kept` is read from the code (`utility.utility_by_code`)
    naturalness     test accuracy with which `reader` reads `kept` from the code's image
    used            how many codes training images have
    validation_bound  what `validation_bound` says, to choose by
    n               held-out images, for every m
    source          where the images come from

    For m = 1 no attacker is above the bound, by arithmetic: it holds more hits than any rule from codes to persons has.
    """
    train, test = data.split == 0, data.split == 2
    references = {"p_z": smoothed(data.z[train], data.n_private), "p_k": smoothed(book.codes[train], len(book))}
    rows = certify(book.codes[test], data.z[test], **references, images=images, delta=delta)
    read = reader.predict(book.images)[book.codes[test]]
    worth = {
        "utility": utility_by_code(data, book.codes, [kept])[0]["score"],
        "naturalness": float(np.mean(read == data.task(kept)[test])),
        "used": len(np.unique(book.codes[train])),
        "validation_bound": validation_bound(data, book.codes),
    }
    leading = {**key, "seed": seed}
    return [leading | row | _attack(data, book, row["m"], seed) | worth | {"source": data.source} for row in rows]


def utility_rows(data: Dataset, book: Codebook, names: list[str], **key: object) -> list[dict]:
    """`utility.utility_by_code` of a release: rows led by `key` (method, lam, codebook, seed), with their source."""
    return [{**key, **row, "source": data.source} for row in utility_by_code(data, book.codes, names)]


def _attack(data: Dataset, book: Codebook, m: int, seed: int) -> dict:
    """The columns worst_attacker, attacker and groups of `release_rows`."""
    train, test = data.split == 0, data.split == 2
    if np.bincount(data.z[test]).max() < m:
        return {"worst_attacker": None, "attacker": None, "groups": 0}
    known, held = (book.codes[train], data.z[train]), (book.codes[test], data.z[test])
    rng, sizes = numpy_generator(seed, "groups", m), (data.n_private, len(book))
    hits, groups = table_attack(*known, *held, sizes=sizes, m=m, rng=rng)
    found = {"table": hits / groups} | (_learn(data, book, seed) if m == 1 else {})
    best = max(found, key=found.get)
    return {"worst_attacker": found[best], "attacker": best, "groups": None if m == 1 else groups}


def _learn(data: Dataset, book: Codebook, seed: int) -> dict[str, float]:
    """Test accuracies, by name, of attackers that see the images and not the codes.

    K images leave little to learn: networks and support vectors would come down to the same table, at a greater cost,
    and every tree is that table, so that a few do.
    """
    everybody = suite(AttackBudget(trees=10, large_epochs=0), seed=seed)
    chosen = {name: everybody[name] for name in ("trees", "neighbours")}
    rows = assess(data.released(book.release()), data.provenance["private"], chosen)
    return {row["attacker"]: row["accuracy"] for row in rows}


def validation_bound(data: Dataset, codes: np.ndarray, delta: float = 0.005) -> float:
    """`certificate.accuracy_bound` on the validation images, to choose by and not to publish.

    Picking the best of many releases by it is allowed: test images took no part, so that what is certified on them
    afterwards holds as if the release had been the only one. It is stricter than the confidence of `promise`, so that
    what passes here by luck mostly passes there as well. `codes`: (N,).
    """
    validation = data.split == 1
    return accuracy_bound(codes[validation], data.z[validation], delta)


def choose(candidates: pd.DataFrame, p: float) -> pd.Series | None:
    """The release with the least distortion among those that may promise p; None when there is none.

    `candidates`: a row a release with lam, codes (K), seed, validation_bound and distortion. Of equal distortions the
    smaller bound counts. Raises ValueError for a p outside (0, 1).
    """
    _check_promise(p)
    able = candidates[candidates.validation_bound <= p]
    return None if able.empty else able.sort_values(["distortion", "validation_bound"]).iloc[0]


def promise(data: Dataset, book: Codebook | None, p: float, delta: float = 0.05) -> dict:
    """Certify what was chosen, once, on test images: can anybody recognise more than p from one released image?

    Returns p, bound, holds (bound <= p), n (test images), delta and least: the bound of a release that shows everybody
    the same image, below which no release comes on these test images. Without a release, `book` None, bound is None and
    nothing holds. Holds for one release fixed beforehand: trying the next one on the same images is choosing on them.
    Raises ValueError for a p outside (0, 1).
    """
    _check_promise(p)
    z = data.z[data.split == 2]
    bound = None if book is None else accuracy_bound(book.codes[data.split == 2], z, delta)
    holds = bound is not None and bool(bound <= p)
    least = accuracy_bound(np.zeros_like(z), z, delta)
    return {"p": p, "bound": bound, "holds": holds, "n": len(z), "delta": delta, "least": least}


def answer(promised: dict, chosen: pd.Series | None, candidates: pd.DataFrame) -> str:
    """What `promise` found, in words for whoever asked.

    `promised`: what it returned, for the release `chosen` among the `candidates`. Bounds are rounded up.
    """
    p, n = f"{100 * promised['p']:g} %", promised["n"]
    confidence = f"confidence {100 * (1 - promised['delta']):g} %"
    if promised["p"] < promised["least"]:
        return (
            f"No release can be certified at p = {p} on {n} test images: even one that shows everybody the same image "
            f"has a bound of {_bound(promised['least'])} ({confidence})."
        )
    if chosen is None:
        return (
            f"That at most {p} of people can be recognised cannot be had with these {len(candidates)} releases: the "
            f"least of their bounds on validation images is {_bound(candidates.validation_bound.min())}."
        )
    release = f"λ = {chosen.lam:g}, K = {chosen.codes:g}"
    if promised["holds"]:
        return (
            f"At most {p} of people can be recognised by any classifier that sees one released image ({release}): the "
            f"certified bound on {n} untouched images is {_bound(promised['bound'])} ({confidence})."
        )
    return (
        f"Not certified: the release chosen for p = {p} ({release}) has a bound of {_bound(promised['bound'])} on "
        f"{n} test images ({confidence}). Trying a smaller p is choosing again, and would need fresh test images."
    )


def _bound(value: float) -> str:
    """Rounded up, or it would promise too much."""
    return f"{math.ceil(1e4 * value) / 100:.2f} %"


def _check_promise(p: float) -> None:
    if not 0 < p < 1:
        raise ValueError(f"p = {p}: expected 0 < p < 1, such as 0.1 for one person in ten")
