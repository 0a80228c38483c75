"""`python -m receipt_layoutlm.training JOBFILE`: the child process of the train worker."""

from __future__ import annotations

import os
import sys

# Before torch is loaded. Threads that spin while they wait take the CPU from the one that they wait for as
# soon as another process wants it too: beside two busy processes on two cores that halves the speed.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from messages.child import TrainTask
from receipt_layoutlm.child import run_child
from receipt_layoutlm.training.run import train

if __name__ == "__main__":
    sys.exit(run_child(TrainTask, train, sys.argv[1:]))
