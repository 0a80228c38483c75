"""The commands as people type them, as processes, against the emulated AWS."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from messages.train import TrainJob
from receipt_dynamo.client import DynamoClient
from workers.jobs.job_record import job_record
from workers.local_aws.local_stack import LocalStack


def cli(stack: LocalStack, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "layoutlm_cli", *arguments],
        env=stack.child_environ(**{"COLUMNS": "200", **environ}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def table(stack: LocalStack) -> DynamoClient:
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))


def add_job(stack: LocalStack, name: str, status: Any = "succeeded", **results: Any) -> str:
    job = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": name})
    record = job_record(job, stack.settings.runs / f"{name}/", status=status)
    client = table(stack)
    client.add_job(record)
    if results:
        client.merge_job_results(job.job_id, results)
    return job.job_id


def waiting(stack: LocalStack, variable: str) -> list[dict[str, Any]]:
    answer = stack.client("sqs").receive_message(QueueUrl=stack.environ[variable], WaitTimeSeconds=0)
    return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


def test_submit_train_sends_a_checked_message_and_shows_a_pending_job(stack: LocalStack) -> None:
    answer = cli(
        stack, "submit", "train", "my-run", "--epochs", "3", "--tags", '{"team": "a"}', "--priority", "high"
    )
    assert answer.returncode == 0, answer.stderr
    [body] = waiting(stack, "TRAIN_JOB_QUEUE_URL")
    assert (body["job_name"], body["hyperparameters"]["epochs"], body["tags"]) == ("my-run", 3, {"team": "a"})
    [job] = table(stack).list_jobs_by_status("pending").items
    assert (job.name, job.job_id, job.priority) == ("my-run", body["job_id"], "high")


def test_submit_refuses_a_wrong_request_with_all_its_faults_and_sends_nothing(stack: LocalStack) -> None:
    answer = cli(stack, "submit", "train", "../up", "--epochs", "0", "--batch-size", "many")
    assert answer.returncode == 65
    assert all(name in answer.stderr for name in ("job_name", "epochs", "batch_size"))
    assert answer.stderr.startswith("error: ")
    assert waiting(stack, "TRAIN_JOB_QUEUE_URL") == []


def test_submit_export_takes_the_best_checkpoint_of_the_named_job(stack: LocalStack) -> None:
    job_id = add_job(stack, "done", best_checkpoint_s3_path="s3://bucket/runs/done/best/")
    answer = cli(stack, "submit", "export", "done", "--quantize", "float32", "--shapes", "fixed:64")
    assert answer.returncode == 0, answer.stderr
    [body] = waiting(stack, "COREML_EXPORT_JOB_QUEUE_URL")
    assert (body["job_id"], body["quantize"], body["shapes"]) == (job_id, None, "fixed:64")
    assert body["model_s3_uri"] == "s3://bucket/runs/done/best/"
    assert table(stack).get_coreml_export_job(body["export_id"]).status == "PENDING"


def test_submit_export_of_a_job_without_a_checkpoint_says_what_to_do(stack: LocalStack) -> None:
    add_job(stack, "young", "running")
    answer = cli(stack, "submit", "export", "young")
    assert answer.returncode != 0
    assert "--model-s3-uri" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_jobs_lists_the_newest_first_and_by_status(stack: LocalStack) -> None:
    add_job(stack, "first", best_f1=0.5)
    add_job(stack, "second", "failed")
    everything = cli(stack, "jobs").stdout
    assert everything.index("second") < everything.index("first")
    assert "0.500" in everything
    assert "first" not in cli(stack, "jobs", "--status", "failed").stdout


def test_status_shows_a_job_by_name_and_by_id(stack: LocalStack) -> None:
    job_id = add_job(
        stack,
        "shown",
        best_f1=0.75,
        best_epoch=3.0,
        metrics_comparable=False,
        comparability_reason="No frozen validation split is set.",
    )
    for named in ("shown", job_id):
        text = cli(stack, "status", named).stdout
        assert job_id in text
        assert "0.750" in text
        assert "runs/shown/" in text
        assert "no: No frozen validation split is set." in text


def test_a_job_that_is_not_there_is_one_sentence_and_a_failure(stack: LocalStack) -> None:
    for command in ("status", "cancel"):
        answer = cli(stack, command, "nobody")
        assert answer.returncode != 0
        assert "nobody" in answer.stderr
        assert "Traceback" not in answer.stderr


def test_cancel_asks_through_the_lease(stack: LocalStack) -> None:
    job_id = add_job(stack, "waiting", "pending")
    answer = cli(stack, "cancel", "waiting")
    assert "will be cancelled" in answer.stdout
    lease = table(stack).get_lease(job_id, kind="train")
    assert lease is not None
    assert lease.cancel_requested_at is not None


def test_results_prints_one_line_a_result_and_takes_it_off(stack: LocalStack) -> None:
    stack.client("sqs").send_message(
        QueueUrl=stack.environ["TRAIN_RESULTS_QUEUE_URL"], MessageBody='{"a": 1}'
    )
    assert cli(stack, "results", "train", "--keep", "--wait", "0").stdout == '{"a": 1}\n'
    assert cli(stack, "results", "train", "--wait", "1").stdout == '{"a": 1}\n'
    empty = cli(stack, "results", "train", "--wait", "0")
    assert (empty.stdout, empty.returncode) == ("", 0)


def test_results_reads_a_queue_without_a_dead_letter_queue(stack: LocalStack) -> None:
    sqs = stack.client("sqs")
    bare = sqs.create_queue(QueueName=f"bare-{uuid.uuid4().hex}")["QueueUrl"]
    sqs.send_message(QueueUrl=bare, MessageBody='{"a": 1}')
    for options in (["--keep"], []):
        answer = cli(
            stack, "results", "export", "--wait", "1", *options, COREML_EXPORT_RESULTS_QUEUE_URL=bare
        )
        assert (answer.returncode, answer.stdout) == (0, '{"a": 1}\n'), answer.stderr


def test_results_of_a_queue_that_is_not_there_names_it(stack: LocalStack) -> None:
    url = stack.environ["TRAIN_RESULTS_QUEUE_URL"] + "-gone"
    answer = cli(stack, "results", "train", TRAIN_RESULTS_QUEUE_URL=url)
    assert (answer.returncode, answer.stdout) == (78, "")
    assert answer.stderr.startswith("error: ")
    assert "-gone" in answer.stderr


def test_a_result_that_its_reader_fails_on_is_put_away_after_five_receives(stack: LocalStack) -> None:
    sqs, url = stack.client("sqs"), stack.environ["TRAIN_RESULTS_QUEUE_URL"]
    sqs.send_message(QueueUrl=url, MessageBody="unreadable")
    seen = 0
    while sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=0).get("Messages"):
        seen += 1
    assert seen == 5
    answer = cli(stack, "dlq", "list", "--queue", "train-results", "--json")
    assert json.loads(answer.stdout)["body"] == "unreadable"


def test_generate_fills_the_table_and_again_changes_nothing(stack: LocalStack) -> None:
    for _ in range(2):
        answer = cli(stack, "generate", "--receipts", "3", "--seed", "4")
        assert answer.returncode == 0, answer.stderr
    assert table(stack).count_receipts() == 3


SCANNED = {
    "file_name": "X1.jpg",
    "key": "X1",
    "image_size": {"width": 400, "height": 600},
    "entities": {
        "company": "CORNER SHOP",
        "date": "09/01/2019",
        "address": "1 MAIN STREET",
        "total": "31.00",
    },
    "words": ["CORNER SHOP", "1 MAIN STREET", "DATE: 09/01/2019 8:01 PM", "TOTAL", "THANK YOU"],
    "bboxes": [
        [90, 20, 310, 40],
        [90, 50, 310, 70],
        [20, 90, 300, 110],
        [20, 400, 80, 420],
        [90, 500, 300, 520],
    ],
}


def test_import_reports_what_it_could_not_place(stack: LocalStack, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(SCANNED) + "\n", encoding="utf-8")
    answer = cli(stack, "import", "sroie", str(path))
    assert answer.returncode == 0, answer.stderr
    assert "company: placed 1, not found 0" in answer.stderr
    assert "total: placed 0, not found 1" in answer.stderr
    assert table(stack).count_receipts() == 1


def test_import_of_a_broken_line_names_it_and_writes_nothing(stack: LocalStack, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"file_name": "x"}\n', encoding="utf-8")
    answer = cli(stack, "import", "sroie", str(path))
    assert answer.returncode == 65
    assert "line 1" in answer.stderr
    assert table(stack).count_receipts() == 0


@pytest.mark.parametrize("command", [["jobs"], ["status", "x"], ["generate"], ["submit", "train", "x"]])
def test_a_missing_table_setting_is_named(stack: LocalStack, command: list[str]) -> None:
    answer = cli(stack, *command, DYNAMO_TABLE_NAME="")
    assert answer.returncode == 78
    assert "DYNAMO_TABLE_NAME" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_table_that_does_not_exist_is_one_sentence(stack: LocalStack) -> None:
    answer = cli(stack, "jobs", DYNAMO_TABLE_NAME="NoSuchTable")
    assert answer.returncode == 75
    assert "NoSuchTable" in answer.stderr


def test_export_coreml_of_a_folder_without_a_checkpoint_says_so(stack: LocalStack, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    answer = cli(stack, "export-coreml", str(tmp_path / "empty"), str(tmp_path / "out"))
    assert answer.returncode == 65
    assert not (tmp_path / "out").exists()


def test_a_weight_format_that_does_not_exist_is_refused(stack: LocalStack, tmp_path: Path) -> None:
    answer = cli(stack, "export-coreml", str(tmp_path), str(tmp_path / "out"), "--quantize", "int2")
    assert answer.returncode == 65
    assert "int2" in answer.stderr


def test_local_up_refuses_a_taken_port(stack: LocalStack) -> None:
    port = stack.environ["AWS_ENDPOINT_URL"].rsplit(":", 1)[1]
    answer = cli(stack, "local", "up", "--port", port)
    assert answer.returncode != 0
    assert "--port" in answer.stderr


def test_help_names_every_command_without_torch() -> None:
    code = "import sys; from layoutlm_cli.main import app; app(['--help'], standalone_mode=False)"
    code += "; assert 'torch' not in sys.modules"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in (
        "train-worker",
        "export-worker",
        "submit",
        "jobs",
        "status",
        "cancel",
        "results",
        "local",
        "demo",
    ):
        assert name in answer.stdout


def test_recover_sends_a_lost_message_again_and_says_how_many(stack: LocalStack) -> None:
    soon = {"LAYOUTLM_ORPHAN_SECONDS": "0.01"}
    assert cli(stack, "submit", "train", "my-run", **soon).returncode == 0
    stack.client("sqs").purge_queue(QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"])
    time.sleep(1.5)  # an HTTP date tells the table's time to about a second
    answer = cli(stack, "recover", **soon)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "trainings brought back: 1, exports: 0\n"
    [body] = waiting(stack, "TRAIN_JOB_QUEUE_URL")
    assert body["job_name"] == "my-run"
