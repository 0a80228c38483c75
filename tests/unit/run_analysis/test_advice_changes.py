"""Setting changes of the next run, with reason and evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from run_analysis.advice.advise import advise
from run_analysis.advice.proposal import Advice, Machine
from run_analysis.dataset_statistics import DatasetStatistics, LabelStatistics
from run_analysis.job_records import FailureFacts
from run_analysis.run import RunDetail
from tests.support.curve_shapes import FAULTY, HEALTHY
from tests.support.curves import Shape, simulate

GIGABYTE = 1_000_000_000
GPU = Machine(device="cuda", gpu_name="a GPU", gpu_memory_bytes=24 * GIGABYTE)


def faulty(name: str, **options: Any) -> RunDetail:
    shape = FAULTY[name].shape
    return simulate(replace(shape, options={**shape.options, **options}), seed=2)


def healthy(name: str = "a-run", **options: Any) -> RunDetail:
    shape = HEALTHY["healthy"].shape
    return placed(simulate(replace(shape, options=options), seed=2, name=name))


def placed(run: RunDetail) -> RunDetail:
    place = f"s3://bucket/runs/{run.run.name}/"
    return run.model_copy(update={"run": run.run.model_copy(update={"run_s3_uri": place})})


def measured(run: RunDetail, **facts: Any) -> RunDetail:
    """The run as if each evaluation had recorded this."""
    return run.model_copy(update={"epochs": tuple(one.model_copy(update=facts) for one in run.epochs)})


def changed(advice: Advice) -> dict[str, Any]:
    return {one.option: one.after for one in advice.changes}


def after(run: RunDetail, *history: RunDetail, **more: Any) -> dict[str, Any]:
    return changed(advise(run, [one.run for one in history], None, more.pop("machine", None), **more))


def test_a_healthy_run_asks_for_nothing_and_the_advice_says_so() -> None:
    advice = advise(healthy(), [healthy().run], None, None)
    assert advice.changes == ()
    assert "another seed" in advice.notes[0]


@pytest.mark.parametrize(
    ("fault", "option", "value"),
    [
        ("rate a thirtieth", "learning_rate", 5e-5),
        ("rate twenty times too high", "learning_rate", 5e-5),
        ("breaks early", "warmup_ratio", 0.2),
        ("too short, ten epochs", "epochs", 20),
        ("overfitting", "augment_names", 0.5),
        ("goes on for nothing", "early_stopping_patience", 5),
        ("label never learned though frequent", "class_weights", "sqrt"),
        ("finds too little", "class_weights", "sqrt"),
        ("fails on unseen merchants", "augment_names", 0.5),
    ],
)
def test_each_fault_changes_the_option_that_it_comes_from(fault: str, option: str, value: Any) -> None:
    advice = advise(faulty(fault), (), None, None)
    [change] = [one for one in advice.changes if one.option == option]
    assert (change.after, change.rests_on) == (value, "this run")
    assert change.reason


def test_every_change_changes_something_and_says_why() -> None:
    for shape in (*HEALTHY.values(), *FAULTY.values()):
        run = placed(simulate(shape.shape, seed=3))
        for faster in (False, True):
            changes = advise(run, [run.run], None, GPU, faster=faster).changes
            assert len({one.option for one in changes}) == len(changes)
            assert all(one.after != one.before and one.reason and one.rests_on for one in changes)


def test_a_model_that_is_too_small_becomes_the_next_larger_one() -> None:
    small = faulty("model too small", pretrained_model="scratch:tiny")
    assert after(small)["pretrained_model"] == "scratch:small"
    base = after(faulty("model too small", pretrained_model="scratch:base"))
    assert base["pretrained_model"] == "microsoft/layoutlm-base-uncased"
    assert base["learning_rate"] == 5e-5


def test_a_better_run_of_the_same_labels_and_receipts_gives_its_rate() -> None:
    run, better = simulate(Shape(rate=2.0, ceiling=0.6), seed=1, name="now"), healthy("better")
    better = better.model_copy(
        update={"run": better.run.model_copy(update={"config": {"learning_rate": 3e-5, "epochs": 12}})}
    )
    [change] = advise(run, [run.run, better.run], None, None).changes
    assert (change.option, change.after, change.rests_on) == ("learning_rate", 3e-5, "earlier runs")
    assert "better has F1" in change.reason
    elsewhere = better.model_copy(
        update={"run": better.run.model_copy(update={"val_receipts_hash": "0000000000000000"})}
    )
    assert after(run, run, elsewhere) == {}


def test_a_batch_that_fills_the_memory_is_halved_and_accumulated() -> None:
    run = measured(healthy(batch_size=16), gpu_memory_used=23 * GIGABYTE)
    assert after(run, machine=GPU) == {"batch_size": 8, "gradient_accumulation_steps": 2}
    assert after(run) == {}
    assert after(run, machine=Machine(device="cuda", gpu_memory_bytes=80 * GIGABYTE)) == {}


def test_accumulated_batches_become_one_where_there_is_room() -> None:
    run = measured(healthy(batch_size=4, gradient_accumulation_steps=8), gpu_memory_used=4 * GIGABYTE)
    assert after(run, machine=GPU) == {"batch_size": 16, "gradient_accumulation_steps": 2}


def test_a_run_without_memory_leaves_the_batch_to_the_machine() -> None:
    failure = FailureFacts(attempt=2, at="2026-03-04T09:30:00+00:00", error_class="memory", message="out")
    run = healthy(batch_size=32).model_copy(update={"failures": (failure,)})
    assert after(run) == {"batch_size": "auto"}


def test_a_label_with_too_few_words_is_left_out_or_taken_together_with_its_like() -> None:
    assert after(faulty("rare label never learned"))["allowed_labels"] == (
        "ADDRESS_LINE",
        "MERCHANT_NAME",
        "DATE",
        "GRAND_TOTAL",
    )
    shape = FAULTY["rare label never learned"].shape
    times = {**shape.words, "TIME": 9}
    times.pop("TIP")
    run = simulate(replace(shape, words=times, silent=("TIME",)), seed=2)
    advice = advise(run, (), None, None)
    assert changed(advice) == {"merge_date_time": True}
    assert any("cannot be held against" in note for note in advice.notes)


def test_a_label_that_has_been_validated_since_is_kept() -> None:
    statistics = DatasetStatistics(labels=(LabelStatistics(label="TIP", words=80, receipts=70),))
    run = faulty("rare label never learned")
    assert "allowed_labels" not in changed(advise(run, (), statistics, None))


def test_labels_that_have_become_frequent_are_named() -> None:
    statistics = DatasetStatistics(
        labels=(
            LabelStatistics(label="TAX", words=300, receipts=200),
            LabelStatistics(label="DATE", words=12, receipts=12),
        ),
        words_in_conflict=7,
    )
    notes = " ".join(advise(healthy(), (), statistics, None).notes)
    assert "TAX (300 words on 200 receipts)" in notes
    assert "DATE (12)" in notes
    assert "7 words" in notes


def test_the_pinned_receipts_of_another_run_are_taken_over() -> None:
    run, pinned = faulty("not pinned", no_frozen_val=True), healthy("pinned")
    assert after(run, run, pinned) == {"val_keys_s3": "s3://bucket/val.json", "no_frozen_val": False}
    alone = advise(placed(run), [run.run], None, None)
    assert alone.changes == ()
    assert any("val_receipt_keys" in note and "run.json" in note for note in alone.notes)


def test_a_run_that_continued_another_is_followed_by_one_that_begins_anew() -> None:
    run = healthy(resume_from_s3="s3://bucket/runs/old/checkpoints/checkpoint-5/")
    assert after(run) == {"resume_from_s3": None}


def test_repeated_runs_save_their_receipts_once_and_faster_ones_load_them() -> None:
    run, earlier = healthy(), healthy("earlier")
    place = "s3://bucket/snapshots/a-run.parquet"
    assert after(run, run, earlier) == {"dataset_snapshot_save": place}
    assert "dataset_snapshot_save" not in after(run, run)
    part = healthy("part", receipt_keys_s3="s3://bucket/part.json", dataset_snapshot_save=place)
    assert "dataset_snapshot_load" not in after(run, run, part, faster=True)
    saved = healthy(dataset_snapshot_save=place)
    assert after(saved, saved, faster=True) == {
        "dataset_snapshot_load": place,
        "dataset_snapshot_save": None,
    }


def test_few_epochs_are_scored_within_them() -> None:
    run = simulate(HEALTHY["healthy, three epochs"].shape, seed=2)
    assert after(run) == {"eval_steps": 30}


def test_faster_changes_only_what_is_slow() -> None:
    slow = measured(
        healthy(precision="float32", gradient_checkpointing="on", vocabulary_subset=False, attention="eager"),
        tokens_per_second=20_000.0,
        samples_per_second=100.0,
        train_seconds=60.0,
        eval_seconds=40.0,
        data_seconds=15.0,
    )
    faster = after(slow, faster=True)
    assert faster.pop("dataset_snapshot_save")
    assert faster == {
        "precision": "auto",
        "gradient_checkpointing": "auto",
        "vocabulary_subset": True,
        "attention": "auto",
        "batch_tokens": 1792,
        "eval_steps": 120,
        "early_stopping_patience": 3,
        "dataloader_workers": 2,
    }
    assert after(slow) == {}
    quick = measured(healthy(batch_tokens=2048), train_seconds=60.0, eval_seconds=3.0, data_seconds=1.0)
    assert set(after(quick, faster=True)) == {"dataset_snapshot_save"}


def test_faster_ends_a_run_whose_best_came_early() -> None:
    run = simulate(
        replace(HEALTHY["healthy, fast"].shape, epochs=40, options={"early_stopping_patience": 9}), 2
    )
    assert run.best is not None
    assert after(run, faster=True)["epochs"] <= run.best.epoch + 4
