"""The rules of the clients in the field, written down a second time from the contract alone.

Nothing of the package is used here, and nothing is fast: it is what the package's own path is compared with.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WINDOW, STRIDE, MOST_TOKENS = 200, 150, 512
LONGEST_WORD = 100

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class ClientWord:
    """A word of the table: `box` is the hull of its corners, `ids` say where it stands."""

    text: str
    box: Box
    ids: tuple[int, int]


@dataclass(frozen=True)
class ClientWindow:
    """What goes into the model once, at which token each word that is in it begins, and what did not fit."""

    input_ids: list[int]
    boxes: list[tuple[int, ...]]
    first: dict[int, int]
    cut_off: list[int]


def read_order(words: Sequence[ClientWord]) -> tuple[list[int], list[tuple[int, ...]]]:
    """The words' order, and their boxes in 0..1000."""
    across = max([1.0, *(edge for word in words for edge in (word.box[0], word.box[2]))])
    along = max([1.0, *(edge for word in words for edge in (word.box[1], word.box[3]))])
    boxes = []
    for word in words:
        x0, y0, x1, y1 = word.box
        shares = (x0 / across, y0 / along, x1 / across, y1 / along)
        boxes.append(tuple(min(1000, max(0, nearest(share * 1000))) for share in shares))
    order = sorted(range(len(words)), key=lambda at: (boxes[at][1], boxes[at][0], words[at].ids))
    return order, boxes


def nearest(value: float) -> int:
    """The nearest whole number, and of two equally near ones that which is farther from zero."""
    down = math.floor(value)
    rest = value - down
    if rest == 0.5:
        return down + 1 if value > 0 else down
    return down + 1 if rest > 0.5 else down


def pieces(text: str, vocabulary: dict[str, int]) -> list[int]:
    """The ids of a word's sub-tokens."""
    return [number for token in basic_tokens(text) for number in word_pieces(token, vocabulary)]


def basic_tokens(text: str) -> list[str]:
    """Clean, set Chinese characters apart, lower, take accents off, set punctuation apart."""
    kept = "".join(
        " " if is_space(c) else f" {c} " if is_chinese(c) else c for c in text if not is_dropped(c)
    )
    lowered = "".join(c.lower() for c in kept)
    bare = "".join(c for c in unicodedata.normalize("NFD", lowered) if unicodedata.category(c) != "Mn")
    apart = "".join(f" {c} " if is_punctuation(c) else c for c in bare)
    return apart.split()


def word_pieces(token: str, vocabulary: dict[str, int]) -> list[int]:
    """The longest entry from the left, again and again; the unknown token where there is none."""
    unknown = [vocabulary["[UNK]"]]
    if len(token) > LONGEST_WORD:
        return unknown
    found: list[int] = []
    start = 0
    while start < len(token):
        prefix = "##" if start else ""
        ends = (end for end in range(len(token), start, -1) if prefix + token[start:end] in vocabulary)
        end = next(ends, None)
        if end is None:
            return unknown
        found.append(vocabulary[prefix + token[start:end]])
        start = end
    return found


def is_space(char: str) -> bool:
    return char in "\t\n\r" or unicodedata.category(char) == "Zs"


def is_dropped(char: str) -> bool:
    if char in "\t\n\r":
        return False
    return char in "\0\ufffd" or unicodedata.category(char).startswith("C")


def is_punctuation(char: str) -> bool:
    ascii_sign = char.isascii() and char.isprintable() and not char.isalnum() and char != " "
    return ascii_sign or unicodedata.category(char).startswith("P")


def is_chinese(char: str) -> bool:
    blocks = (
        (0x4E00, 0x9FFF),
        (0x3400, 0x4DBF),
        (0x20000, 0x2A6DF),
        (0x2A700, 0x2B73F),
        (0x2B740, 0x2B81F),
        (0x2B820, 0x2CEAF),
        (0xF900, 0xFAFF),
        (0x2F800, 0x2FA1F),
    )
    return any(first <= ord(char) <= last for first, last in blocks)


def cut(words: Sequence[ClientWord], vocabulary: dict[str, int]) -> list[ClientWindow]:
    """Windows over the words as read; what does not fit into 512 tokens is cut off."""
    order, boxes = read_order(words)
    windows = []
    for start in range(0, len(order), STRIDE):
        window = ClientWindow([vocabulary["[CLS]"]], [(0, 0, 0, 0)], {}, [])
        for at in order[start : start + WINDOW]:
            tokens = pieces(words[at].text, vocabulary)
            room = MOST_TOKENS - 1 - len(window.input_ids)
            if not tokens or len(tokens) > room:
                window.cut_off.append(at)
            if not tokens or not room:
                continue
            window.first[at] = len(window.input_ids)
            window.input_ids.extend(tokens[:room])
            window.boxes.extend([boxes[at]] * len(tokens[:room]))
        window.input_ids.append(vocabulary["[SEP]"])
        window.boxes.append((0, 0, 0, 0))
        windows.append(window)
        if start + WINDOW >= len(order):
            break
    return windows


def average(
    windows: Sequence[ClientWindow], logits: Callable[[ClientWindow], list[list[float]]]
) -> dict[int, list[float]]:
    """Probabilities of each word that is in a window: softmax at its first token, mean over its windows."""
    votes: dict[int, list[list[float]]] = {}
    for window in windows:
        rows = logits(window)
        for at, position in window.first.items():
            votes.setdefault(at, []).append(softmax(rows[position]))
    return {at: [sum(column) / len(rows) for column in zip(*rows, strict=True)] for at, rows in votes.items()}


def softmax(row: Sequence[float]) -> list[float]:
    highest = max(row)
    powers = [math.exp(value - highest) for value in row]
    return [power / sum(powers) for power in powers]
