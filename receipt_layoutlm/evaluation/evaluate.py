"""The one evaluation: scores after an epoch of training equal later scores of the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from receipt_layoutlm.checkpoint import Arithmetic
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import EncodedPages
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.evaluation.bootstrap import f1_interval
from receipt_layoutlm.evaluation.decoding import decode_constrained
from receipt_layoutlm.evaluation.entity_scores import (
    EntityCounts,
    Scores,
    confuse,
    count_entities,
    score_counts,
    score_tags,
)
from receipt_layoutlm.evaluation.predict import Predictions, fastest_device, predict_pages
from receipt_layoutlm.model_folder import load_model, open_checkpoint
from receipt_layoutlm.tag_transitions import Transitions
from run_records.errors import CheckpointError
from run_records.labels import LabelSet
from run_records.scores import Confusion, Interval, MerchantScores

Seen = Sequence[bool | None]
"""For each receipt whether training has its merchant, None where unknown; empty: unknown for all."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Receipts to score on, encoded once for all epochs."""

    labels: LabelSet
    encoded: EncodedPages
    seen: Seen = ()
    transitions: Transitions | None = None

    @classmethod
    def encode(
        cls,
        receipts: Sequence[Receipt],
        labels: LabelSet,
        encoder: Encoder,
        seen: Seen = (),
        transitions: Transitions | None = None,
    ) -> HeldOut:
        """Lay out and encode receipts; `transitions` are those that training has counted."""
        return cls(labels, encoder.encode(lay_out_all(receipts, labels)), seen, transitions)

    @property
    def gold(self) -> list[tuple[int, ...]]:
        """True tag ids, receipt by receipt."""
        return [page.tags for page in self.encoded.pages]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of a model on receipts.

    Attributes:
        scores: of each word's own best tag, which is what the clients show.
        constrained: of the best sequence of tags that BIO allows.
        loss: mean cross-entropy, in nats.
        interval: of `scores.f1`, over receipts.
        by_merchant: scores of `seen` and `unseen` merchants; without those of whom there is no receipt.
        confusion: words by true label and predicted label.
        counts, constrained_counts: what the scores come from, to compare models on the same receipts.
        probabilities: per page [words, tags].
        constrained_tags: per page, of the best sequence.
        seconds: time of the model for all receipts.
    """

    scores: Scores
    constrained: Scores
    loss: float
    interval: Interval
    by_merchant: dict[str, MerchantScores]
    confusion: Confusion
    counts: EntityCounts
    constrained_counts: EntityCounts
    probabilities: tuple[npt.NDArray[np.float64], ...]
    constrained_tags: tuple[list[int], ...]
    seconds: float


def evaluate(
    model: Any,
    held_out: HeldOut,
    precision: Arithmetic = "float32",
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model on held-out receipts; arguments as for `predict_pages`."""
    started = time.perf_counter()
    said = predict_pages(model, held_out.encoded, precision, on_batch)
    return assess(held_out, said, time.perf_counter() - started)


def assess(held_out: HeldOut, said: Predictions, seconds: float = 0.0) -> Evaluation:
    """Score what a model said about held-out receipts, in so many seconds."""
    labels, gold, plain = held_out.labels, held_out.gold, said.tags
    constrained = [
        decode_constrained(probabilities, labels.tags, held_out.transitions, page.lines)
        for probabilities, page in zip(said.probabilities, held_out.encoded.pages, strict=True)
    ]
    counts, constrained_counts = (count_entities(labels, gold, tags) for tags in (plain, constrained))
    return Evaluation(
        scores=score_tags(labels, gold, plain, counts),
        constrained=score_tags(labels, gold, constrained, constrained_counts),
        loss=said.loss,
        interval=f1_interval(counts),
        by_merchant=_score_merchants(held_out.seen, counts, constrained_counts),
        confusion=confuse(labels, gold, plain),
        counts=counts,
        constrained_counts=constrained_counts,
        probabilities=said.probabilities,
        constrained_tags=tuple(constrained),
        seconds=seconds,
    )


def evaluate_checkpoint(
    folder: Path,
    receipts: Sequence[Receipt],
    seen: Seen = (),
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a checkpoint of this package on receipts, with labels, examples and arithmetic of its training.

    Raises:
        CheckpointError: the folder is no whole checkpoint of this package.
    """
    opened = open_checkpoint(folder)
    facts = opened.run
    if facts is None:
        raise CheckpointError(f"{folder} does not say how it was trained. Use a checkpoint of this package.")
    model = load_model(opened).to(fastest_device())
    encoder = Encoder.of(opened.load_tokenizer(), facts, opened.config.max_position_embeddings)
    held_out = HeldOut.encode(receipts, facts.labels, encoder, seen, facts.transitions)
    return evaluate(model, held_out, facts.precision, on_batch)


def _score_merchants(
    seen: Seen, counts: EntityCounts, constrained: EntityCounts
) -> dict[str, MerchantScores]:
    found = {}
    for name, wanted in (("seen", True), ("unseen", False)):
        receipts = [index for index, known in enumerate(seen) if known is wanted]
        if receipts:
            scores = score_counts(counts.of(receipts).total)
            found[name] = MerchantScores(
                receipts=len(receipts),
                **scores.model_dump(),
                f1_constrained=score_counts(constrained.of(receipts).total).f1,
            )
    return found
