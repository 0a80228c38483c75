"""The export child: `python -m receipt_layoutlm.coreml JOBFILE`."""

import os
import sys

# Before torch is loaded: threads that spin while they wait take the CPU from other processes of this host,
# and the gates would take several times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from messages.child_protocol import Exported, ExportTask
from run_records.job_process.child_main import Reporter, StopRequested, run_child
from run_records.job_process.heartbeat import ProgressReporter


def _export(task: ExportTask, reporter: Reporter, stop: StopRequested) -> Exported:
    with ProgressReporter(reporter).working("starting"):
        # Here, because loading coremltools takes seconds in which the lease is to be watched already.
        from receipt_layoutlm.coreml.export import export  # noqa: PLC0415
    return export(task, reporter, stop)


if __name__ == "__main__":
    sys.exit(run_child(ExportTask, _export, sys.argv[1:]))
