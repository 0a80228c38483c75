"""The export child: `python -m receipt_layoutlm.coreml JOBFILE`."""

import sys

from messages.child import ExportTask
from receipt_layoutlm.child import run_child
from receipt_layoutlm.coreml.export import export

if __name__ == "__main__":
    sys.exit(run_child(ExportTask, export, sys.argv[1:]))
