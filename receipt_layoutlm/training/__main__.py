"""`python -m receipt_layoutlm.training JOBFILE`: the child process of the train worker."""

from __future__ import annotations

import sys

from messages.child import TrainTask
from receipt_layoutlm.child import run_child
from receipt_layoutlm.training.run import train

if __name__ == "__main__":
    sys.exit(run_child(TrainTask, train, sys.argv[1:]))
