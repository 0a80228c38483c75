"""The one evaluation: what training records after an epoch is what anyone gets from the checkpoint later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from receipt_layoutlm.checkpoint import Arithmetic, load_model, load_tokenizer, read_run_facts
from receipt_layoutlm.data.examples import EncodedPages, Encoder
from receipt_layoutlm.data.pages import lay_out_all
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.errors import CheckpointError
from receipt_layoutlm.evaluation.predict import predict_pages
from receipt_layoutlm.evaluation.scores import Scores, score_tags
from receipt_layoutlm.labels import LabelSet


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Receipts to score on, encoded once for all epochs."""

    labels: LabelSet
    encoded: EncodedPages

    @classmethod
    def encode(cls, receipts: Sequence[Receipt], labels: LabelSet, encoder: Encoder) -> HeldOut:
        """Lay out and encode receipts."""
        return cls(labels, encoder.encode(lay_out_all(receipts, labels)))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a model on receipts, its loss there, and per page the tag probabilities [words, tags]."""

    scores: Scores
    loss: float
    probabilities: tuple[npt.NDArray[np.float64], ...]


def evaluate(
    model: Any,
    held_out: HeldOut,
    precision: Arithmetic = "float32",
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model on held-out receipts; arguments as for `predict_pages`."""
    said = predict_pages(model, held_out.encoded, precision, on_batch)
    scores = score_tags(held_out.labels, [page.tags for page in held_out.encoded.pages], said.tags)
    return Evaluation(scores, said.loss, said.probabilities)


def evaluate_checkpoint(folder: Path, receipts: Sequence[Receipt]) -> Evaluation:
    """Score a checkpoint of this package on receipts, with the labels and windows that it was trained with.

    Raises:
        CheckpointError: the folder is no whole checkpoint of this package.
    """
    facts = read_run_facts(folder)
    if facts is None:
        raise CheckpointError(f"{folder} does not say how it was trained. Use a checkpoint of this package.")
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    encoder = Encoder(tokenizer, facts.max_seq_length, facts.window_size, facts.window_stride)
    return evaluate(model, HeldOut.encode(receipts, facts.labels, encoder), facts.precision)
