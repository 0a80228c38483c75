"""The best epoch, and the end of a run."""

from __future__ import annotations

import pytest

from messages.hyperparameters import Hyperparameters
from run_records.epoch_record import EpochRecord, best_epoch, epochs_since_best, is_complete, is_exhausted
from run_records.scores import LabelScores


def history(*scores: float, loss: float = 0.5) -> list[EpochRecord]:
    return [
        EpochRecord(
            epoch=number,
            global_step=number * 10,
            eval_loss=loss / number,
            eval_f1=score,
            eval_precision=score,
            eval_recall=score,
            train_loss=0.1,
            learning_rate=1e-3,
            token_accuracy=score,
            entity_prediction_rate=0.1,
            gold_entity_rate=0.1,
            recorded_at="2025-01-01T00:00:00.000000+00:00",
            per_label_metrics={},
        )
        for number, score in enumerate(scores, start=1)
    ]


@pytest.mark.parametrize(
    ("scores", "patience", "exhausted"),
    [
        ([0.5], 1, False),
        ([0.5, 0.4], 1, True),
        ([0.5, 0.4], 2, False),
        ([0.5, 0.4, 0.5], 2, True),
        ([0.5, 0.4, 0.6, 0.5], 2, False),
        ([0.5, 0.4, 0.3, 0.2], 0, False),
        ([], 1, False),
    ],
)
def test_patience_counts_evaluations_without_a_better_one(
    scores: list[float], patience: int, exhausted: bool
) -> None:
    assert is_exhausted(history(*scores), Hyperparameters(early_stopping_patience=patience)) is exhausted


def test_the_first_of_equally_good_epochs_is_the_best() -> None:
    found = best_epoch(history(0.1, 0.7, 0.7), "f1")
    assert found is not None
    assert found.epoch == 2
    assert epochs_since_best(history(0.1, 0.7, 0.7), "f1") == 1


def test_of_losses_the_lowest_is_the_best() -> None:
    found = best_epoch(history(0.9, 0.1, 0.2), "loss")
    assert found is not None
    assert found.epoch == 3


def test_a_run_is_complete_after_its_epochs_or_when_exhausted() -> None:
    assert not is_complete([], Hyperparameters(epochs=1))
    assert not is_complete(history(0.1), Hyperparameters(epochs=2))
    assert is_complete(history(0.1, 0.2), Hyperparameters(epochs=2))
    assert is_complete(history(0.2, 0.1), Hyperparameters(epochs=9, early_stopping_patience=1))


def labelled(**f1: list[float]) -> list[EpochRecord]:
    """Evaluations with the F1 of each label in turn."""
    return [
        record.model_copy(
            update={
                "per_label_metrics": {
                    name: LabelScores(f1=scores[index], precision=0, recall=0, support=1)
                    for name, scores in f1.items()
                }
            }
        )
        for index, record in enumerate(history(*([0.5] * len(next(iter(f1.values()))))))
    ]


@pytest.mark.parametrize(
    ("metric", "best"),
    [("label:DATE", 1), ("label:TAX", 3), ("macro:DATE,TAX", 2), ("macro:TAX", 3), ("f1", 1)],
)
def test_the_best_evaluation_may_be_that_of_one_label_or_of_the_mean_of_some(metric: str, best: int) -> None:
    found = best_epoch(labelled(DATE=[0.9, 0.8, 0.1], TAX=[0.1, 0.6, 0.7]), metric)
    assert found is not None
    assert found.epoch == best


def test_patience_counts_by_the_chosen_metric() -> None:
    records = labelled(DATE=[0.9, 0.8, 0.7], TAX=[0.1, 0.2, 0.3])
    patient = {"early_stopping_patience": 2}
    assert is_exhausted(records, Hyperparameters(checkpoint_metric="label:DATE", **patient))
    assert not is_exhausted(records, Hyperparameters(checkpoint_metric="label:TAX", **patient))


def test_patience_counts_on_from_what_a_resumed_run_remembers() -> None:
    options = Hyperparameters(early_stopping_patience=2)
    remembered = [EpochRecord.model_validate_json(one.model_dump_json()) for one in history(0.5, 0.4)]
    assert not is_exhausted(remembered, options)
    assert is_exhausted([*remembered, history(0.1, 0.2, 0.4)[-1]], options)
