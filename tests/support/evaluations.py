"""Evaluations of a made-up run: an F1 that rises to about 0.9, labels that are harder the rarer they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from receipt_dynamo.clock import write_time
from run_records.epoch_record import EpochFacts, LabelFacts, MerchantFacts
from run_records.scores import Interval

LABELS = ("MERCHANT_NAME", "ADDRESS_LINE", "DATE", "TIME", "PRODUCT_NAME", "LINE_TOTAL", "TAX", "GRAND_TOTAL")
GIGABYTE = 1_000_000_000
STEPS = 48
"""Optimisation steps an epoch."""

BEGIN = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
_EPOCH = timedelta(minutes=3)
PAUSE = timedelta(minutes=11)
_START = timedelta(minutes=2)
_LEARNING = 2.2
"""Epochs after which two thirds are learned."""


def make_epochs(epochs: int, labels: Sequence[str] = LABELS, seed: int = 0) -> tuple[EpochFacts, ...]:
    """Evaluations that rise to an F1 of about 0.9; from the middle on the validation loss rises again."""
    dice = Random(seed)  # noqa: S311 - dice that have to fall the same again
    return tuple(_epoch(number, epochs, labels, dice) for number in range(1, epochs + 1))


def moment_of(epoch: float, epochs: int) -> datetime:
    """When so many epochs were done: after the first attempt there is a pause."""
    return BEGIN + _START + _EPOCH * epoch + (PAUSE if epoch > attempt_ends(epochs) else timedelta())


def attempt_ends(epochs: int) -> int:
    """After which epoch the first attempt is interrupted."""
    return int(epochs * 0.4)


def _epoch(number: int, epochs: int, labels: Sequence[str], dice: Random) -> EpochFacts:
    learned = 1 - math.exp(-number / _LEARNING)
    f1 = 0.92 * learned + dice.uniform(-0.012, 0.012)
    precision, recall = f1 + 0.02, f1 - 0.02
    overfit = max(0.0, number / epochs - 0.5)
    per_label = {name: _score(at, f1, dice) for at, name in enumerate(labels)}
    return EpochFacts(
        epoch=number,
        global_step=number * STEPS,
        recorded_at=write_time(moment_of(number, epochs)),
        attempt=1 if number <= attempt_ends(epochs) else 2,
        eval_loss=0.14 + 1.6 * (1 - learned) + 0.16 * overfit,
        eval_f1=f1,
        eval_precision=precision,
        eval_recall=recall,
        eval_f1_constrained=f1 + 0.011,
        eval_f1_strict=f1 - 0.02,
        eval_f1_interval=Interval(low=f1 - 0.03, high=f1 + 0.028),
        train_loss=0.05 + 1.9 * math.exp(-number / _LEARNING),
        learning_rate=5e-5 * (1 - (number - 0.5) / epochs),
        grad_norm=4.0 * math.exp(-number / 6) + dice.uniform(0, 0.2),
        token_accuracy=0.8 + 0.18 * learned,
        entity_prediction_rate=0.41,
        gold_entity_rate=0.42,
        per_label_metrics=per_label,
        by_merchant={
            "seen": MerchantFacts(receipts=71, f1=f1 + 0.02),
            "unseen": MerchantFacts(receipts=25, f1=f1 - 0.06),
        },
        confusion=_confuse(labels, per_label),
        train_seconds=150.0,
        data_seconds=8.5,
        eval_seconds=21.0,
        samples_per_second=33 + dice.uniform(-2, 2),
        steps_per_second=0.32,
        total_flos=number * 3.1e14,
        gpu_memory_used=int(11.2 * GIGABYTE),
        gpu_utilization=88 + dice.uniform(-5, 5),
        memory_used=int((4.2 + 0.01 * number) * GIGABYTE),
    )


def _score(rank: int, f1: float, dice: Random) -> LabelFacts:
    """The rarer a label, the worse it is learned."""
    own = max(0.0, min(1.0, f1 + 0.05 - 0.03 * rank + dice.uniform(-0.02, 0.02)))
    return LabelFacts(f1=own, precision=min(1.0, own + 0.02), recall=own - 0.02, support=380 // (rank + 1))


def _confuse(labels: Sequence[str], scores: dict[str, LabelFacts]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {"O": {"O": 5200, labels[0]: 41}} if labels else {}
    for at, name in enumerate(labels):
        words = scores[name].support * 2
        right = int(words * scores[name].f1)
        neighbour = labels[at - 1]
        lost = (words - right) // 3
        row = {name: right, "O": words - right - lost, neighbour: lost}
        table[name] = {said: count for said, count in row.items() if count}
    return table
