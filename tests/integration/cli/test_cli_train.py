"""`layoutlm-cli train` and `export-coreml`: the whole path by hand, without a queue."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from receipt_dynamo.client import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from workers.local_aws.local_stack import LocalStack

QUEUES = ("TRAIN_JOB_QUEUE_URL", "TRAIN_RESULTS_QUEUE_URL", "COREML_EXPORT_JOB_QUEUE_URL")


def cli(stack: LocalStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "layoutlm_cli", *arguments],
        env=stack.child_environ(**dict.fromkeys(QUEUES, "")),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_model_is_trained_and_exported_by_hand(stack: LocalStack, tmp_path: Path) -> None:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(client, synthetic.generate(12, 0))
    options = ("--pretrained-model", "scratch:tiny", "--epochs", "1", "--allowed-labels", "DATE,GRAND_TOTAL")
    answer = cli(stack, "train", "by-hand", *options)
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert "best F1" in answer.stdout
    assert "cannot be compared with other runs: No frozen validation split is set." in answer.stdout
    [job] = client.get_job_by_name("by-hand").items
    assert (job.status, job.attempt) == ("succeeded", 1)
    assert job.results["label_list"] == ["O", "B-DATE", "I-DATE", "B-GRAND_TOTAL", "I-GRAND_TOTAL"]
    assert "no export queued" in answer.stderr

    again = cli(stack, "train", "by-hand", *options)
    assert again.returncode == 65
    assert f"belongs to job {job.job_id}" in again.stderr

    out = tmp_path / "bundle"
    exported = cli(stack, "export-coreml", job.results["best_checkpoint_s3_path"], str(out))
    assert exported.returncode == 0, exported.stderr[-2000:]
    assert "LayoutLM.mlpackage/Manifest.json" in exported.stdout
    assert (out / "vocab.txt").exists()


def test_a_training_that_cannot_work_says_why(stack: LocalStack) -> None:
    answer = cli(stack, "train", "empty", "--pretrained-model", "scratch:tiny")
    assert answer.returncode == 65
    assert "VALID" in answer.stderr
    assert "Traceback" not in answer.stderr.splitlines()[-1]
