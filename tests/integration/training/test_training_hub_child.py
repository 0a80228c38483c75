"""A training child whose default model comes from a hub that fails, and then does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from messages.child_protocol import ChildExit, ErrorClass, Failure, Trained, parse_report
from messages.hyperparameters import Hyperparameters
from receipt_dynamo.clock import steady_seconds
from tests.support.fake_hub import Fault, serve_hub
from tests.support.small_trainings import MakeTask
from workers.local_aws.local_stack import LocalStack

DEFAULT = Hyperparameters().pretrained_model


@pytest.mark.parametrize(
    ("fault", "code", "error_class"),
    [("503", ChildExit.RETRY, ErrorClass.NETWORK), ("gated", ChildExit.PERMANENT, ErrorClass.CONFIGURATION)],
)
def test_the_training_child_ends_as_the_hubs_answer_says_and_a_later_attempt_succeeds(
    aws: LocalStack,
    make_task: MakeTask,
    hub_folder: Path,
    tmp_path: Path,
    fault: Fault,
    code: ChildExit,
    error_class: ErrorClass,
) -> None:
    with serve_hub(hub_folder) as hub:
        hub.fault = fault
        task = make_task("hub", epochs=1, pretrained_model=DEFAULT)
        (tmp_path / "job.json").write_text(task.model_dump_json())
        home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        failed, last = run_child(tmp_path / "job.json", aws.child_environ(**home))
        assert isinstance(last, Failure), last
        assert (failed, last.error_class) == (code, error_class)
        assert DEFAULT in last.message
        hub.fault = "none"
        succeeded, last = run_child(tmp_path / "job.json", aws.child_environ(**home))
        assert (succeeded, type(last)) == (ChildExit.DONE, Trained), last


def run_child(job_file: Path, environ: dict[str, str]) -> tuple[int, object]:
    """Exit code and last report of `python -m receipt_layoutlm.training`."""
    read_end, write_end = os.pipe()  # held open, as a daemon's pipe is
    os.write(write_end, f"{steady_seconds() + 600:.3f}\n".encode())
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "receipt_layoutlm.training", str(job_file)],
            env=environ,
            stdin=read_end,
            capture_output=True,
            check=False,
        )
    finally:
        os.close(read_end)
        os.close(write_end)
    lines = answer.stdout.splitlines()
    return answer.returncode, parse_report(lines[-1]) if lines else json.dumps(answer.stderr.decode()[-2000:])
