"""Encodes windows as model inputs, with a cache of tokenised words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from messages.export_options import MAX_TOKENS
from messages.options.encoding import Boxes, EncodingOptions, Positions
from receipt_layoutlm.data.examples import EncodedPages, Example, Window
from receipt_layoutlm.data.page_layout import ModelBox, PageLayout, merge_boxes
from receipt_layoutlm.data.windows import cut_page, units_of

_MOST_WORDS = 200_000
"""Words in the cache at a time; bounded, because augmentation keeps producing new ones."""


class WordTokens:
    """A tokenizer with a cache of words.

    Attributes:
        tokenizer: a BERT WordPiece tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def of(self, texts: Sequence[str]) -> list[list[int]]:
        """Sub-tokens of each word, at least one."""
        if len(self._known) > _MOST_WORDS:
            self._known.clear()
        new = sorted({text for text in texts if text not in self._known})
        if new:
            self._known.update(zip(new, self._tokenise(new), strict=True))
        return [self._known[text] for text in texts]

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        # Special ones are split: "[SEP]" printed on a receipt is five characters, as with the clients.
        encoded = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        # A word of control characters has no sub-token; as unknown it keeps its place and its tag.
        return [ids or [self.tokenizer.unk_token_id] for ids in encoded]


SPECIAL_TOKENS = 2
CLIENT_WINDOW = 200
CLIENT_STRIDE = 150
_NO_BOX: ModelBox = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Passage:
    """The words of one example as they are read, one entry a word each."""

    texts: Sequence[str]
    boxes: Sequence[ModelBox]
    tags: Sequence[int]
    lines: Sequence[int]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes pages as examples.

    Attributes:
        tokenizer: a BERT WordPiece tokenizer.
        max_seq_length: tokens per example with special ones.
        window_size, window_stride: words, of the unit `receipt`.
        example_unit: `receipt`, `line`, `lines:K`, or several with commas.
        positions: whether token positions count through an example or begin anew with each line.
        boxes: whether a token carries the box of its word or of its line.
        line_separators: whether [SEP] stands between lines.
    """

    tokenizer: Any
    max_seq_length: int
    window_size: int
    window_stride: int
    example_unit: str = "receipt"
    positions: Positions = "global"
    boxes: Boxes = "word"
    line_separators: bool = False
    words: WordTokens = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", WordTokens(self.tokenizer))

    @classmethod
    def of(cls, tokenizer: Any, encoding: EncodingOptions, longest: int | None = None) -> Encoder:
        """As a request asks, or a checkpoint was trained; `longest` tokens at most."""
        return cls(
            tokenizer,
            min(encoding.max_seq_length, longest or encoding.max_seq_length),
            encoding.window_size,
            encoding.window_stride,
            encoding.example_unit,
            encoding.positions,
            encoding.boxes,
            encoding.line_separators,
        )

    @classmethod
    def as_clients(cls, tokenizer: Any, longest: int = MAX_TOKENS) -> Encoder:
        """The encoding of the clients in the field, whatever the training used."""
        return cls(tokenizer, longest, CLIENT_WINDOW, CLIENT_STRIDE)

    def encode(self, pages: Sequence[PageLayout]) -> EncodedPages:
        """Every example of every page, page by page; no word is lost."""
        examples = [self.encode_cut(pages[cut.page], cut) for cut in self.cut(pages)]
        return EncodedPages(tuple(pages), tuple(examples), self.tokenizer.pad_token_id)

    def cut(self, pages: Sequence[PageLayout]) -> list[Window]:
        """Cut pages into windows: the words of each example, in the order of the pages."""
        return [cut for index, page in enumerate(pages) for cut in self._cut_page(index, page)]

    def encode_cut(self, page: PageLayout, cut: Window) -> Example:
        """One example of a page."""
        return self.encode_passage(self.read(page, cut), cut)

    def read(self, page: PageLayout, cut: Window) -> Passage:
        """The words that an example has."""
        boxes = merge_boxes(page.lines, page.boxes) if self.boxes == "segment" else page.boxes
        return Passage(
            [page.texts[word] for word in cut.words],
            [boxes[word] for word in cut.words],
            cut.tags,
            [page.lines[word] for word in cut.words],
        )

    def encode_passage(self, passage: Passage, cut: Window) -> Example:
        """One example of words that are at hand; words that no longer fit are left out from the end."""
        ids, boxes, positions = [self.tokenizer.cls_token_id], [_NO_BOX], [0]
        firsts: list[int] = []
        previous: int | None = None
        for piece, box, line in zip(self.words.of(passage.texts), passage.boxes, passage.lines, strict=True):
            separated = self.line_separators and previous not in {None, line}
            room = self.max_seq_length - len(ids) - 1 - separated
            if room < 1 or (room < len(piece) and firsts):
                break
            if separated:
                ids.append(self.tokenizer.sep_token_id)
                boxes.append(_NO_BOX)
                positions.append(positions[-1] + 1)
            begins = 1 if self.positions == "line_local" and line != previous else positions[-1] + 1
            firsts.append(len(ids))
            ids.extend(piece[:room])
            boxes.extend([box] * len(piece[:room]))
            positions.extend(range(begins, begins + len(piece[:room])))
            previous = line
        ids.append(self.tokenizer.sep_token_id)
        boxes.append(_NO_BOX)
        positions.append(positions[-1] + 1)
        own = positions if self.positions == "line_local" else None
        kept = len(firsts)
        return Example(
            cut.page, cut.unit, cut.words[:kept], list(passage.tags[:kept]), ids, boxes, firsts, own
        )

    def _cut_page(self, index: int, page: PageLayout) -> Iterator[Window]:
        counts = [len(piece) for piece in self.words.of(page.texts)]
        if self.line_separators:
            # A separator may stand before any word, since units read the words in different orders.
            counts = [count + 1 for count in counts]
        for number, unit in enumerate(units_of(self.example_unit)):
            for words in cut_page(
                page,
                counts,
                unit,
                size=self.window_size,
                stride=self.window_stride,
                max_tokens=self.max_seq_length - SPECIAL_TOKENS,
            ):
                yield Window(index, number, words, [page.tags[word] for word in words])
