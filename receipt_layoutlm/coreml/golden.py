"""Golden cases for the app's own tests: words and boxes, model inputs, expected logits and labels."""

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
from receipt_layoutlm.coreml.evaluator import Program
from receipt_layoutlm.coreml.manifest import BundleForm, read_document
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import Example
from receipt_layoutlm.data.page_layout import ModelBox, PageLayout, lay_out
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.synthetic import generate
from receipt_layoutlm.data.table_writer import receipt_of
from run_records.labels import NO_LABELS

GOLDEN = "golden"
CASES = 5
PADDED = "padded"
_SEED = 5
_EXACT = 1e-4
_SHARE = 0.005
"""Tolerance of float16, as a share of the largest logit. Each case must meet it by itself."""
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

    page: PageLayout
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
    pages = [lay_out(receipt, NO_LABELS) for receipt in islice(chain(real, _make_up()), CASES)]
    encoded = Encoder.as_clients(tokenizer, longest).encode(pages)
    first = {example.page: example for example in reversed(encoded.examples)}
    return [_Window(page, first[number]) for number, page in enumerate(encoded.pages)]


def _make_up() -> Iterator[Receipt]:
    return (receipt_of(draft) for draft in generate(CASES, _SEED))


def _describe_case(  # noqa: PLR0913, PLR0917 - the parts of a case
    name: str,
    window: _Window,
    inputs: Mapping[str, tuple[Any, ...]],
    logits: npt.NDArray[np.float32],
    checkpoint: Checkpoint,
    form: BundleForm,
) -> GoldenCase:
    example, labels = window.example, checkpoint.config.labels
    page = window.page
    return GoldenCase(
        name=name,
        words=tuple(page.texts[word] for word in example.words),
        boxes=tuple(page.boxes[word] for word in example.words),
        **inputs,
        first_tokens=tuple(example.firsts),
        logits=Array.pack(logits),
        labels=tuple(labels[int(logits[first].argmax())] for first in example.firsts),
        tolerance=_EXACT if form.quantize is None else _SHARE * max(1.0, float(np.abs(logits).max())),
    )
