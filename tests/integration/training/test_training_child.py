"""`python -m receipt_layoutlm.training JOBFILE` as the daemon starts it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from messages.child_protocol import ChildExit, ErrorClass, Failure, Progress, Trained, TrainTask, parse_report
from receipt_dynamo.clock import steady_seconds
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask, read_json
from workers.local_aws.local_stack import LocalStack

WITHIN_SECONDS = 120


class Child:
    """A training in a process of its own; its standard input is held open as the daemon's pipe is."""

    def __init__(self, stack: LocalStack, task: TrainTask, folder: Path) -> None:
        job_file = folder / f"job-{task.job.job_name}-{task.attempt}.json"
        job_file.write_text(task.model_dump_json(), encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "receipt_layoutlm.training", str(job_file)],
            env=stack.child_environ(OMP_NUM_THREADS="1"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steady_seconds() + 600:.3f}\n".encode())
        self.process.stdin.flush()

    def finish(self) -> tuple[int, list[object], str]:
        """Exit code, reports and standard error."""
        out, err = b"", b""
        try:
            assert self.process.stdout is not None
            assert self.process.stderr is not None
            out, err = self.process.stdout.read(), self.process.stderr.read()
            self.process.wait(WITHIN_SECONDS)
        finally:
            self.process.kill()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream:
                    stream.close()
            self.process.wait()
        return self.process.returncode, [parse_report(line) for line in out.splitlines()], err.decode()


def test_a_training_reports_its_progress_and_its_result_and_exits_with_zero(
    aws: LocalStack, make_task: MakeTask, tmp_path: Path
) -> None:
    code, reports, err = Child(aws, make_task(), tmp_path).finish()
    assert code == ChildExit.DONE, err
    assert isinstance(reports[-1], Trained)
    assert reports[-1].results["training_job_name"] == "run"
    stages = [report.stage for report in reports if isinstance(report, Progress)]
    assert {"loading", "training", "uploading"} <= set(stages)
    assert None not in reports
    assert "Warning" not in err


def test_a_failure_that_no_retry_mends_exits_so_and_says_why(
    aws: LocalStack, make_task: MakeTask, tmp_path: Path
) -> None:
    code, reports, _ = Child(aws, make_task(dataset_snapshot_load=None), tmp_path).finish()
    assert code == ChildExit.PERMANENT
    assert isinstance(reports[-1], Failure)
    assert reports[-1].error_class is ErrorClass.DATA
    assert "Validate labels" in reports[-1].message


def test_a_signal_leads_to_a_checkpoint_from_which_the_next_child_goes_on(
    aws: LocalStack, storage: S3Store, make_task: MakeTask, tmp_path: Path
) -> None:
    task = make_task(epochs=40, early_stopping_patience=0, batch_size=1)
    child = Child(aws, task, tmp_path)
    assert child.process.stdout is not None
    for line in child.process.stdout:
        report = parse_report(line)
        if isinstance(report, Progress) and report.metrics:
            break
    child.process.send_signal(signal.SIGTERM)
    code, _, err = child.finish()
    assert code == ChildExit.STOPPED, err
    steps = sorted(
        int(key.split("/")[0].removeprefix("checkpoint-"))
        for key in storage.list_keys(f"{task.run_s3_uri}checkpoints/")
        if key.endswith("manifest.json")
    )
    assert steps
    before = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"]
    # The next attempt has as little left to do as the first one did.
    shorter = make_task(epochs=len(before) + 1, early_stopping_patience=0, batch_size=1, attempt=2)
    code, reports, err = Child(aws, shorter, tmp_path).finish()
    assert code == ChildExit.DONE, err
    assert f"continuing after step {steps[-1]}" in err
    after = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"]
    assert after[: len(before)] == before
    assert [epoch["epoch"] for epoch in after] == list(range(1, len(before) + 2))
    assert isinstance(reports[-1], Trained)
