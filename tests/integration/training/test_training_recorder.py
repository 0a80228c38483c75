"""Records carry the attempt's number, and a resumed attempt corrects those of a dead one."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import now
from receipt_layoutlm.checkpoint import Manifest
from receipt_layoutlm.training.recorder import MAX_LOG_BYTES, Recorder
from receipt_layoutlm.training.run_state import RunningLoss
from run_records.epoch_record import EpochRecord
from run_records.s3_store import S3Store

COUNTS = {
    "num_train_samples": 18.0,
    "num_val_samples": 2.0,
    "o_entity_ratio_train": 2.5,
    "o_entity_ratio_val": 3.0,
}


def an_epoch(number: int) -> EpochRecord:
    scores = dict.fromkeys(("eval_f1", "eval_precision", "eval_recall", "token_accuracy"), 0.5)
    rates = dict.fromkeys(("entity_prediction_rate", "gold_entity_rate", "learning_rate"), 0.1)
    losses = {"eval_loss": 0.3, "train_loss": 0.4}
    return EpochRecord(
        epoch=number,
        global_step=5 * number,
        recorded_at=now(),
        per_label_metrics={},
        **scores,
        **rates,
        **losses,
    )


@pytest.fixture
def recorder_of(client: DynamoClient, storage: S3Store, bucket: str) -> Any:
    """Makes the recorder of an attempt of one job."""
    job_id = str(uuid.uuid4())

    def make(attempt: int) -> Recorder:
        return Recorder(client, storage, job_id, attempt, f"s3://{bucket}/run/", {"attempt": attempt})

    return make


def metrics(recorder: Recorder) -> set[tuple[str, int | None, int | None]]:
    found = recorder.client.list_job_metrics(recorder.job_id).items
    assert len(found) == len({(metric.metric_name, metric.step) for metric in found})
    return {(metric.metric_name, metric.step, metric.attempt) for metric in found}


def test_every_record_of_an_attempt_carries_its_number(recorder_of: Any) -> None:
    recorder = recorder_of(3)
    manifest = Manifest(job_id=recorder.job_id, attempt=3, step=5, epoch=1, files=())
    recorder.record_start(COUNTS)
    recorder.record_epoch([an_epoch(1)], is_best=True)
    recorder.record_checkpoint(f"{recorder.root}checkpoints/checkpoint-5/", manifest, is_best=True)
    recorder.record_summary({}, [an_epoch(1)], an_epoch(1))
    assert {attempt for _, _, attempt in metrics(recorder)} == {3}
    assert {entry.attempt for entry in recorder.client.list_job_logs(recorder.job_id).items} == {3}


def test_an_attempt_that_begins_anew_removes_what_one_without_a_checkpoint_left(recorder_of: Any) -> None:
    first, second = recorder_of(1), recorder_of(2)
    first.record_start(COUNTS)
    first.record_epoch([an_epoch(1)], is_best=True)
    second.record_start(COUNTS)
    assert metrics(second) == {(name, None, 2) for name in COUNTS}


def test_an_attempt_that_goes_on_keeps_what_its_checkpoint_knows_and_removes_the_rest(
    recorder_of: Any,
) -> None:
    first, second = recorder_of(1), recorder_of(2)
    history = [an_epoch(1), an_epoch(2)]
    first.record_start(COUNTS)
    first.record_epoch(history[:1], is_best=True)
    first.record_epoch(history, is_best=True)
    second.rewrite_epochs(history[:1])
    left = metrics(second)
    assert {(name, None, 1) for name in COUNTS} <= left
    assert ("val_f1", 5, 2) in left
    assert not any(step == 10 for _, step, _ in left)


def best_steps(recorder: Recorder) -> list[int]:
    """Steps of the checkpoints that the table calls best, read without this package's records."""
    rows = recorder.client._client.query(  # noqa: SLF001 - the plain boto3 client
        TableName=recorder.client.table_name,
        KeyConditionExpression="PK = :job AND begins_with(SK, :prefix)",
        ExpressionAttributeValues={
            ":job": {"S": f"JOB#{recorder.job_id}"},
            ":prefix": {"S": "CHECKPOINT#"},
        },
        ConsistentRead=True,
    )["Items"]
    return [int(row["step"]["N"]) for row in rows if row["is_best"]["BOOL"]]


def record_checkpoint(recorder: Recorder, step: int, *, is_best: bool) -> tuple[str, Manifest]:
    manifest = Manifest(
        job_id=recorder.job_id, attempt=recorder.attempt, step=step, epoch=step / 10, files=()
    )
    uri = f"{recorder.root}checkpoints/checkpoint-{step}/"
    recorder.record_checkpoint(uri, manifest, is_best=is_best)
    return uri, manifest


def test_one_checkpoint_at_a_time_is_the_best(recorder_of: Any) -> None:
    recorder = recorder_of(1)
    found = []
    for step, is_best in ((5, True), (10, False), (15, True), (20, True), (25, False)):
        record_checkpoint(recorder, step, is_best=is_best)
        found.append(best_steps(recorder))
    assert found == [[5], [5], [15], [20], [20]]


def test_a_process_that_dies_while_the_best_is_replaced_leaves_one(
    recorder_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = recorder_of(1)
    record_checkpoint(recorder, 5, is_best=True)
    sent = 0
    boto = recorder.client._client  # noqa: SLF001 - each request goes through it
    call = boto._make_api_call  # noqa: SLF001

    def dies_after(requests: int) -> Any:
        def make_call(operation: str, arguments: dict[str, Any]) -> Any:
            nonlocal sent
            if sent == requests:
                raise KeyboardInterrupt
            sent += 1
            return call(operation, arguments)

        return make_call

    for requests in (0, 1, 2):
        sent = 0
        monkeypatch.setattr(boto, "_make_api_call", dies_after(requests))
        with suppress(KeyboardInterrupt):
            record_checkpoint(recorder, 10, is_best=True)
        monkeypatch.setattr(boto, "_make_api_call", call)
        assert best_steps(recorder) == ([10] if requests == 2 else [5])


def test_rows_that_an_earlier_version_left_all_best_become_one(recorder_of: Any) -> None:
    recorder = recorder_of(1)
    for step in (5, 10, 15):
        record_checkpoint(recorder, step, is_best=False)
    for one in recorder.client.list_job_checkpoints(recorder.job_id).items:
        recorder.client.update_job_checkpoint(replace(one, is_best=True))
    record_checkpoint(recorder, 20, is_best=True)
    assert best_steps(recorder) == [20]


def test_a_resumed_attempt_makes_up_for_the_record_that_a_dead_one_owed(recorder_of: Any) -> None:
    first, second = recorder_of(1), recorder_of(2)
    record_checkpoint(first, 5, is_best=True)
    manifest = Manifest(job_id=first.job_id, attempt=1, step=10, epoch=1, files=())
    uri = f"{first.root}checkpoints/checkpoint-10/"  # uploaded, and its record is not written
    second.restore_checkpoints(uri, manifest, best_step=10)
    assert best_steps(second) == [10]
    second.restore_checkpoints(uri, manifest, best_step=5)
    assert best_steps(second) == [5]
    assert len(second.client.list_job_checkpoints(second.job_id).items) == 2


def test_a_split_too_large_for_a_log_stays_in_run_json_and_is_named(recorder_of: Any) -> None:
    keys = [f"{uuid.uuid4()}#00001" for _ in range(10_000)]
    description = {"split_metadata": {"val_receipt_keys": keys, "val_receipts_hash": "abc"}, "num_labels": 3}
    recorder = replace(recorder_of(1), description=description)
    recorder.record_start(COUNTS)
    [entry] = recorder.client.list_job_logs(recorder.job_id).items
    assert len(entry.message) < MAX_LOG_BYTES
    assert json.loads(entry.message)["data"] == {
        "split_metadata": {"val_receipts_hash": "abc", "val_receipt_keys_s3": f"{recorder.root}run.json"},
        "num_labels": 3,
    }
    run = json.loads(recorder.storage.read(f"{recorder.root}run.json") or b"")
    assert run["split_metadata"]["val_receipt_keys"] == keys


def test_the_mean_loss_of_an_epoch_is_the_same_over_an_interruption() -> None:
    whole, resumed = RunningLoss(), RunningLoss()
    for step, loss in enumerate((0.1, 0.2, 0.7)):
        whole.total += loss
        whole.steps += 1
        if step == 1:
            resumed = RunningLoss(whole.total, whole.steps)
    resumed.total += 0.7
    resumed.steps += 1
    assert resumed.mean == whole.mean
    whole.reset()
    assert whole.mean == 0
