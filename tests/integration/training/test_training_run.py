"""Whole runs: what they learn, record and leave behind."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
import torch

from messages.child_protocol import ErrorClass
from receipt_dynamo import DynamoClient
from receipt_layoutlm.checkpoint import MANIFEST, WEIGHTS, read_run_facts
from receipt_layoutlm.data.examples import Example
from receipt_layoutlm.data.page_layout import ModelBox
from receipt_layoutlm.data.snapshot import load_snapshot
from receipt_layoutlm.data.training_set import TrainingSet
from receipt_layoutlm.errors import Diverged
from receipt_layoutlm.evaluation.evaluate import evaluate_checkpoint
from receipt_layoutlm.model_folder import download_model, load_model, open_checkpoint
from receipt_layoutlm.training.run import train
from run_records.errors import CheckpointError, ConfigurationError, DataError
from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask, StopAfter, read_json, what_was_learned

QUIET = Reporter(None)
GO_ON = StopRequested()
STEPS_PER_EPOCH = 5  # 18 of 20 receipts, one window each, four a step


def _weights(storage: S3Store, uri: str, folder: Path) -> dict[str, torch.Tensor]:
    download_model(storage, uri, folder)
    return dict(load_model(open_checkpoint(folder)).state_dict())


def test_training_changes_every_layer_of_the_encoder(
    make_task: MakeTask, storage: S3Store, tmp_path: Path
) -> None:
    task = make_task()
    train(task, QUIET, GO_ON)
    first = _weights(storage, f"{task.run_s3_uri}checkpoints/checkpoint-{STEPS_PER_EPOCH}/", tmp_path / "a")
    second = _weights(
        storage, f"{task.run_s3_uri}checkpoints/checkpoint-{2 * STEPS_PER_EPOCH}/", tmp_path / "b"
    )
    layers = [name for name in first if ".encoder.layer." in name and name.endswith("weight")]
    assert len(layers) == 2 * 8
    # A key's bias alone cannot matter: softmax does not see what all keys share.
    assert all(not torch.equal(first[name], second[name]) for name in layers)
    assert not torch.equal(first["classifier.weight"], second["classifier.weight"])


def test_the_best_checkpoint_scores_exactly_what_was_recorded(
    make_task: MakeTask, storage: S3Store, client: DynamoClient, snapshot: str, tmp_path: Path
) -> None:
    task = make_task(epochs=4)
    trained = train(task, QUIET, GO_ON)
    download_model(storage, trained.best_checkpoint_s3_uri, tmp_path / "best")
    run = read_json(storage, f"{task.run_s3_uri}run.json")
    keys = set(run["split_metadata"]["val_receipt_keys"])
    held_out = [receipt for receipt in load_snapshot(storage, snapshot)[0] if receipt.key in keys]
    again = evaluate_checkpoint(tmp_path / "best", held_out)
    best = max(run["epoch_metrics"], key=lambda epoch: epoch["eval_f1"])
    assert again.scores.f1 == trained.results["best_f1"] == best["eval_f1"] > 0
    assert again.loss == best["eval_loss"]
    recorded = client.list_job_metrics(task.job.job_id, "val_f1").items
    assert max(metric.value for metric in recorded) == again.scores.f1  # type: ignore[type-var]
    facts = read_run_facts(tmp_path / "best")
    assert facts is not None
    assert (facts.window_size, facts.window_stride, facts.step) == (200, 150, best["global_step"])


def test_every_metric_of_every_epoch_is_recorded_with_its_epoch_and_step(
    make_task: MakeTask, client: DynamoClient
) -> None:
    task = make_task(allowed_labels=["DATE", "GRAND_TOTAL"])
    train(task, QUIET, GO_ON)
    metrics = client.list_job_metrics(task.job.job_id).items
    at = {(metric.metric_name, metric.epoch, metric.step) for metric in metrics}
    every_epoch = {
        "val_f1",
        "val_precision",
        "val_recall",
        "eval_loss",
        "train_loss",
        "learning_rate",
        "label_DATE",
        "label_GRAND_TOTAL",
    }
    for epoch in (1, 2):
        assert {(name, epoch, epoch * STEPS_PER_EPOCH) for name in every_epoch} <= at
    start = {"num_train_samples", "num_val_samples", "o_entity_ratio_train", "o_entity_ratio_val"}
    assert {name for name, epoch, _ in at if epoch is None} == start
    label = next(metric for metric in metrics if metric.metric_name == "label_DATE")
    assert isinstance(label.value, dict)
    assert set(label.value) == {"f1", "precision", "recall", "support"}
    assert label.unit == "per_label"


def test_logs_run_json_and_results_follow_the_contract(
    make_task: MakeTask, storage: S3Store, client: DynamoClient
) -> None:
    task = make_task()
    trained = train(task, QUIET, GO_ON)
    lines = [entry.message for entry in client.list_job_logs(task.job.job_id).items]
    logs = [json.loads(line) for line in lines if line.startswith("{")]
    assert [entry["type"] for entry in logs] == ["run_config", "run_summary"]
    assert {entry.source for entry in client.list_job_logs(task.job.job_id).items} == {
        "receipt_layoutlm.trainer"
    }
    assert len(logs[1]["epoch_metrics"]) == 2
    run = read_json(storage, f"{task.run_s3_uri}run.json")
    assert {
        "job_name",
        "training_config",
        "data_config",
        "label_list",
        "num_labels",
        "dataset_counts",
        "split_metadata",
        "label_merges",
        "resulting_labels",
        "comparability",
        "epoch_metrics",
    } <= set(run)
    assert run["num_labels"] == len(run["label_list"]) == 45
    assert {
        "best_f1",
        "best_epoch",
        "train_runtime",
        "total_flos",
        "early_stopping_triggered",
        "best_checkpoint_s3_path",
        "training_job_name",
        "training_job_id",
        "num_labels",
        "label_list",
        "metrics_comparable",
        "comparability_reason",
        "val_keys_s3",
        "val_split_source",
    } <= set(trained.results)
    assert trained.results["metrics_comparable"] is False
    assert trained.results["total_flos"] > 0
    json.dumps(trained.results, allow_nan=False)


def test_checkpoints_hold_no_pickled_arguments_and_their_manifest_fits(
    make_task: MakeTask, storage: S3Store
) -> None:
    task = make_task(epochs=1)
    train(task, QUIET, GO_ON)
    uri = f"{task.run_s3_uri}checkpoints/checkpoint-{STEPS_PER_EPOCH}/"
    keys = storage.list_keys(uri)
    manifest = read_json(storage, f"{uri}{MANIFEST}")
    assert {file["name"]: file["size"] for file in manifest["files"]} | {MANIFEST: keys[MANIFEST]} == keys
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "vocab.txt"} <= set(keys)
    assert "training_args.bin" not in keys
    assert manifest["metrics"]["eval_f1"] >= 0


def test_a_pinned_split_makes_the_run_comparable(
    make_task: MakeTask, storage: S3Store, bucket: str, snapshot: str
) -> None:
    pinned = [receipt.key for receipt in load_snapshot(storage, snapshot)[0][:3]]
    uri = f"s3://{bucket}/val.json"
    storage.write(uri, json.dumps(pinned).encode())
    task = make_task(epochs=1, val_keys_s3=uri, no_frozen_val=False)
    results = train(task, QUIET, GO_ON).results
    assert results["metrics_comparable"] is True
    assert results["val_split_source"] == "persisted_val_receipt_keys"
    run = read_json(storage, f"{task.run_s3_uri}run.json")
    assert run["split_metadata"]["val_receipt_keys"] == pinned


def test_a_drawn_split_without_consent_says_that_it_cannot_be_compared(make_task: MakeTask) -> None:
    results = train(make_task(epochs=1, no_frozen_val=False), QUIET, GO_ON).results
    assert results["comparability_reason"].startswith("No frozen validation split is set. Pass val_keys_s3")


def test_label_smoothing_changes_the_training_loss_and_not_how_it_is_scored(
    make_task: MakeTask, storage: S3Store
) -> None:
    losses = {}
    for smoothing in (0.0, 0.3):
        task = make_task(f"smooth-{smoothing}", epochs=1, label_smoothing=smoothing)
        train(task, QUIET, GO_ON)
        losses[smoothing] = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"][0]["train_loss"]
    assert losses[0.3] > losses[0.0] + 0.01


def test_a_stopped_run_goes_on_where_it_was_and_ends_as_if_it_had_never_stopped(
    make_task: MakeTask, storage: S3Store, client: DynamoClient, tmp_path: Path
) -> None:
    whole = make_task("whole", epochs=3)
    train(whole, QUIET, GO_ON)

    first = make_task("broken", epochs=3)
    with pytest.raises(Stopped):
        train(first, QUIET, StopAfter(2 + STEPS_PER_EPOCH + 2))
    steps = {key.split("/")[0] for key in storage.list_keys(f"{first.run_s3_uri}checkpoints/")}
    assert steps == {f"checkpoint-{STEPS_PER_EPOCH}", f"checkpoint-{STEPS_PER_EPOCH + 2}"}
    train(make_task("broken", epochs=3, attempt=2), QUIET, GO_ON)

    one, two = (read_json(storage, f"{task.run_s3_uri}run.json") for task in (whole, first))
    assert one["split_metadata"] == two["split_metadata"]
    for ours, theirs in zip(one["epoch_metrics"], two["epoch_metrics"], strict=True):
        assert what_was_learned(ours) == what_was_learned(theirs)
    assert len(client.list_job_metrics(first.job.job_id, "val_f1").items) == 3
    last = f"checkpoints/checkpoint-{3 * STEPS_PER_EPOCH}/"
    uninterrupted = _weights(storage, whole.run_s3_uri + last, tmp_path / "one")
    resumed = _weights(storage, first.run_s3_uri + last, tmp_path / "two")
    assert all(torch.equal(uninterrupted[name], resumed[name]) for name in uninterrupted)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(
    make_task: MakeTask, storage: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    task = make_task(epochs=2)
    train(task, QUIET, GO_ON)
    uri = f"{task.run_s3_uri}checkpoints/checkpoint-{2 * STEPS_PER_EPOCH}/{WEIGHTS}"
    body = bytearray(storage.read(uri) or b"")
    body[-1] ^= 1
    storage.write(uri, bytes(body))
    train(make_task(epochs=2, attempt=2), QUIET, GO_ON)
    assert f"{WEIGHTS} is not what the manifest says" in caplog.text
    epochs = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]


def test_a_finished_run_is_not_trained_again_and_its_missing_best_is_put_back(
    make_task: MakeTask, storage: S3Store
) -> None:
    task = make_task(epochs=1)
    first = train(task, QUIET, GO_ON)
    best = storage.place(first.best_checkpoint_s3_uri)
    for name in storage.list_keys(best.uri):
        storage.client.delete_object(Bucket=best.bucket, Key=best.key + name)
    again = train(make_task(epochs=1, attempt=2), QUIET, GO_ON)
    assert again.results["best_f1"] == first.results["best_f1"]
    assert MANIFEST in storage.list_keys(first.best_checkpoint_s3_uri)


def test_another_runs_checkpoint_is_continued_but_not_its_history(
    make_task: MakeTask, storage: S3Store
) -> None:
    first = make_task("first", epochs=1)
    train(first, QUIET, GO_ON)
    uri = f"{first.run_s3_uri}checkpoints/checkpoint-{STEPS_PER_EPOCH}/"
    second = make_task("second", epochs=2, resume_from_s3=uri)
    train(second, QUIET, GO_ON)
    epochs = read_json(storage, f"{second.run_s3_uri}run.json")["epoch_metrics"]
    assert [epoch["global_step"] for epoch in epochs] == [2 * STEPS_PER_EPOCH]
    with pytest.raises(ConfigurationError, match="Raise epochs"):
        train(make_task("third", epochs=1, resume_from_s3=uri), QUIET, GO_ON)
    with pytest.raises(ConfigurationError, match="Ask for the same"):
        train(make_task("fourth", allowed_labels=["DATE"], resume_from_s3=uri), QUIET, GO_ON)


def test_a_published_model_can_be_started_from(make_task: MakeTask, storage: S3Store) -> None:
    first = train(make_task("first", epochs=1), QUIET, GO_ON)
    for option in ("resume_from_s3", "pretrained_model"):
        task = make_task(f"by-{option}", epochs=1, **{option: first.best_checkpoint_s3_uri})
        train(task, QUIET, GO_ON)
        epochs = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"]
        assert [epoch["global_step"] for epoch in epochs] == [STEPS_PER_EPOCH]
    with pytest.raises(CheckpointError, match="There is nothing under"):
        train(make_task("gone", resume_from_s3=f"{first.run_s3_uri}gone/"), QUIET, GO_ON)


def test_early_stopping_ends_the_run_and_says_so(make_task: MakeTask) -> None:
    task = make_task(epochs=9, early_stopping_patience=1, learning_rate=1e-9)
    results = train(task, QUIET, GO_ON).results
    assert results["early_stopping_triggered"] is True
    assert results["best_epoch"] == 1


def test_a_loss_that_is_no_number_ends_the_run_with_its_step(
    make_task: MakeTask, storage: S3Store, bucket: str, tmp_path: Path
) -> None:
    first = train(make_task("first", epochs=1), QUIET, GO_ON)
    download_model(storage, first.best_checkpoint_s3_uri, tmp_path / "model")
    model = load_model(open_checkpoint(tmp_path / "model"))
    torch.nn.init.constant_(model.classifier.weight, 3e38)  # a sum of two is infinite
    (tmp_path / "model" / MANIFEST).unlink()
    model.save_pretrained(tmp_path / "model")
    storage.upload_folder(tmp_path / "model", f"s3://{bucket}/poisoned/")
    with pytest.raises(Diverged, match=r"The loss is nan at step 1\. Lower learning_rate") as caught:
        train(make_task("second", pretrained_model=f"s3://{bucket}/poisoned/"), QUIET, GO_ON)
    assert caught.value.error_class is ErrorClass.DIVERGED


def test_labels_that_no_receipt_has_are_refused(make_task: MakeTask) -> None:
    with pytest.raises(ConfigurationError, match=r"No training word carries a label of the run \(TIP\)"):
        train(make_task(allowed_labels=["TIP"]), QUIET, GO_ON)


def test_a_table_without_labels_is_refused(make_task: MakeTask) -> None:
    with pytest.raises(DataError, match="None of 0 receipts"):
        train(make_task(dataset_snapshot_load=None), QUIET, GO_ON)


def test_fp16_without_cuda_is_refused(make_task: MakeTask) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ConfigurationError, match="needs a CUDA device"):
        train(make_task(precision="fp16"), QUIET, GO_ON)


def test_each_epoch_changes_its_examples_anew(make_task: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: dict[int, set[tuple[ModelBox, ...]]] = defaultdict(set)
    original = TrainingSet.__getitem__

    def recorded(data: TrainingSet, number: int) -> Example:
        example = original(data, number)
        moved[number].add(tuple(example.boxes))
        return example

    monkeypatch.setattr(TrainingSet, "__getitem__", recorded)
    train(make_task(epochs=3, augment_shift=1), QUIET, GO_ON)
    assert [len(versions) for versions in moved.values()] == [3] * 18


def test_checkpoints_carry_the_tag_that_lets_them_expire_and_the_best_one_does_not(
    make_task: MakeTask, storage: S3Store
) -> None:
    task = make_task(epochs=1).model_copy(update={"checkpoint_tag": "layoutlm=expendable"})
    train(task, QUIET, GO_ON)
    place = storage.place(task.run_s3_uri)

    def tags(key: str) -> list[dict[str, str]]:
        answer = storage.client.get_object_tagging(Bucket=place.bucket, Key=place.key + key)
        found: list[dict[str, str]] = answer["TagSet"]
        return found

    for key in storage.list_keys(task.run_s3_uri):
        expected = [{"Key": "layoutlm", "Value": "expendable"}] if key.startswith("checkpoints/") else []
        assert tags(key) == expected, key
