"""The real daemon, with a child that takes seconds to reach a checkpoint when it has to stop, and uploads it.

`python -m tests.support.checkpointing train-worker` is the daemon, with a job file it is the child.
TEST_BROKEN names what the daemon has a defect in, for example `workers.runtime.loop_monitor.compare`;
TEST_PAUSE_SECONDS bounds the pauses after it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from layoutlm_cli.main import main
from messages.child_protocol import ChildExit, Progress
from receipt_dynamo.session import new_session
from run_records.job_process.lease_guard import watch_lease
from tests.support.scripted_child import play, say
from workers import side_tasks
from workers.jobs.training import TrainingHandler

CHECKPOINT = "checkpoints/checkpoint-7/manifest.json"
STEP_SECONDS = 1.0
"""From the request to stop to the end of a step, where a checkpoint can be written."""


def train(task: dict[str, Any]) -> int:
    script = task["job"]["tags"]["script"]
    return reach_checkpoint(task) if script == "checkpoint" else play(script, task)


def reach_checkpoint(task: dict[str, Any]) -> int:
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    say(Progress(stage="training", epoch=1.0))
    while not stop:
        time.sleep(0.02)
    time.sleep(STEP_SECONDS)
    run = urlsplit(task["run_s3_uri"])
    client: Any = new_session()
    client.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).put_object(
        Bucket=run.netloc, Key=f"{run.path.lstrip('/')}{CHECKPOINT}", Body=b"{}"
    )
    return ChildExit.STOPPED


def spoil(name: str) -> None:
    """Put a defect where the name says, a function of a module or a method of its class."""
    module, _, attribute = name.rpartition(".")
    if module.rpartition(".")[2][0].isupper():
        module, _, owner = module.rpartition(".")
        place = getattr(importlib.import_module(module), owner)
    else:
        place = importlib.import_module(module)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken by the test")

    setattr(place, attribute, broken)
    side_tasks.MAX_PAUSE_SECONDS = float(os.environ.get("TEST_PAUSE_SECONDS", "0.2"))


if __name__ == "__main__":
    job_file = Path(sys.argv[1])
    if job_file.suffix == ".json":
        watch_lease()
        sys.exit(train(json.loads(job_file.read_text())))
    if name := os.environ.get("TEST_BROKEN"):
        spoil(name)
    TrainingHandler.module = "tests.support.checkpointing"
    main()
