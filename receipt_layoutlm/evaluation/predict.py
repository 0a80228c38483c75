"""Applies a model to whole receipts as the clients do: softmax, averaged over the windows of a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from receipt_layoutlm.checkpoint import Arithmetic
from receipt_layoutlm.data.examples import Collator, EncodedPages, Example

EVALUATION_BATCH = 16
"""Windows per forward pass. Fixed, since sums in floating point depend on what a batch is padded to."""

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says about pages.

    Attributes:
        probabilities: for each page, float64 [words, tags] in reading order.
        loss: mean cross-entropy of all supervised tokens of all windows, without smoothing, in nats.
    """

    probabilities: tuple[npt.NDArray[np.float64], ...]
    loss: float

    @property
    def tags(self) -> list[list[int]]:
        """The most probable tag id of each word, page by page."""
        return [page.argmax(axis=1).tolist() for page in self.probabilities]


def predict_pages(
    model: Any,
    encoded: EncodedPages,
    precision: Arithmetic = "float32",
    on_batch: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Apply a model to pages.

    Args:
        model: a token classifier; left in evaluation mode.
        encoded: what to read, in all its windows.
        precision: arithmetic of the forward pass.
        on_batch: told batches done and batches in all.
    """
    offsets = np.cumsum([0, *(len(page.texts) for page in encoded.pages)])
    sums = np.zeros((offsets[-1], model.config.num_labels))
    windows = np.zeros((offsets[-1], 1))
    losses = 0.0
    model.eval()
    batches = list(_batches(encoded.examples))
    for done, batch in enumerate(batches, start=1):
        log_probabilities = _forward(model, batch, encoded.pad_token_id, precision)
        words = np.concatenate([_word_indexes(example, offsets) for example in batch])
        tags = np.concatenate([example.tags for example in batch])
        losses -= log_probabilities[np.arange(len(tags)), tags].sum()
        # Not `sums[words] +=`: a word may be in two windows of one batch.
        np.add.at(sums, words, np.exp(log_probabilities))
        np.add.at(windows, words, 1)
        if on_batch:
            on_batch(done, len(batches))
    supervised = sum(len(example.tags) for example in encoded.examples)
    return Predictions(tuple(np.split(sums / windows, offsets[1:-1])), float(losses / max(supervised, 1)))


@torch.inference_mode()
def _forward(
    model: Any, batch: Sequence[Example], pad_token_id: int, precision: Arithmetic
) -> npt.NDArray[np.float64]:
    """Log-probabilities [words of the batch, tags] at the first sub-token of each word."""
    inputs = {
        name: tensor.to(model.device)
        for name, tensor in Collator(pad_token_id)(batch).items()
        if name != "labels"
    }
    dtype = _DTYPES.get(precision)
    with torch.autocast(model.device.type, dtype=dtype, enabled=dtype is not None):
        logits = model(**inputs).logits
    rows = torch.tensor([row for row, example in enumerate(batch) for _ in example.firsts])
    columns = torch.tensor([first for example in batch for first in example.firsts])
    chosen = logits[rows.to(logits.device), columns.to(logits.device)]
    log_probabilities: npt.NDArray[np.float64] = chosen.double().log_softmax(-1).cpu().numpy()
    return log_probabilities


def _batches(examples: Sequence[Example]) -> Iterator[list[Example]]:
    # Neighbours in length share a batch, so that little of it is padding; the sort is stable.
    ordered = sorted(examples, key=lambda example: -len(example.input_ids))
    for start in range(0, len(ordered), EVALUATION_BATCH):
        yield ordered[start : start + EVALUATION_BATCH]


def _word_indexes(example: Example, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    first = int(offsets[example.page]) + example.start
    return np.arange(first, first + len(example.tags))
