"""`python -m receipt_layoutlm.training JOBFILE`: the child process of the train worker."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before torch is loaded. Threads that spin while they wait take the CPU from the one that they wait for as
# soon as another process wants it too: beside two busy processes on two cores that halves the speed.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from messages.child_protocol import Trained, TrainTask
from receipt_layoutlm.training.launch import launch, plan_processes
from receipt_layoutlm.training.speed.allocator import keep_freed_memory
from run_records.job_process.child_main import Reporter, StopRequested, run_child
from run_records.job_process.heartbeat import ProgressReporter


def _train(task: TrainTask, reporter: Reporter, stop: StopRequested) -> Trained:
    with ProgressReporter(reporter).working("starting"):
        # Here, because loading torch takes seconds in which the lease is to be watched already.
        from receipt_layoutlm.training.run import train  # noqa: PLC0415
    return train(task, reporter, stop)


if __name__ == "__main__":
    if processes := plan_processes(os.environ):
        command = [sys.executable, "-m", "receipt_layoutlm.training", *sys.argv[1:]]
        sys.exit(launch(command, processes, Path(sys.argv[-1]).parent))
    keep_freed_memory()
    sys.exit(run_child(TrainTask, _train, sys.argv[1:]))
