"""Runs with known faults, made by a small model of learning: it moves with the rate, and noise lies over it.

What is learned is a length: the area under the learning rate, in epochs at the rate that suits the model.
From it follow losses, as two exponentials (first how frequent tags are, then which word has which), and F1,
after a delay. Too high a rate holds learning off or ends it, too low a one does not get far, and what is
learned beyond the receipts raises the validation loss. Rates, losses and noise are as trainings of
`scratch:tiny` on 198 receipts of SROIE have them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from messages.hyperparameters import Hyperparameters
from run_analysis.job_records import CheckpointFacts
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary
from run_records.epoch_record import EpochFacts, LabelFacts, MerchantFacts

LABELS = {"ADDRESS_LINE": 1250, "MERCHANT_NAME": 870, "DATE": 270, "GRAND_TOTAL": 195}
"""Labels and their training words."""
STEPS = 60
"""Optimisation steps an epoch."""
_TAGS_LOSS, _TAGS_LEARNED, _WORDS_LOSS, _DELAY, _EVAL_FLOOR = 1.5, 0.08, 0.5, 0.5, 0.08

_VAL_KEYS = "s3://bucket/val.json"

Schedule = Literal["linear", "constant", "no warm-up", "ends early", "cosine", "doubled"]


@dataclass(frozen=True)
class Shape:
    """A run to be made.

    Attributes:
        epochs, evaluations: asked for, and how often it is scored in each.
        rate: learning rate, as a multiple of the one that suits the model.
        pace: epochs at the right rate in which two thirds of F1 are learned.
        ceiling: F1 of a model that has learned all it can.
        capacity: share of what can be learned that the model takes in.
        rise, decline: the share that the validation loss gains, and what F1 loses, over the rest of a run
            once it has learned.
        breaks_at: share of the run after which everything learned is lost.
        noise: deviation of F1 from one evaluation to the next.
        options: hyperparameters that are not the default.
        words: training words of each label; `silent` are labels that it does not learn.
        obeys_patience: whether early stopping does what it is asked to.
    """

    epochs: int = 12
    evaluations: int = 1
    rate: float = 1.0
    pace: float = 1.4
    ceiling: float = 0.85
    capacity: float = 1.0
    rise: float = 0.06
    decline: float = 0.0
    breaks_at: float | None = None
    noise: float = 0.01
    schedule: Schedule = "linear"
    options: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, int] = field(default_factory=lambda: LABELS)
    silent: tuple[str, ...] = ()
    found_of_true: float = 1.0
    unseen_gap: float = 0.02
    pinned: bool = True
    obeys_patience: bool = True

    @property
    def hyperparameters(self) -> Hyperparameters:
        """What the run was asked for."""
        model = self.options.get("pretrained_model", "microsoft/layoutlm-base-uncased")
        right = 1.5e-3 if model.startswith("scratch:") else 5e-5
        pinned = {"val_keys_s3": _VAL_KEYS} if self.pinned else {}
        patience = {"early_stopping_patience": 5}  # with the default, noise would end a slow run
        options = {**patience, **pinned, **self.options}
        return Hyperparameters(epochs=self.epochs, learning_rate=self.rate * right, **options)


def simulate(shape: Shape, seed: int, name: str = "a-run") -> RunDetail:
    """Make the record of a run of this shape; the same for the same seed."""
    # Of shape and seed: one unlucky draw is not that of all shapes.
    course = _Course(shape, Random(f"{seed} {shape}"))  # noqa: S311 - dice that have to fall the same again
    options = course.options
    epochs: list[EpochFacts] = []
    for one in course.evaluations():
        epochs.append(one)
        best = max(range(len(epochs)), key=lambda at: epochs[at].eval_f1 or 0.0)
        if shape.obeys_patience and 0 < options.early_stopping_patience <= len(epochs) - 1 - best:
            break
    stopped = epochs[-1].epoch < shape.epochs
    return RunDetail(
        run=_summarise(shape, name, epochs, stopped=stopped),
        config=options.model_dump(mode="json"),
        epochs=tuple(epochs),
        dataset_counts={"labels_train": dict(shape.words), "train_receipts": 200, "val_receipts": 40},
        labels=tuple(shape.words),
        num_val_receipts=40,
        checkpoints=tuple(
            CheckpointFacts(
                at="2026-03-04T09:30:00.000000+00:00",
                step=one.global_step,
                epoch=one.epoch,
                s3_uri=f"s3://bucket/runs/{name}/checkpoints/checkpoint-{one.global_step}/",
                size_bytes=1,
            )
            for one in epochs
        ),
    )


def _summarise(shape: Shape, name: str, epochs: list[EpochFacts], *, stopped: bool) -> RunSummary:
    best = max(epochs, key=lambda one: one.eval_f1 or 0.0)
    return RunSummary(
        job_id=name,
        name=name,
        status="succeeded",
        created_at="2026-03-04T09:30:00.000000+00:00",
        config=shape.hyperparameters.model_dump(mode="json", exclude_unset=True),
        best_f1=best.eval_f1,
        best_epoch=best.epoch,
        epochs_trained=epochs[-1].epoch,
        early_stopping_triggered=stopped,
        label_list=("O", *(f"{prefix}-{label}" for label in shape.words for prefix in "BI")),
        train_receipts=200,
        metrics_comparable=shape.pinned,
        comparability_reason=None if shape.pinned else "No frozen validation split is set.",
        val_keys_s3=_VAL_KEYS if shape.pinned else None,
        val_receipts_hash="5f1c0d9ab3e74822",
    )


class _Course:
    """A training under way: what it was given, and what it has learned so far."""

    def __init__(self, shape: Shape, dice: Random) -> None:
        self.shape, self.dice, self.options = shape, dice, shape.hyperparameters
        self.between = STEPS // shape.evaluations
        self.total = self.between * shape.evaluations * shape.epochs
        self.pace = shape.pace * dice.uniform(0.85, 1.15)
        self.ceiling = min(shape.ceiling * dice.uniform(0.93, 1.07), 0.97)
        self.noise = shape.noise * dice.uniform(0.8, 1.25)
        self.learned, self.held, self.settled = 0.0, math.inf, math.inf

    def evaluations(self) -> Iterator[EpochFacts]:
        losses: list[float] = []
        for step in range(1, self.total + 1):
            self._learn(step)
            losses.append(_loss(self.learned / self.pace, self.shape.capacity))
            if step % self.between == 0:
                yield self._score(step, sum(losses) / len(losses))
                losses = []

    def _learn(self, step: int) -> None:
        share = rate_at(self.shape.schedule, step, self.total, self.options.warmup_ratio)
        times = self.shape.rate * share
        # What a rate far too high breaks at its peak learns slowly ever after.
        self.learned += times / (1 + (times / 4) ** 3) / (1 + (self.shape.rate / 8) ** 2) / STEPS
        if step % STEPS == STEPS // 2:
            self.held = 20 / max(times, 0.1) ** 1.5 * math.exp(self.dice.gauss(0, 0.15))
        # Steps so large only come so near to an optimum, and pass it by.
        self.learned = min(self.learned, self.held * self.pace)
        if self.shape.breaks_at is not None and step > self.shape.breaks_at * self.total:
            self.learned = 0.15 * self.pace
        if self.learned > 3 * self.pace:
            self.settled = min(self.settled, step)

    def _score(self, step: int, train_loss: float) -> EpochFacts:
        shape, dice, known = self.shape, self.dice, self.learned / self.pace
        beyond = max(step - self.settled, 0) / (self.total - self.settled) if step > self.settled else 0.0
        f1 = self.ceiling * shape.capacity * (1 - math.exp(-max(known - _DELAY, 0)))
        f1 -= shape.decline * beyond
        f1 = min(max(f1 + dice.gauss(0, self.noise), 0), 1) if f1 > 0 else 0.0
        evaluated = (_loss(known, shape.capacity) + _EVAL_FLOOR) * (1 + shape.rise * beyond)
        share = rate_at(shape.schedule, step, self.total, self.options.warmup_ratio)
        true = 0.12
        return EpochFacts(
            epoch=step / STEPS,
            global_step=step,
            # Of a loss that is nearly nothing, little of it is still much of itself.
            train_loss=train_loss * math.exp(dice.gauss(0, 0.03 + 0.003 / (train_loss + 0.01))),
            eval_loss=evaluated * math.exp(dice.gauss(0, 3 * self.noise)),
            eval_f1=f1,
            learning_rate=self.options.learning_rate * share,
            entity_prediction_rate=true
            * shape.found_of_true
            * math.exp(dice.gauss(0, 0.02))
            * (known > _DELAY),
            gold_entity_rate=true,
            per_label_metrics={name: self._label(name, f1) for name in shape.words},
            by_merchant={
                "seen": MerchantFacts(receipts=60, f1=min(f1 + shape.unseen_gap / 2, 1)),
                "unseen": MerchantFacts(receipts=60, f1=max(f1 - shape.unseen_gap / 2, 0)),
            },
        )

    def _label(self, name: str, f1: float) -> LabelFacts:
        own = self.dice.uniform(0, 0.06) if name in self.shape.silent else f1 + self.dice.gauss(0, 0.03)
        return LabelFacts(f1=min(max(own, 0), 1), support=max(self.shape.words[name] // 10, 2))


def _loss(known: float, capacity: float) -> float:
    """Training loss, nats, after so many times the pace."""
    tags = _TAGS_LOSS * math.exp(-known / _TAGS_LEARNED)
    words = _WORDS_LOSS * (1 - capacity + capacity * math.exp(-known / 0.6))
    return tags + words + 0.05 * math.exp(-known / 2.2) + 0.001


def rate_at(schedule: Schedule, step: int, total: int, warmup_ratio: float) -> float:
    """Share of the peak learning rate at a step."""
    if schedule == "ends early":
        total = total * 6 // 10
    warmup = 0 if schedule == "no warm-up" else math.ceil(warmup_ratio * total)
    if step <= warmup:
        return step / warmup
    left = max(total - step, 0) / max(total - warmup, 1)
    return {"constant": 1.0, "cosine": (1 - math.cos(math.pi * left)) / 2, "doubled": 2 * left}.get(
        schedule, left
    )
