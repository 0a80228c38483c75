"""The real daemon, with a child that takes seconds to reach a checkpoint when it has to stop, and uploads it.

`python -m tests.support.checkpointing train-worker` is the daemon, with a job file it is the child.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from layoutlm_cli.main import main
from messages.child import ChildExit, Progress
from receipt_dynamo.session import new_session
from receipt_layoutlm.guard import watch_lease
from tests.support.scripted_child import play, say
from workers.train import Training

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


if __name__ == "__main__":
    job_file = Path(sys.argv[1])
    if job_file.suffix == ".json":
        watch_lease()
        sys.exit(train(json.loads(job_file.read_text())))
    Training.module = "tests.support.checkpointing"
    main()
