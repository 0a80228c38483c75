"""Reads entity spans from tags; constrained (Viterbi) decoding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from receipt_layoutlm.tag_transitions import Transitions

Decoding = Literal["constrained", "plain"]
Probabilities = npt.NDArray[np.float64]
"""[words, tags]: the averaged probabilities of a receipt's words in reading order."""
Span = tuple[str, int, int]
"""An entity: label, first word, and the one after the last."""

_FORBIDDEN = -np.inf
_NOTHING = -1
_LEAST = 1e-300  # log(0) would forbid a tag that is only very unlikely


def decode_plain(probabilities: Probabilities, tags: Sequence[str]) -> list[int]:
    """The most probable tag of each word by itself, which may put I-X behind something else than X."""
    del tags
    return [int(tag) for tag in probabilities.argmax(axis=1)]


def decode_constrained(
    probabilities: Probabilities,
    tags: Sequence[str],
    transitions: Transitions | None = None,
    lines: Sequence[int] = (),
) -> list[int]:
    """The most probable sequence of tags that true ones can have (Viterbi, 1967).

    I-X follows only B-X or I-X, and B-X neither of them: neighbours of one label are one entity by the rule
    that tags are made by (`LabelSet.tag_ids`).

    Without learned transitions words count as independent of each other but for that rule, so where the plain
    decoding keeps to it, this one gives the same tags.

    Args:
        probabilities: one row a word.
        tags: names of the columns, such as B-DATE; any other form than B-X and I-X counts as O.
        transitions: what training has counted.
        lines: the line of each word, which the transitions go by.
    """
    follows = _follows(tuple(tags))
    plain = decode_plain(probabilities, tags)
    # Of nearly all receipts, which spares them the search.
    if transitions is None and all(follows[before][tag] for before, tag in pairwise([_NOTHING, *plain])):
        return plain
    scores = np.log(np.maximum(probabilities, _LEAST))
    start, between = _steps(follows, transitions)
    best = start + scores[:1].sum(axis=0)
    came_from = np.zeros(scores.shape, dtype=np.int64)
    for word in range(1, len(scores)):
        candidates = best[:, None] + between[not lines or lines[word] == lines[word - 1]]
        came_from[word] = candidates.argmax(axis=0)
        best = candidates.max(axis=0) + scores[word]
    path = [int(best.argmax())] if len(scores) else []
    for word in range(len(scores) - 1, 0, -1):
        path.append(int(came_from[word, path[-1]]))
    return path[::-1]


def _steps(
    follows: npt.NDArray[np.bool_], transitions: Transitions | None
) -> tuple[Probabilities, dict[bool, Probabilities]]:
    """Scores of the first word's tags [tags], and of transitions [from][to] by whether the line goes on."""
    penalties = np.where(follows, 0, _FORBIDDEN)
    start, after = penalties[_NOTHING], penalties[:_NOTHING]
    if transitions is None:
        return start, {True: after, False: after}
    return start + np.array(transitions.start), {
        same_line: after + transitions.scores(same_line) for same_line in (True, False)
    }


def label_of(tag: str) -> str | None:
    """DATE for B-DATE and I-DATE, None for O."""
    prefix, _, name = tag.partition("-")
    return name if prefix in {"B", "I"} and name else None


def transitions(tags: Sequence[str]) -> list[list[int]]:
    """[from, to]: 1 where the tag `to` may come right after the tag `from`, else 0.

    A receipt begins as after O. With this table and the probabilities, anyone can decode as
    `decode_constrained` does.
    """
    table: list[list[int]] = _follows(tuple(tags))[:_NOTHING].astype(int).tolist()
    return table


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of a sequence as seqeval reads it in its default mode.

    An I-X that continues nothing begins an entity.
    """
    found: list[Span] = []
    previous = None
    for word, tag in enumerate(tags):
        label = label_of(tag)
        if label and label == previous and not tag.startswith("B-"):
            found[-1] = (label, found[-1][1], word + 1)
        elif label:
            found.append((label, word, word + 1))
        previous = label
    return found


def strict_spans(tags: Sequence[str]) -> list[Span]:
    """The entities of a sequence as seqeval reads it in its strict mode with IOB2: none begins with I-X."""
    return [span for span in spans(tags) if tags[span[1]].startswith("B-")]


@lru_cache
def _follows(tags: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """[from, to]: whether a tag may follow another; the last row is for the beginning."""
    labels = [label_of(tag) for tag in tags]
    same = np.array([[one == other for other in labels] for one in [*labels, None]])
    begins, continues = (np.array([tag.startswith(prefix) for tag in tags]) for prefix in ("B-", "I-"))
    follows: npt.NDArray[np.bool_] = np.where(same, ~begins, ~continues)
    return follows
