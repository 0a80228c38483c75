"""Applies a model to whole receipts as the clients do: softmax, averaged over the windows of a word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from receipt_layoutlm.checkpoint import Arithmetic
from receipt_layoutlm.data.examples import Collator, EncodedPages, Example, padded_length

TOKEN_BUDGET = 2048
"""Tokens per forward pass, padding included: enough to keep the cores busy, and so few that a handful of
receipts needs little padding. Fixed, since sums in floating point depend on a batch's shape."""

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Forward = Callable[[Sequence[Example]], torch.Tensor]
"""Some windows to their logits [windows, at least as many tokens as the longest has, tags]."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of a model for pages.

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
    """Apply a torch model to pages.

    Args:
        model: a token classifier; left in evaluation mode.
        encoded: what to read, in all its windows.
        precision: arithmetic of the forward pass.
        on_batch: told batches done and batches in all.
    """
    model.eval()
    collate, dtype = Collator(encoded.pad_token_id), _DTYPES.get(precision)

    def forward(batch: Sequence[Example]) -> torch.Tensor:
        inputs = {name: tensor.to(model.device) for name, tensor in collate(batch).items()}
        del inputs["labels"]
        logits: torch.Tensor = model(**inputs).logits
        return logits

    # Around all batches: torch casts each weight once and keeps it until the end of this block, which it does
    # not do in its inference mode.
    with torch.no_grad(), torch.autocast(model.device.type, dtype=dtype, enabled=dtype is not None):
        return average_windows(
            forward, encoded, model.config.num_labels, batch_by_length(encoded.examples), on_batch
        )


def average_windows(
    forward: Forward,
    encoded: EncodedPages,
    num_labels: int,
    batches: Sequence[Sequence[Example]],
    on_batch: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Softmax the first sub-token of each word and average it over the windows that show the word.

    Where a model reads receipts in several units, over the windows of each unit, and then over the units.

    Args:
        forward: whatever computes logits: a torch model, or a saved program.
        encoded: what to read.
        num_labels: tags of the logits.
        batches: all windows of `encoded`, as they go through `forward` together.
        on_batch: told batches done and batches in all.
    """
    offsets = np.cumsum([0, *(len(page.texts) for page in encoded.pages)])
    units = 1 + max((example.unit for example in encoded.examples), default=0)
    sums = np.zeros((units, offsets[-1], num_labels))
    windows = np.zeros((units, offsets[-1], 1))
    losses = 0.0
    for done, batch in enumerate(batches, start=1):
        log_probabilities = _at_first_tokens(forward(batch), batch)
        words = np.concatenate([offsets[example.page] + np.array(example.words) for example in batch])
        unit = np.concatenate([np.full(len(example.words), example.unit) for example in batch])
        tags = np.concatenate([example.tags for example in batch])
        losses -= log_probabilities[np.arange(len(tags)), tags].sum()
        # Not `sums[words] +=`: a word may be in two windows of one batch.
        np.add.at(sums, (unit, words), np.exp(log_probabilities))
        np.add.at(windows, (unit, words), 1)
        if on_batch:
            on_batch(done, len(batches))
    supervised = sum(len(example.tags) for example in encoded.examples)
    means = (sums / windows).mean(axis=0)
    pages = tuple(means[start:end] for start, end in pairwise(offsets))
    return Predictions(pages, float(losses / max(supervised, 1)))


def batch_by_length(examples: Iterable[Example]) -> list[list[Example]]:
    """Windows of like length together, the longest first, each batch within TOKEN_BUDGET once it is padded.

    The sort is stable, so that the same windows always make the same batches.
    """
    batches: list[list[Example]] = []
    room = 0
    for example in sorted(examples, key=lambda example: -len(example.input_ids)):
        if not room:
            batches.append([])
            room = max(TOKEN_BUDGET // padded_length(len(example.input_ids)), 1)
        batches[-1].append(example)
        room -= 1
    return batches


def fastest_device() -> Literal["cuda", "mps", "cpu"]:
    """The device that the Trainer would use here, so that a checkpoint is scored as it was in training."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def fastest_arithmetic() -> Arithmetic:
    """The fastest arithmetic of a forward pass on this machine: bf16 where the hardware supports it."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "float32"


def _at_first_tokens(logits: torch.Tensor, batch: Sequence[Example]) -> npt.NDArray[np.float64]:
    """Log-probabilities [words of the batch, tags] at the first sub-token of each word."""
    rows = torch.tensor([row for row, example in enumerate(batch) for _ in example.firsts])
    columns = torch.tensor([first for example in batch for first in example.firsts])
    chosen = logits[rows.to(logits.device), columns.to(logits.device)]
    # On the CPU, since Apple's GPUs have no float64.
    log_probabilities: npt.NDArray[np.float64] = chosen.cpu().double().log_softmax(-1).numpy()
    return log_probabilities
