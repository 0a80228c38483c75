"""Finds a phrase (a company, an address) on a receipt, however it was spaced, cased or broken into lines.

The phrase is looked for piece by piece: a line may hold runs of words that occur in the phrase. Pieces that
stand close together form a region, and the region that covers most of the phrase wins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from receipt_layoutlm.data.receipt_draft import DraftLine

Spot = tuple[int, int]
"""Index of the line and of the word in it."""

# A piece this short ("27", "NO 8") occurs in a phrase by chance, so it must match whole tokens of the phrase.
SHORT_PIECE = 6
# A piece this long may stand in a line of other words; a shorter one ("UTAMA") must be half of its line.
TELLING_PIECE = 10
# One wrong character in eight is an OCR slip; more is another text.
CHARACTERS_PER_SLIP = 8
# Pieces further apart than this many line heights belong to different blocks of print.
REGION_GAP_IN_HEIGHTS = 2.5
# Two pieces may share this part of the phrase before the second counts as a repetition of the first.
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

    def find(self, piece: str) -> tuple[range, ...]:
        """Every place where `piece` stands in the phrase exactly, or else one where it nearly does."""
        return self._places(piece) or self._rough_place(piece)

    def _places(self, piece: str) -> tuple[range, ...]:
        length = len(piece)
        starts = (i for i in range(len(self.squeezed)) if self.squeezed.startswith(piece, i))
        return tuple(
            range(i, i + length)
            for i in starts
            if length >= SHORT_PIECE or (i in self.boundaries and i + length in self.boundaries)
        )

    def _rough_place(self, piece: str) -> tuple[range, ...]:
        slips = len(piece) // CHARACTERS_PER_SLIP
        if not slips or len(trigrams(piece) & self.trigrams) < len(piece) / 3:
            return ()
        distance, place = nearest_substring(piece, self.squeezed)
        return (place,) if distance <= slips else ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words of one line that occurs in the phrase at each of `places`."""

    line: int
    words: range
    places: tuple[range, ...]

    def __len__(self) -> int:
        return len(self.places[0])


def trigrams(text: str) -> frozenset[str]:
    """Every three characters in a row."""
    return frozenset(text[i : i + 3] for i in range(len(text) - 2))


def nearest_substring(piece: str, text: str) -> tuple[int, range]:
    """Edit distance from `piece` to the most similar part of `text`, and where that is (Sellers, 1980)."""
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
    """The runs of squeezed words that occur in the phrase: the longest, and beside it long others."""
    longest = _longest_piece(line, words, range(len(words)), phrase)
    if longest is None or len(longest) < min(TELLING_PIECE, len("".join(words)) / 2):
        return
    yield longest
    sides = [range(longest.words.start), range(longest.words.stop, len(words))]
    while sides:
        side = sides.pop()
        piece = _longest_piece(line, words, side, phrase)
        if piece and len(piece) >= SHORT_PIECE:
            yield piece
            sides += [range(side.start, piece.words.start), range(piece.words.stop, side.stop)]


def _longest_piece(line: int, words: Sequence[str], within: range, phrase: Phrase) -> Piece | None:
    runs = [range(i, j) for i in within for j in range(i + 1, within.stop + 1)]
    # A run that begins or ends with mere punctuation says no more than the run without it.
    runs = [run for run in runs if words[run[0]] and words[run[-1]]]
    texts = {run: "".join(words[k] for k in run) for run in runs}
    for run in sorted(runs, key=lambda run: -len(texts[run])):
        places = phrase.find(texts[run])
        if places:
            return Piece(line, run, places)
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
    for piece in sorted(region, key=lambda piece: -len(piece)):
        allowed = TOLERATED_OVERLAP * len(piece)
        free = next((place for place in piece.places if len(covered.intersection(place)) <= allowed), None)
        if free:
            covered.update(free)
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
