r"""Who and what a release of codewords exposes most: more from the same held-out counts as the certificate.

`certificate.accuracy_bound` bounds the share of *images* whose person is named. Each measure here answers a further
question, with an attack that is fixed on training images and an upper limit for every rule from codes to persons:

guesses 3, 5             the attacker names that many people. A rule is right if the person is among them; its hits are
                         binomial and at most the sum over codes of the largest counts (Clopper and Pearson)
knows <utility>          the attacker knows the utility label d as well. One rule from (k, d) to persons; its hits are
                         at most the sum over k and d of max over z of N_zkd
worst <utility>          the same within one label, the one with the largest limit; all labels at once (delta over their
                         number)
most exposed person      of the images of each person, how many the likeliest-person rule names. Any rule could name one
                         person always, so this is of the rule that is fixed on training images, for all people at once
most telling codeword    the largest share that one person has of the images shown as one codeword, P(z | k); for all
                         codewords and people at once (delta over K |Z|)
two most exposed people  how well the two people are told apart who differ most, with equally many images of both: half
                         is chance, and 2 (1 - value) is the Bayes security (Chatzikokolakis, Cherubin, Palamidessi and
                         Troncoso, 2023). For each pair the best rule's share of hits is at most half the sum over k of
                         max(N_zk / n_z, N_z'k / n_z'), so that Chernoff's limit holds for every rule
                         (`intervals.chernoff`); all pairs at once
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.contingency import check_level, count_pairs
from anonrep.evaluation.intervals import chernoff, clopper_pearson

GUESSES = (3, 5)


def exposure_rows(data: Dataset, book: Codebook, *, delta: float = 0.05, key: Mapping) -> list[dict]:
    """A row a measure, for test images: `key`, measure, value, low, high, n, delta, who and source.

    value      what the attack fixed on training images reaches on test images: a fraction
    low, high  limits at confidence 1 - delta each: the attack reaches at least `low`, and no rule exceeds `high`; of
               the most exposed person, and of the most telling codeword, where all are limited at once
    n          the images it rests on
    who        the person, label or codeword, or the two people; null where it is everybody
    """
    check_level(delta)
    train, test = data.split == 0, data.split == 2
    sizes = (data.n_private, len(book))
    known = count_pairs(book.codes[train], data.z[train], sizes)
    held = count_pairs(book.codes[test], data.z[test], sizes)
    rows = [_guesses(known, held, k, delta) | {"measure": f"{k} guesses"} for k in GUESSES]
    if data.utility:
        rows += _with_label(data, book, sizes, delta)
    rows += [_person(known, held, delta), _codeword(known, held, delta), _pair(known, held, delta)]
    return [{**key, **row, "delta": delta, "source": data.source} for row in rows]


def _row(measure: str, hits: int, n: int, high: float, delta: float, who: object = None) -> dict:
    """A row whose attack was right `hits` times in n."""
    low = 1 - clopper_pearson(n - hits, n, delta)
    return {"measure": measure, "value": hits / n if n else 0.0, "low": low, "high": high, "n": int(n), "who": who}


def _guesses(known: np.ndarray, held: np.ndarray, k: int, delta: float) -> dict:
    named = np.argsort(-known, axis=0, kind="stable")[:k]
    hits, n = int(np.take_along_axis(held, named, 0).sum()), int(held.sum())
    most = int(np.sort(held, axis=0)[-k:].sum())
    return _row("", hits, n, clopper_pearson(most, n, delta), delta)


def _with_label(data: Dataset, book: Codebook, sizes: tuple[int, int], delta: float) -> list[dict]:
    labels, column = np.unique(data.task(data.utility), return_inverse=True)
    parts, within = [data.split == 0, data.split == 2], []
    for label in range(len(labels)):
        mine = [part & (column == label) for part in parts]
        known, held = (
            count_pairs(book.codes[one], data.z[one], sizes) if one.any() else np.zeros(sizes, int) for one in mine
        )
        hits = int(np.take_along_axis(held, known.argmax(0)[None], 0).sum())
        within.append((hits, int(held.sum()), int(held.max(0).sum())))
    hits, n, most = map(sum, zip(*within, strict=True))
    limits = [clopper_pearson(most, n, delta / len(labels)) for _, n, most in within]
    worst, every = int(np.argmax(limits)), clopper_pearson(most, n, delta)
    rows = [_row(f"knows {data.utility}", hits, n, every, delta)]
    own = within[worst]
    return [*rows, _row(f"worst {data.utility}", *own[:2], limits[worst], delta / len(labels), int(labels[worst]))]


def _person(known: np.ndarray, held: np.ndarray, delta: float) -> dict:
    people, counts = len(held), held.sum(1)
    hits = np.bincount(known.argmax(0), weights=held[known.argmax(0), np.arange(held.shape[1])], minlength=people)
    limits = [clopper_pearson(*both, delta / people) for both in zip(hits, counts, strict=True)]
    one = int(np.argmax(hits / np.maximum(counts, 1)))
    return _row("most exposed person", int(hits[one]), int(counts[one]), max(limits), delta / people, one)


def _codeword(known: np.ndarray, held: np.ndarray, delta: float) -> dict:
    level, counts = delta / held.size, held.sum(0)
    share = known.max(0) / np.maximum(known.sum(0), 1)
    one = int(np.argmax(np.where(counts > 0, share, -1)))
    limits = [clopper_pearson(held[:, code].max(), counts[code], level) for code in range(held.shape[1])]
    row = _row("most telling codeword", int(held[known[:, one].argmax(), one]), int(counts[one]), max(limits), level)
    return row | {"who": one}


def _pair(known: np.ndarray, held: np.ndarray, delta: float) -> dict:
    p, q = (table / np.maximum(table.sum(1, keepdims=True), 1) for table in (known, held))
    pairs, counts = list(combinations(range(len(held)), 2)), held.sum(1)
    one, two = max(pairs, key=lambda pair: np.abs(p[pair[0]] - p[pair[1]]).sum())
    named = p[one] > p[two]
    value = (q[one][named].sum() + q[two][~named].sum()) / 2
    hits = held[one][named].sum(), held[two][~named].sum()
    missed = (clopper_pearson(n - hit, n, delta / 2) for hit, n in zip(hits, counts[[one, two]], strict=True))
    high = max(
        chernoff(np.maximum(q[a], q[b]).sum() / 2, 2 * min(counts[a], counts[b]), delta / len(pairs)) for a, b in pairs
    )
    row = {"measure": "two most exposed people", "value": float(value), "low": 1 - sum(missed) / 2, "high": high}
    return row | {"n": int(counts[[one, two]].sum()), "who": f"{one} and {two}"}
