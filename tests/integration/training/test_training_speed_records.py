"""Records of a run's speed and cost, and its sample predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from receipt_dynamo import DynamoClient
from receipt_layoutlm.data.snapshot import load_snapshot, save_snapshot
from receipt_layoutlm.training.run import train
from receipt_layoutlm.training.run_documents import MOST_WORDS
from run_analysis.job_records import epochs_of_metrics
from run_records.epoch_record import read_epochs
from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.predictions_json import PredictionsFile, read_predictions
from run_records.s3_store import S3Store
from tests.support.small_receipts import make_receipts
from tests.support.small_trainings import MakeTask, StopAfter, read_json

QUIET = Reporter(None)
GO_ON = StopRequested()
SAMPLES, STEPS = 18, 5


def epochs_of(storage: S3Store, task: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"]
    return found


def test_each_epoch_says_how_fast_it_was_and_what_it_took(make_task: MakeTask, storage: S3Store) -> None:
    task = make_task()
    train(task, QUIET, GO_ON)
    first, second = epochs_of(storage, task)
    for epoch in (first, second):
        seconds = epoch["train_seconds"]
        assert seconds > epoch["data_seconds"] >= 0
        assert epoch["samples_per_second"] * seconds == pytest.approx(SAMPLES)
        assert epoch["steps_per_second"] * seconds == pytest.approx(STEPS)
        # Six lines of two or three words, some of several tokens, and two special ones.
        assert 8 * SAMPLES < epoch["tokens_per_second"] * seconds < 60 * SAMPLES
        assert epoch["memory_used"] > 100_000_000
        assert epoch["eval_seconds"] > 0
        assert 0 < epoch["grad_norm"] < 1000
    assert second["train_runtime"] > first["train_runtime"] > first["train_seconds"]
    assert second["total_flos"] > first["total_flos"] > 0


def test_the_table_and_run_json_give_the_same_facts(
    make_task: MakeTask, storage: S3Store, client: DynamoClient
) -> None:
    task = make_task(allowed_labels=["DATE", "GRAND_TOTAL"])
    train(task, QUIET, GO_ON)
    recorded = read_epochs(epochs_of(storage, task))
    of_table = epochs_of_metrics(client.list_job_metrics(task.job.job_id).items)
    # The table has neither intervals nor the counts of receipts of a merchant.
    without = {"eval_f1_interval", "by_merchant", "attempt"}
    assert [one.model_dump(exclude=without) for one in of_table] == [
        one.model_dump(exclude=without) for one in recorded
    ]
    assert recorded[-1].confusion["O"]["O"] > 0


def test_what_it_cost_is_told_over_all_attempts_and_not_guessed_where_one_had_no_price(
    make_task: MakeTask, storage: S3Store
) -> None:
    def attempt(number: int, price: float | None, stop: StopRequested = GO_ON) -> dict[str, Any]:
        task = make_task("cost", attempt=number).model_copy(update={"usd_per_hour": price})
        return train(task, QUIET, stop).results

    with pytest.raises(Stopped):
        attempt(1, 3600.0, StopAfter(8))
    results = attempt(2, 3600.0)
    assert results["cost_usd"] == pytest.approx(results["train_runtime"], rel=0.05)

    free = make_task("free").model_copy(update={"usd_per_hour": None})
    assert train(free, QUIET, GO_ON).results["cost_usd"] is None
    assert read_json(storage, f"{free.run_s3_uri}run.json")["machine"]["usd_per_hour"] is None


def test_results_say_what_a_run_can_be_ranked_with(make_task: MakeTask, storage: S3Store) -> None:
    task = make_task()
    results = train(task, QUIET, GO_ON).results
    run = read_json(storage, f"{task.run_s3_uri}run.json")
    assert results["val_receipts_hash"] == run["split_metadata"]["val_receipts_hash"]
    assert results["train_receipts"] == run["dataset_counts"]["train_receipts"] == SAMPLES
    assert results["memory_used"] >= max(epoch["memory_used"] for epoch in run["epoch_metrics"])
    assert results["gpu_memory_used"] is None


def predictions_of(storage: S3Store, task: Any) -> PredictionsFile:
    found = read_predictions(storage, task.run_s3_uri)
    assert found is not None
    return found


def test_predictions_are_those_of_the_best_checkpoint_word_for_word(
    make_task: MakeTask, storage: S3Store, snapshot: str
) -> None:
    task = make_task(epochs=4, early_stopping_patience=0)
    train(task, QUIET, GO_ON)
    epochs = epochs_of(storage, task)
    best = max(epochs, key=lambda epoch: epoch["eval_f1"])
    shown = predictions_of(storage, task)
    assert (shown.step, shown.checkpoint) == (best["global_step"], f"checkpoint-{best['global_step']}")
    receipts = {receipt.key: receipt for receipt in load_snapshot(storage, snapshot)[0]}
    wrong = 0
    for one in shown.receipts:
        words = {(word.line_id, word.word_id): word for word in receipts[one.key].words}
        assert {(word.line_id, word.word_id) for word in one.words} == set(words)
        for word in one.words:
            truth = words[word.line_id, word.word_id]
            assert (word.text, word.box) == (truth.text, truth.box)
            assert word.gold.partition("-")[2] == (truth.label or "")
            assert 1 / 45 < word.confidence <= 1
        assert one.wrong_words == sum(word.gold != word.predicted for word in one.words)
        wrong += one.wrong_words
    # Two validation receipts: all of them are shown, so all words are.
    words_in_all = sum(len(one.words) for one in shown.receipts)
    assert 1 - wrong / words_in_all == pytest.approx(best["token_accuracy"])
    assert [one.wrong_words for one in shown.receipts] == sorted(
        (one.wrong_words for one in shown.receipts), reverse=True
    )


def test_a_receipt_of_thousands_of_words_does_not_make_the_file_large(
    make_task: MakeTask, storage: S3Store, bucket: str
) -> None:
    long = [
        replace(
            receipt,
            words=tuple(
                replace(word, line_id=line)
                for line in range(1, 2 + MOST_WORDS // 2)
                for word in receipt.words[:2]
            ),
        )
        for receipt in make_receipts(4)
    ]
    uri = f"s3://{bucket}/long.parquet"
    save_snapshot(storage, uri, long, "test")
    task = make_task(dataset_snapshot_load=uri, epochs=1)
    train(task, QUIET, GO_ON)
    [shown] = predictions_of(storage, task).receipts
    assert (len(shown.words), shown.words_left_out) == (MOST_WORDS, 2)
