"""Finds a phrase (a company, an address) among the words of a receipt, however it was spaced, cased or broken into lines.

The phrase is looked for piece by piece: every line may hold one or more runs of words that occur in the phrase.
Pieces that stand close together form a region, and the region that covers most of the phrase wins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from receipt_layoutlm.data.draft import DraftLine

Spot = tuple[int, int]
"""Index of the line and of the word in it."""

# A piece this short ("27", "NO 8") occurs in a phrase by chance, so it must match whole tokens of the phrase.
SHORT_PIECE = 6
# One wrong character in eight is an OCR slip; more is another text.
CHARACTERS_PER_SLIP = 8
# Pieces further apart than this many line heights belong to different blocks of print.
REGION_GAP_IN_HEIGHTS = 2.5
# Two pieces may share this part of the phrase (a comma, a repeated word) before the second counts as a repetition.
TOLERATED_OVERLAP = 0.3


def squeeze(text: str) -> str:
    """Letters and digits only, upper case: what is left when spacing, case and punctuation do not count."""
    return "".join(character for character in text.upper() if character.isalnum())


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase squeezed to letters and digits, with the offsets where its tokens begin and end."""

    squeezed: str
    boundaries: frozenset[int]
    trigrams: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Phrase":
        """Squeeze `text`, remembering its token boundaries."""
        tokens = "".join(c if c.isalnum() else " " for c in text.upper()).split()
        boundaries = {0}
        for token in tokens:
            boundaries.add(max(boundaries) + len(token))
        squeezed = "".join(tokens)
        return cls(squeezed, frozenset(boundaries), trigrams(squeezed))

    def find(self, piece: str) -> range | None:
        """Where `piece` occurs in the phrase exactly; a short piece only as whole tokens."""
        start = self.squeezed.find(piece)
        while start >= 0:
            end = start + len(piece)
            if len(piece) >= SHORT_PIECE or (start in self.boundaries and end in self.boundaries):
                return range(start, end)
            start = self.squeezed.find(piece, start + 1)
        return None

    def find_roughly(self, piece: str) -> range | None:
        """Where `piece` occurs in the phrase with an edit distance of at most one in eight characters."""
        slips = len(piece) // CHARACTERS_PER_SLIP
        if not slips or len(trigrams(piece) & self.trigrams) < len(piece) / 3:
            return None
        distance, span = nearest_substring(piece, self.squeezed)
        return span if distance <= slips else None


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words of one line that occurs in the phrase at `span`."""

    line: int
    words: range
    span: range


def trigrams(text: str) -> frozenset[str]:
    """Every three characters in a row."""
    return frozenset(text[i : i + 3] for i in range(len(text) - 2))


def nearest_substring(piece: str, text: str) -> tuple[int, range]:
    """Edit distance from `piece` to the most similar substring of `text`, and where that stands (Sellers, 1980)."""
    row = [(0, start) for start in range(len(text) + 1)]
    for i, wanted in enumerate(piece, start=1):
        previous, row = row, [(i, 0)]
        for j, found in enumerate(text, start=1):
            substituted = (previous[j - 1][0] + (wanted != found), previous[j - 1][1])
            dropped = (previous[j][0] + 1, previous[j][1])
            added = (row[j - 1][0] + 1, row[j - 1][1])
            row.append(min(substituted, dropped, added))
    end = min(range(len(row)), key=lambda j: row[j][0])
    return row[end][0], range(row[end][1], end)


def pieces_of(line: int, words: Sequence[str], phrase: Phrase) -> Iterator[Piece]:
    """The longest runs of `words` that occur in the phrase, from left to right."""
    yield from _pieces_within(line, words, range(len(words)), phrase)


def _pieces_within(line: int, words: Sequence[str], within: range, phrase: Phrase) -> Iterator[Piece]:
    piece = _longest_piece(line, words, within, phrase)
    if piece is None:
        return
    yield from _pieces_within(line, words, range(within.start, piece.words.start), phrase)
    yield piece
    yield from _pieces_within(line, words, range(piece.words.stop, within.stop), phrase)


def _longest_piece(line: int, words: Sequence[str], within: range, phrase: Phrase) -> Piece | None:
    runs = [range(i, j) for i in within for j in range(i + 1, within.stop + 1)]
    texts = {run: "".join(words[k] for k in run) for run in runs}
    # A run that begins or ends with mere punctuation says no more than the run without it.
    runs = [run for run in runs if words[run[0]] and words[run[-1]]]
    runs.sort(key=lambda run: -len(texts[run]))
    for run in runs:
        span = phrase.find(texts[run]) or phrase.find_roughly(texts[run])
        if span:
            return Piece(line, run, span)
    return None


def regions(pieces: Sequence[Piece], lines: Sequence[DraftLine]) -> Iterator[list[Piece]]:
    """Group pieces, ordered from top to bottom, into blocks that stand close together."""
    region: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: (lines[piece.line].box[1], lines[piece.line].box[0])):
        if region and not _stands_close(lines[region[-1].line], lines[piece.line]):
            yield region
            region = []
        region.append(piece)
    if region:
        yield region


def _stands_close(above: DraftLine, below: DraftLine) -> bool:
    height = max(above.box[3] - above.box[1], below.box[3] - below.box[1])
    return below.box[1] - above.box[3] <= REGION_GAP_IN_HEIGHTS * height


def without_repetitions(region: Sequence[Piece]) -> tuple[list[Piece], int]:
    """The pieces that cover the phrase once, the longest first, and how many of its characters they cover."""
    covered: set[int] = set()
    kept = []
    for piece in sorted(region, key=lambda piece: -len(piece.span)):
        if len(covered.intersection(piece.span)) <= TOLERATED_OVERLAP * len(piece.span):
            covered.update(piece.span)
            kept.append(piece)
    return kept, len(covered)


def find_phrase(
    lines: Sequence[DraftLine], text: str, *, needed: float, taken: frozenset[Spot] = frozenset()
) -> frozenset[Spot]:
    """The words that spell `text`, or none where no region covers the part `needed` (0..1) of it.

    Of regions that cover equally much the uppermost wins. Words in `taken` are left alone.
    """
    phrase = Phrase.of(text)
    pieces = [
        piece
        for index, line in enumerate(lines)
        for piece in pieces_of(
            index,
            ["" if (index, k) in taken else squeeze(word.text) for k, word in enumerate(line.words)],
            phrase,
        )
    ]
    best, most_covered = [], 0
    for region in regions(pieces, lines):
        kept, covered = without_repetitions(region)
        if covered > most_covered:
            best, most_covered = kept, covered
    if not best or most_covered < needed * len(phrase.squeezed):
        return frozenset()
    return frozenset((piece.line, k) for piece in best for k in piece.words)
