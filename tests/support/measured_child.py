"""A child that has measured itself: speed, accelerator and cost, as a training on a GPU reports them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from messages.child_protocol import ChildExit, Progress, Trained
from run_records.job_process.lease_guard import watch_lease
from tests.support.scripted_child import say

SECONDS = 0.3
SPEED = {"samples_per_second": 12.5, "gpu_memory_used": 3e9, "gpu_utilization": 87.0}
COST = 0.42


def main() -> int:
    watch_lease()
    task = json.loads(Path(sys.argv[1]).read_text())
    run = str(task["run_s3_uri"])
    sys.stderr.write("INFO a line of the child\n")
    time.sleep(SECONDS)
    say(Progress(stage="training", message="epoch 1 has F1 0.5", metrics={"eval_f1": 0.5, **SPEED}))
    results = {"best_f1": 0.75, "best_epoch": 1.0, "train_runtime": SECONDS, "cost_usd": COST}
    say(Trained(run_s3_uri=run, best_checkpoint_s3_uri=f"{run}best/", results=results))
    return ChildExit.DONE


if __name__ == "__main__":
    sys.exit(main())
