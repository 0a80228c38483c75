"""Cases for the app's own tests: words and boxes, the inputs they become, the logits and labels to expect."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from messages.fields import Message
from receipt_layoutlm.checkpoint import build_tokenizer
from receipt_layoutlm.coreml.checkpoint import Checkpoint
from receipt_layoutlm.coreml.evaluator import Program
from receipt_layoutlm.coreml.manifest import BundleForm, read_document
from receipt_layoutlm.data.draft import DraftReceipt
from receipt_layoutlm.data.examples import Encoder, Example
from receipt_layoutlm.data.geometry import ModelBox, hull, normalise_boxes, reading_order
from receipt_layoutlm.data.pages import Page
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.data.store import image_id_of, place
from receipt_layoutlm.data.synthetic import generate
from receipt_layoutlm.labels import OUTSIDE_ID

GOLDEN = "golden"
CASES = 5
PADDED = "padded"
# What the clients do, whatever the training did.
_WINDOW_WORDS = 200
_WINDOW_STRIDE = 150
_SEED = 5
_EXACT = 1e-4
_SHARE = 0.005
"""Of the greatest logit: what float16 may cost. Every case is held to it alone."""
_NO_BOX: ModelBox = (0, 0, 0, 0)

Long = Annotated[str, Field(max_length=10_000_000)]


class Array(Message):
    """Numbers in little-endian order, row by row, in base64."""

    type: Literal["float32"] = "float32"
    shape: tuple[int, ...]
    base64: Long

    @classmethod
    def pack(cls, values: npt.NDArray[np.float32]) -> Array:
        """Write an array down."""
        return cls(shape=values.shape, base64=base64.b64encode(values.astype("<f4").tobytes()).decode())

    def unpack(self) -> npt.NDArray[np.float32]:
        """The array again."""
        return np.frombuffer(base64.b64decode(self.base64), "<f4").reshape(self.shape)

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        self.unpack()
        return self


class GoldenCase(Message):
    """One call of the model.

    Attributes:
        name: the file's name without its suffix.
        words, boxes: in reading order; boxes in 0..1000.
        input_ids, attention_mask, token_type_ids, bbox: the call's inputs, padding included.
        first_tokens: position of each word's first sub-token.
        logits: [tokens that are no padding, labels].
        labels: of each word, the greatest logit of its first sub-token.
        tolerance: how far any logit of the package may be off, absolute.
    """

    schema_version: Literal[1] = 1
    name: str
    words: tuple[str, ...]
    boxes: tuple[ModelBox, ...]
    input_ids: tuple[int, ...]
    attention_mask: tuple[int, ...]
    token_type_ids: tuple[int, ...]
    bbox: tuple[ModelBox, ...]
    first_tokens: tuple[int, ...]
    logits: Array
    labels: tuple[str, ...]
    tolerance: float

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        words = {len(self.words), len(self.boxes), len(self.first_tokens), len(self.labels)}
        tokens = {len(one) for one in (self.input_ids, self.attention_mask, self.token_type_ids, self.bbox)}
        if len(words) > 1 or len(tokens) > 1 or self.logits.shape[0] != sum(self.attention_mask):
            raise ValueError("the case has not one entry for each word and each token")
        return self


def write_golden(
    folder: Path,
    checkpoint: Checkpoint,
    form: BundleForm,
    program: Program,
    receipts: Sequence[Receipt] = (),
) -> None:
    """Write five receipts' first windows and the shortest of them once more, padded to the greatest length.

    Args:
        folder: the bundle; the cases go to a folder of their own in it.
        checkpoint: whose vocabulary and labels count.
        form: weights and lengths of the package.
        program: the saved package. Its logits are taken before rounding: a phone rounds each number in its
            own way.
        receipts: real ones; the first by key are taken, and synthetic ones where there are too few.
    """
    windows = _choose_windows(checkpoint, form.shapes.longest, receipts)
    shortest = min(windows, key=lambda window: window.tokens)
    plan = [(f"case-{number}", one, form.shapes.fit(one.tokens)) for number, one in enumerate(windows, 1)]
    (folder / GOLDEN).mkdir()
    for name, window, length in [*plan, (PADDED, shortest, form.shapes.longest)]:
        inputs = window.pad(length, checkpoint.vocabulary.index("[PAD]"))
        logits = program.predict(**{key: np.array([value]) for key, value in inputs.items()}, rounded=False)
        case = _describe_case(name, window, inputs, logits[0, : window.tokens].numpy(), checkpoint, form)
        text = case.model_dump_json() + "\n"
        (folder / GOLDEN / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")


def read_golden(folder: Path) -> list[GoldenCase]:
    """The cases of a bundle, by name.

    Raises:
        BundleError: one is of another form, or contradicts itself.
    """
    return [read_document(path, GoldenCase) for path in sorted((folder / GOLDEN).glob("*.json"))]


@dataclass(frozen=True, slots=True)
class _Window:
    """The first window of a receipt."""

    page: Page
    example: Example

    @property
    def tokens(self) -> int:
        """Its length without padding."""
        return len(self.example.input_ids)

    def pad(self, length: int, pad_id: int) -> dict[str, tuple[Any, ...]]:
        """The four inputs of this length, by name."""
        padding = length - self.tokens
        return {
            "input_ids": (*self.example.input_ids, *[pad_id] * padding),
            "attention_mask": (1,) * self.tokens + (0,) * padding,
            "token_type_ids": (0,) * length,
            "bbox": (*self.example.boxes, *[_NO_BOX] * padding),
        }


def _choose_windows(checkpoint: Checkpoint, longest: int, receipts: Sequence[Receipt]) -> list[_Window]:
    lowercase = bool(checkpoint.tokenizer_config.get("do_lower_case", True))
    tokenizer = build_tokenizer(list(checkpoint.vocabulary), lowercase=lowercase)
    real = sorted((receipt for receipt in receipts if receipt.words), key=lambda receipt: receipt.key)
    pages = [_lay_out(receipt) for receipt in islice(chain(real, _make_up()), CASES)]
    encoded = Encoder(tokenizer, longest, _WINDOW_WORDS, _WINDOW_STRIDE).encode(pages)
    first = {example.page: example for example in reversed(encoded.examples)}
    return [_Window(page, first[number]) for number, page in enumerate(encoded.pages)]


def _lay_out(receipt: Receipt) -> Page:
    boxes = normalise_boxes([word.box for word in receipt.words])
    order = reading_order(receipt.words, boxes)
    texts = tuple(receipt.words[index].text for index in order)
    tags = (OUTSIDE_ID,) * len(order)  # what is true does not matter here, only what the model says
    return Page(receipt.key, texts, tuple(boxes[index] for index in order), tags, tuple(order))


def _make_up() -> Iterator[Receipt]:
    return (_as_receipt(draft) for draft in generate(CASES, _SEED))


def _as_receipt(draft: DraftReceipt) -> Receipt:
    words = []
    for line_id, line in enumerate(draft.lines, start=1):
        for word_id, word in enumerate(line.words, start=1):
            at = place(draft, word)
            corners = (at["top_left"], at["top_right"], at["bottom_left"], at["bottom_right"])
            words.append(Word(line_id, word_id, word.text, hull((one["x"], one["y"]) for one in corners)))
    return Receipt(image_id_of(draft), 1, tuple(words))


def _describe_case(  # noqa: PLR0913, PLR0917 - the parts of a case
    name: str,
    window: _Window,
    inputs: Mapping[str, tuple[Any, ...]],
    logits: npt.NDArray[np.float32],
    checkpoint: Checkpoint,
    form: BundleForm,
) -> GoldenCase:
    example, labels = window.example, checkpoint.config.labels
    words = slice(example.start, example.start + len(example.firsts))
    return GoldenCase(
        name=name,
        words=window.page.texts[words],
        boxes=window.page.boxes[words],
        **inputs,
        first_tokens=tuple(example.firsts),
        logits=Array.pack(logits),
        labels=tuple(labels[int(logits[first].argmax())] for first in example.firsts),
        tolerance=_EXACT if form.quantize is None else _SHARE * max(1.0, float(np.abs(logits).max())),
    )
