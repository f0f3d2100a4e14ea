"""The frontier of releases of codewords: what each discloses and keeps, and from a target accuracy to a lambda.

Somebody who releases images wants to promise "at most p of the released images show who they are of" and not to think
about lambda. So releases are made at many lambdas, validation images choose among them (`choose`), and test images,
which took no part in that choice, say once whether the promise holds (`promise`).

Accuracies, bounds and p are fractions, information is in nats. In every function `data` is the raw data set, and the
codes of a codebook come in the order of its images.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import assess
from anonrep.evaluation.attackers import AttackBudget, suite
from anonrep.evaluation.certificate import accuracy_bound, certify, clip_accuracy_bound
from anonrep.evaluation.contingency import smoothed, table_attack
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.evaluation.utility import utility_by_code
from anonrep.utils.seeds import numpy_generator
from anonrep.utils.text import at_most


def certificate_rows(
    data: Dataset,
    book: Codebook,
    *,
    reader: NetworkAttacker,
    images_per_person: Sequence[int] = (1, 5, 20),
    delta: float = 0.05,
    key: Mapping,
) -> list[dict]:
    """A row for each number m of images of one person: what is certified on test images, and what attackers reach.

    `reader` is trained on raw images to read the utility label; `key` names the release and leads each row, and its
    "seed" is the attackers'. Beside it and the columns of `certificate.certify`:

    best_attacker     test accuracy of the best attacker; None where no person has m test images
    attacker          its name. For m = 1 the best of three: the table of training codes, and trees and neighbours that
                      are trained on released images; for more the table alone
    groups            how many groups of m images the table attacked; None for m = 1
    utility           test accuracy of the utility label, predicted from the code (`utility.utility_by_code`)
    naturalness       test accuracy of the utility label, read by `reader` from the code's image
    used              how many codes training images have
    validation_bound  `validation_bound`, to choose by
    majority          the share of the commonest person among the test images
    clip_bound, clips  where images are frames of clips: `certificate.clip_accuracy_bound`, which holds for new clips,
                      and the number of test clips
    source            where the images come from

    For m = 1 no attacker can be above the bound: it counts at least the hits of any rule from codes to persons.
    """
    train, test = data.split == 0, data.split == 2
    codes, z = book.codes[test], data.z[test]
    references = {"p_z": smoothed(data.z[train], data.n_private), "p_k": smoothed(book.codes[train], len(book))}
    shared = {
        "utility": utility_by_code(data, book.codes, [data.utility])[0]["score"],
        "naturalness": float(np.mean(reader.predict(book.images)[codes] == data.task(data.utility)[test])),
        "used": len(np.unique(book.codes[train])),
        "validation_bound": validation_bound(data, book.codes),
        "majority": float(np.bincount(z).max() / len(z)),
    }
    if "clip" in data.attributes:
        clips = data.attributes["clip"][test]
        shared |= {"clip_bound": clip_accuracy_bound(codes, z, clips, delta), "clips": len(np.unique(clips))}
    how = {"images_per_person": images_per_person, "design_size": len(data) if data.balanced else None}
    rows = certify(codes, z, **references, **how, delta=delta)
    found = (row | _attack(data, book, row["m"], key["seed"]) | shared for row in rows)
    return [{**key, **row, "source": data.source} for row in found]


def unseen_rows(
    known: tuple[Dataset, Codebook],
    unseen: tuple[Dataset, Codebook],
    *,
    reader: NetworkAttacker,
    images_per_person: Sequence[int] = (1, 5, 20),
    delta: float = 0.05,
    key: Mapping,
) -> list[dict]:
    """`certificate.certify` on all images of unseen people: a row for each number m of images of one person.

    Nothing of theirs took part in anything, so that every image counts: each comes with its codes, `known` people's
    raw images with theirs. References are equal shares of the unseen people and the codes of known training images.
    Besides `certify`'s columns:

    utility      accuracy of the utility label, predicted from the code as in known people's training images
    naturalness  accuracy of the utility label, read by `reader` from the code's image
    majority     the share of the commonest person
    source       where the images come from
    """
    (data, book), (people, shown) = known, unseen
    codes, train, truth = shown.codes, data.split == 0, people.task(people.utility)
    labels, columns = np.unique(data.task(data.utility)[train], return_inverse=True)
    table = np.zeros((len(book), len(labels)), int)
    np.add.at(table, (book.codes[train], columns), 1)
    shared = {
        "utility": float(np.mean(labels[table.argmax(1)][codes] == truth)),
        "naturalness": float(np.mean(reader.predict(book.images)[codes] == truth)),
        "majority": float(np.bincount(people.z).max() / len(people)),
    }
    references = {
        "p_z": np.full(people.n_private, 1 / people.n_private),
        "p_k": smoothed(book.codes[train], len(book)),
    }
    how = {"images_per_person": images_per_person, "design_size": len(people) if people.balanced else None}
    rows = certify(codes, people.z, **references, **how, delta=delta)
    return [{**key, **row, **shared, "source": people.source} for row in rows]


def utility_rows(data: Dataset, book: Codebook, names: Sequence[str], *, key: Mapping) -> list[dict]:
    """`utility.utility_by_code` of a release: rows led by `key`, with their source."""
    return [{**key, **row, "source": data.source} for row in utility_by_code(data, book.codes, names)]


def _attack(data: Dataset, book: Codebook, m: int, seed: int) -> dict:
    """The columns best_attacker, attacker and groups of `certificate_rows`."""
    train, test = data.split == 0, data.split == 2
    if np.bincount(data.z[test]).max() < m:
        return {"best_attacker": None, "attacker": None, "groups": 0}
    known, unknown = (book.codes[train], data.z[train]), (book.codes[test], data.z[test])
    rng, sizes = numpy_generator(seed, "groups", m), (data.n_private, len(book))
    hits, groups = table_attack(*known, *unknown, sizes=sizes, m=m, rng=rng)
    found = {"table": hits / groups} | (_trained(data, book, seed) if m == 1 else {})
    best = max(found, key=found.get)
    return {"best_attacker": found[best], "attacker": best, "groups": None if m == 1 else groups}


def _trained(data: Dataset, book: Codebook, seed: int) -> dict[str, float]:
    """Test accuracies, by name, of attackers that see the images and not the codes.

    K images leave little to learn: networks and support vectors would find the same table at a greater cost, and so
    does every tree, so that ten are enough.
    """
    everybody = suite(AttackBudget(trees=10, large_epochs=0), seed=seed)
    chosen = {name: everybody[name] for name in ("trees", "neighbours")}
    rows = assess(data.released(book.release()), data.private, chosen)
    return {row["attacker"]: row["accuracy"] for row in rows}


def validation_bound(data: Dataset, codes: np.ndarray, delta: float = 0.005) -> float:
    """`certificate.accuracy_bound` on the validation images, to choose by and not to publish.

    It may choose the best of many releases: test images take no part, and what is certified on them afterwards holds as
    if the release had been the only one. Its confidence is higher than that of `promise`, so that a release that passes
    here by luck mostly passes there as well. `codes`: (N,).
    """
    validation = data.split == 1
    return accuracy_bound(codes[validation], data.z[validation], delta)


def choose(candidates: pd.DataFrame, p: float) -> pd.Series | None:
    """The release with the least distortion among those whose validation bound is at most p; None if there is none.

    `candidates`: a row for each release with lam, codes (K), seed, validation_bound and distortion. Equal distortions
    are told apart by the smaller bound. Raises ValueError for a p outside (0, 1).
    """
    _check_promise(p)
    able = candidates[candidates.validation_bound <= p]
    return None if able.empty else able.sort_values(["distortion", "validation_bound"]).iloc[0]


def promise(data: Dataset, book: Codebook | None, p: float, delta: float = 0.05) -> dict:
    """Certify the chosen release, once, on test images: can anybody recognise more than p from one released image?

    Returns p, bound, holds (bound <= p), n (test images), delta and least: the bound of a release that shows everybody
    the same image, below which no release comes on these test images. Where `book` is None, nothing was chosen: the
    bound is None and nothing holds. A promise holds for one release fixed beforehand: to try the next one on the same
    images is to choose on them. Raises ValueError for a p outside (0, 1).
    """
    _check_promise(p)
    z = data.z[data.split == 2]
    bound = None if book is None else accuracy_bound(book.codes[data.split == 2], z, delta)
    holds = bound is not None and bool(bound <= p)
    least = accuracy_bound(np.zeros_like(z), z, delta)
    return {"p": p, "bound": bound, "holds": holds, "n": len(z), "delta": delta, "least": least}


def answer(promised: dict, chosen: pd.Series | None, candidates: pd.DataFrame) -> str:
    """What `promise` returned for the release `chosen` among the `candidates`, in words. Bounds are rounded up."""
    p, n = f"{100 * promised['p']:g} %", promised["n"]
    confidence = f"confidence {100 * (1 - promised['delta']):g} %"
    if promised["p"] < promised["least"]:
        return (
            f"No release can be certified at p = {p} on {n} test images: even one that shows everybody the same image "
            f"has a bound of {at_most(promised['least'], 2)} ({confidence})."
        )
    if chosen is None:
        return (
            f"None of these {len(candidates)} releases can promise that at most {p} of released images show who they "
            f"are of: their least bound on validation images is {at_most(candidates.validation_bound.min(), 2)}."
        )
    release = f"λ = {chosen.lam:g}, K = {chosen.codes:g}"
    if promised["holds"]:
        return (
            f"No classifier names the person in more than {p} of released images ({release}): the certified bound on "
            f"{n} test images, which took no part in this choice, is {at_most(promised['bound'], 2)} ({confidence})."
        )
    return (
        f"Not certified: the release chosen for p = {p} ({release}) has a bound of {at_most(promised['bound'], 2)} on "
        f"{n} test images ({confidence}). Trying a smaller p is choosing again, and would need fresh test images."
    )


def _check_promise(p: float) -> None:
    if not 0 < p < 1:
        raise ValueError(f"p = {p}: expected 0 < p < 1, such as 0.1 for one person in ten")
