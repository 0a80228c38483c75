"""A child that says which trace it was started in: `TRACEPARENT`, in a training's results."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from messages.child_protocol import ChildExit, Trained
from run_records.job_process.lease_guard import watch_lease
from tests.support.scripted_child import say


def main() -> int:
    watch_lease()
    run = str(json.loads(Path(sys.argv[1]).read_text())["run_s3_uri"])
    results = {"traceparent": os.environ.get("TRACEPARENT", "none")}
    say(Trained(run_s3_uri=run, best_checkpoint_s3_uri=f"{run}best/", results=results))
    return ChildExit.DONE


if __name__ == "__main__":
    sys.exit(main())
