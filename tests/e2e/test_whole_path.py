"""One message in, a model and a bundle out: real queues, daemons, training and conversion."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from receipt_dynamo.client import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_loader import load_receipts
from receipt_layoutlm.data.table_writer import write_records
from receipt_layoutlm.evaluation.evaluate import evaluate_checkpoint
from run_records.s3_store import S3Store
from workers.local_aws.local_stack import LocalStack

pytestmark = pytest.mark.e2e

RUN = "runs/whole-path/"
BUNDLE_FILES = {
    "LayoutLM.mlpackage/Manifest.json",
    "LayoutLM.mlpackage/Data/com.apple.CoreML/model.mlmodel",
    "LayoutLM.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
    "vocab.txt",
    "config.json",
    "label_map.json",
    "tokenizer_config.json",
    "model_identity.json",
    "manifest.json",
    "verification.json",
    "verify_on_mac.py",
    "README.md",
    "golden/padded.json",
    *(f"golden/case-{number}.json" for number in range(1, 6)),
}


@contextmanager
def daemon(name: str, stack: LocalStack, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon as a process, ended at the latest with the block."""
    command = [sys.executable, "-m", "layoutlm_cli", name, *options]
    with log.open("ab") as stream:
        environ = stack.child_environ(LAYOUTLM_POLL_SECONDS="1", LAYOUTLM_WORK_DIR=str(log.parent / "work"))
        process = subprocess.Popen(command, env=environ, stderr=stream, stdout=stream)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for_result(stack: LocalStack, queue: str, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    sqs = stack.client("sqs")
    while time.monotonic() < deadline:
        answer = sqs.receive_message(QueueUrl=stack.environ[queue], WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            body: dict[str, Any] = json.loads(message["Body"])
            return body
    raise AssertionError(f"no result in {queue} after {seconds} s")


def keys_below(stack: LocalStack, prefix: str) -> set[str]:
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    listed = stack.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    return {entry["Key"].removeprefix(prefix) for entry in listed}


def send_training(stack: LocalStack) -> None:
    body = {
        "job_name": "whole-path",
        "use_spot": False,
        "hyperparameters": {
            "pretrained_model": "scratch:tiny",
            "epochs": "2",
            "batch_size": "8",
            "learning_rate": "1e-3",
            "no_frozen_val": "true",
        },
    }
    stack.client("sqs").send_message(
        QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody=json.dumps(body)
    )


def test_a_message_becomes_a_model_and_a_bundle(stack: LocalStack, tmp_path: Path) -> None:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(client, synthetic.generate(40, 5))
    with (
        daemon("train-worker", stack, tmp_path / "train.log") as trainer,
        daemon("export-worker", stack, tmp_path / "export.log") as exporter,
    ):
        send_training(stack)
        trained = wait_for_result(stack, "TRAIN_RESULTS_QUEUE_URL", 240)
        assert trained["status"] == "succeeded", trained
        exported = wait_for_result(stack, "COREML_EXPORT_RESULTS_QUEUE_URL", 120)
        assert exported["status"] == "SUCCEEDED", exported
        for process in (trainer, exporter):
            assert psutil.Process(process.pid).memory_info().rss < 130e6
            process.send_signal(signal.SIGTERM)
        assert [process.wait(15) for process in (trainer, exporter)] == [0, 0]

    check_records(client, trained, exported)
    check_scores(stack, client, trained, tmp_path)
    check_pictures(stack, trained)
    check_bundle(stack, exported, tmp_path)


def check_records(client: DynamoClient, trained: dict[str, Any], exported: dict[str, Any]) -> None:
    job = client.get_job(trained["job_id"])
    assert job.status == "succeeded"
    assert [found.job_id for found in client.list_jobs_by_status("succeeded").items] == [job.job_id]
    assert job.results["coreml_export_id"] == exported["export_id"] == trained["export_id"]
    assert client.get_coreml_export_job(exported["export_id"]).status == "SUCCEEDED"
    names = {metric.metric_name for metric in client.list_job_metrics(job.job_id).items}
    assert {"val_f1", "val_precision", "val_recall", "eval_loss", "train_loss", "learning_rate"} <= names
    assert {"num_train_samples", "num_val_samples", "o_entity_ratio_train", "o_entity_ratio_val"} <= names
    assert {"label_MERCHANT_NAME", "label_GRAND_TOTAL"} <= names
    first, *_, last = [entry.message for entry in client.list_job_logs(job.job_id).items]
    assert json.loads(first)["type"] == "run_config"
    assert (json.loads(last)["type"], json.loads(last)["status"]) == ("run_summary", "succeeded")


def check_scores(stack: LocalStack, client: DynamoClient, trained: dict[str, Any], folder: Path) -> None:
    """A reload of best/ scores on the recorded validation receipts exactly what the record says."""
    storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
    run = json.loads(storage.read(trained["run_s3_uri"] + "run.json") or b"")
    best = folder / "best"
    uri = trained["best_checkpoint_s3_uri"]
    storage.download_folder(uri, best, storage.list_keys(uri))
    keys = set(run["split_metadata"]["val_receipt_keys"])
    held_out = [receipt for receipt in load_receipts(client).receipts if receipt.key in keys]
    assert len(held_out) == len(keys) > 0
    assert evaluate_checkpoint(best, held_out).scores.f1 == trained["best_f1"]


def check_pictures(stack: LocalStack, trained: dict[str, Any]) -> None:
    """What people and dashboards look at lies beside run.json, and the report tells the end of the run."""
    assert {"run.json", "epochs.json", "predictions.json", "report.html"} <= keys_below(
        stack, "runs/whole-path/"
    )
    storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
    page = (storage.read(f"{trained['run_s3_uri']}report.html") or b"").decode()
    assert "succeeded" in page
    assert f"{trained['best_f1']:.3f}" in page


def check_bundle(stack: LocalStack, exported: dict[str, Any], folder: Path) -> None:
    assert keys_below(stack, "coreml/whole-path/") == BUNDLE_FILES
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    path = folder / "bundle.zip"
    stack.client("s3").download_file(bucket, "coreml/layoutlm-coreml-bundle.zip", str(path))
    with zipfile.ZipFile(path) as archive:
        assert set(archive.namelist()) == BUNDLE_FILES
        identity = json.loads(archive.read("model_identity.json"))
    assert identity["export_id"] == exported["export_id"]
    head = stack.client("s3").head_object(Bucket=bucket, Key="coreml/layoutlm-coreml-bundle.zip")
    assert head["ETag"].strip('"') == exported["canonical_bundle_etag"]
    assert exported["canonical_bundle_replaced"] is True
    assert head["Metadata"]["run"] == "whole-path"


def test_a_killed_daemon_takes_its_child_along_and_the_next_one_finishes_the_job(
    stack: LocalStack, tmp_path: Path
) -> None:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(client, synthetic.generate(40, 5))
    send_training(stack)
    usual = dict(stack.environ)
    stack.environ["LAYOUTLM_LEASE_SECONDS"] = "4"
    with daemon("train-worker", stack, tmp_path / "first.log") as first:
        child = wait_for_child(first)
        wait_for_checkpoint(stack)
        first.kill()
        first.wait()
        assert child.wait(10) is not None or not child.is_running()
    stack = replace(stack, environ=usual)  # a lease so short may lapse while a loaded machine works
    with daemon("train-worker", stack, tmp_path / "second.log", "--continuous") as second:
        trained = wait_for_result(stack, "TRAIN_RESULTS_QUEUE_URL", 240)
        second.send_signal(signal.SIGTERM)
        assert second.wait(15) == 0
    assert trained["status"] == "succeeded"
    assert trained["attempt"] >= 2  # on a loaded machine a lease may lapse once more
    epochs = [metric.epoch for metric in client.list_job_metrics(trained["job_id"], "val_f1").items]
    assert epochs == [1.0, 2.0]


def wait_for_child(process: subprocess.Popen[bytes]) -> psutil.Process:
    for _ in range(600):
        for child in psutil.Process(process.pid).children():
            return child
        time.sleep(0.1)
    raise AssertionError("no child was started")


def wait_for_checkpoint(stack: LocalStack) -> None:
    for _ in range(1200):
        if any(key.endswith("manifest.json") for key in keys_below(stack, f"{RUN}checkpoints/")):
            return
        time.sleep(0.1)
    raise AssertionError("no checkpoint was written")
