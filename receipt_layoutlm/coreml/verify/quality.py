"""Gate 5, quality: on validation receipts of the run, the package labels words as the checkpoint does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from messages.export_options import Quantize, Shapes
from receipt_layoutlm.checkpoint import RunFacts, build_tokenizer
from receipt_layoutlm.coreml.evaluator import Program
from receipt_layoutlm.coreml.model import INPUT_NAMES, ExportableLayoutLM
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint
from receipt_layoutlm.coreml.verify.arithmetic import Extremes, run_finite
from receipt_layoutlm.coreml.verify.verification_json import Gate, Number, require
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import Collator, EncodedPages, Example
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.errors import BundleError
from receipt_layoutlm.evaluation.entity_scores import score_tags
from receipt_layoutlm.evaluation.predict import Predictions, average_windows, predict_pages
from run_records.labels import LabelSet

WORK = 4e11
"""Weights times tokens that are evaluated at most: 4,700 tokens of a base-size model, about 20 receipts, so
that an export keeps to its time. Of small models it is every receipt of a run."""
_ADVICE = "Export in a format with more bits."


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """The quality limits of a weight format.

    Attributes:
        agreement: least share of words with the same label.
        drop: largest loss of F1, in points.
        warns: whether too little agreement is only a warning.
    """

    agreement: float
    drop: float
    warns: bool = False


LIMITS: Mapping[Quantize, QualityLimits] = {
    None: QualityLimits(0.999, 0.2),
    "float16": QualityLimits(0.999, 0.2),
    "int8": QualityLimits(0.995, 0.5),
    "int4": QualityLimits(0.99, 2.0, warns=True),
}


@dataclass(frozen=True, slots=True)
class Validation:
    """Labelled receipts that a run has not trained on.

    Attributes:
        receipts: those that are at hand.
        total: how many the run has.
        why_none: why none is at hand, where that is so.
    """

    receipts: Sequence[Receipt] = ()
    total: int = 0
    why_none: str = "no validation receipts were handed in"


def check_quality(  # noqa: PLR0913 - the package's format and shapes, and where receipts come from
    program: Program,
    checkpoint: Checkpoint,
    validation: Validation,
    extremes: Extremes,
    *,
    quantize: Quantize,
    shapes: Shapes,
    trained: bool,
) -> Gate:
    """Label receipts with checkpoint and package, and compare.

    One word says nothing: of fewer than a thousand it is more than a thousandth. So the limits count from the
    second word that differs.

    Raises:
        BundleError: too many words have another label, or too much of F1 is lost.
    """
    run = checkpoint.run
    if not validation.receipts or run is None:
        why = "the checkpoint does not say how it was trained" if validation.receipts else validation.why_none
        return Gate(name="quality", passed=None, sentence=f"Not run: {why}.")
    if list(run.label_list) != checkpoint.config.labels:
        raise BundleError("The checkpoint's documents name different labels. Export another checkpoint.")
    encoded = _encode(checkpoint, run, validation.receipts, shapes.longest)
    expected = predict_pages(checkpoint.model, encoded)
    said = _predict(program, encoded, len(run.label_list), shapes, extremes)
    limits = LIMITS[quantize]
    agreement, drop, different = _compare(run.labels, encoded, expected, said, limits)
    gated = trained and different > 1
    if gated and not limits.warns:
        require(agreement, _ADVICE)
    if gated:
        require(drop, _ADVICE)
    warned = trained and not (agreement.holds and drop.holds)
    total = max(validation.total, len(validation.receipts))
    return Gate(
        name="quality",
        warned=warned,
        numbers=(agreement, drop, Number(name="receipts", value=len(encoded.pages))),
        sentence=f"On {len(encoded.pages)} of {total} validation receipts, {different} words get another "
        f"label than the checkpoint gives{'.' if trained else '; not gated, for the weights are untrained.'}",
    )


def _encode(checkpoint: Checkpoint, run: RunFacts, receipts: Sequence[Receipt], longest: int) -> EncodedPages:
    """Encode whole receipts in the order of their keys, as many as WORK allows; at least one."""
    lowercase = checkpoint.tokenizer_config.get("do_lower_case", True)
    tokenizer = build_tokenizer(list(checkpoint.vocabulary), lowercase=lowercase)
    encoder = Encoder.of(tokenizer, run, longest)
    pages = lay_out_all(sorted(receipts, key=lambda receipt: receipt.key), run.labels)
    everything = encoder.encode(pages)
    tokens = [0] * len(pages)
    for example in everything.examples:
        tokens[example.page] += len(example.input_ids)
    weights = sum(
        parameter.numel() for parameter in ExportableLayoutLM(checkpoint.model).encoder.parameters()
    )
    kept = sum(sofar * weights <= WORK for sofar in accumulate(tokens))
    return encoder.encode(pages[: max(kept, 1)])


def _predict(
    program: Program, encoded: EncodedPages, num_labels: int, shapes: Shapes, extremes: Extremes
) -> Predictions:
    """Probabilities as the clients make them: one window at a time, of a length that the shapes allow."""
    collate = Collator(encoded.pad_token_id)

    def forward(batch: Sequence[Example]) -> torch.Tensor:
        example = batch[0]
        inputs = collate(batch, length=shapes.fit(len(example.input_ids)))
        where = f"validation receipt {encoded.pages[example.page].key}"
        return run_finite(program, [inputs[name] for name in INPUT_NAMES], where, extremes)

    return average_windows(forward, encoded, num_labels, [[example] for example in encoded.examples])


def _compare(
    labels: LabelSet, encoded: EncodedPages, expected: Predictions, said: Predictions, limits: QualityLimits
) -> tuple[Number, Number, int]:
    """Agreement, loss of F1, and how many words differ."""
    pairs = [
        pair
        for ours, theirs in zip(said.tags, expected.tags, strict=True)
        for pair in zip(ours, theirs, strict=True)
    ]
    different = sum(ours != theirs for ours, theirs in pairs)
    gold = [page.tags for page in encoded.pages]
    f1, package_f1 = (score_tags(labels, gold, one.tags).f1 for one in (expected, said))
    where = f"{len(pairs)} words of {len(encoded.pages)} receipts"
    agreement = Number(
        name="share of words with the same label",
        value=round(1 - different / max(len(pairs), 1), 6),
        at_least=limits.agreement,
        at=where,
    )
    drop = Number(
        name="loss of F1 in points", value=round(100 * (f1 - package_f1), 3), at_most=limits.drop, at=where
    )
    return agreement, drop, different
