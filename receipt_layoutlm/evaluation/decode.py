"""Chooses one tag a word: each by itself as the clients do, or the best sequence that BIO allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Decoding = Literal["constrained", "plain"]
Probabilities = npt.NDArray[np.float64]
"""[words, tags]: the averaged probabilities of a receipt's words in reading order."""

_FORBIDDEN = -np.inf
_LEAST = 1e-300  # log(0) would forbid a tag that is only very unlikely


def decode_plain(probabilities: Probabilities, tags: Sequence[str]) -> list[int]:
    """The most probable tag of each word by itself, which may put I-X behind something else than X."""
    del tags
    return [int(tag) for tag in probabilities.argmax(axis=1)]


def decode_constrained(probabilities: Probabilities, tags: Sequence[str]) -> list[int]:
    """The most probable sequence of tags in which I-X follows only B-X or I-X (Viterbi, 1967).

    Words count as independent of each other but for that rule, so where the plain decoding keeps to it, this
    one gives the same tags.

    Args:
        probabilities: one row a word.
        tags: names of the columns, such as B-DATE; any other form than B-X and I-X counts as O.
    """
    if not len(probabilities):
        return []
    scores = np.log(np.maximum(probabilities, _LEAST))
    allowed = _transitions(tags)
    best = scores[0] + np.where(_continues(tags), _FORBIDDEN, 0)
    came_from = np.zeros(scores.shape, dtype=np.int64)
    for word in range(1, len(scores)):
        candidates = best[:, None] + allowed
        came_from[word] = candidates.argmax(axis=0)
        best = candidates.max(axis=0) + scores[word]
    path = [int(best.argmax())]
    for word in range(len(scores) - 1, 0, -1):
        path.append(int(came_from[word, path[-1]]))
    return path[::-1]


DECODERS: Mapping[Decoding, Callable[[Probabilities, Sequence[str]], list[int]]] = {
    "constrained": decode_constrained,
    "plain": decode_plain,
}


def label_of(tag: str) -> str | None:
    """DATE for B-DATE and I-DATE, None for O."""
    prefix, _, name = tag.partition("-")
    return name if prefix in {"B", "I"} and name else None


def spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The entities of a sequence: label, first word, and the one after the last.

    As seqeval reads it in its default mode: an I-X that continues nothing begins an entity.
    """
    found: list[tuple[str, int, int]] = []
    previous = None
    for word, tag in enumerate(tags):
        label = label_of(tag)
        if label and label == previous and not tag.startswith("B-"):
            found[-1] = (label, found[-1][1], word + 1)
        elif label:
            found.append((label, word, word + 1))
        previous = label
    return found


def _continues(tags: Sequence[str]) -> npt.NDArray[np.bool_]:
    return np.array([tag.startswith("I-") for tag in tags])


def _transitions(tags: Sequence[str]) -> npt.NDArray[np.float64]:
    """[from, to]: 0 where `to` may follow `from`, minus infinity where not."""
    labels = [label_of(tag) for tag in tags]
    same = np.array([[one == other for other in labels] for one in labels])
    return np.where(_continues(tags)[None, :] & ~same, _FORBIDDEN, 0.0)
