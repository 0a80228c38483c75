"""Write launchd/receipt-layoutlm.export-worker.plist, the agent as the code renders it for example settings.

`make reference` writes it; a test holds the checked-in file against this output.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from workers.operator.launchd_agent import LABEL, Agent
from workers.sqs.queue_definitions import BUCKET_NAME, QUEUES, TABLE_NAME

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "launchd" / f"{LABEL}.plist"
_NAMES = ROOT / "systemd" / "worker.env.example"
_PROGRAM = Path("/opt/receipt-layoutlm/bin/layoutlm-cli")
_HOME = "/Users/worker"
_REGION = "us-east-1"
_ACCOUNT = "123456789012"
_VALUES = {
    "AWS_REGION": _REGION,
    "DYNAMO_TABLE_NAME": TABLE_NAME,
    "LAYOUTLM_TRAINING_BUCKET": BUCKET_NAME,
    **{spec.variable: f"https://sqs.{_REGION}.amazonaws.com/{_ACCOUNT}/{spec.name}" for spec in QUEUES},
}
"""Values for the settings that systemd/worker.env.example leaves empty."""


def example() -> bytes:
    """The property list, independent of the host and the user that render it."""
    # The log's path is below the home folder of the user that renders the list.
    with patch.dict(os.environ, {"HOME": _HOME}):
        return replace(Agent.from_environ(_settings()), program=_PROGRAM).render()


def _settings() -> dict[str, str]:
    """The settings of the example file; the ones that it leaves empty get an example value.

    Raises:
        KeyError: the file names a setting that has no example value here.
    """
    lines = _NAMES.read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: value or _VALUES[name] for name, value in given.items()}


if __name__ == "__main__":
    PLACE.write_bytes(example())
