"""The real daemon as a process, whose children run the module in BENCH_CHILD instead of the model.

With BENCH_CALLS each request to AWS is written to that file just before it is sent, one line each: the steady
second, service and operation.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from layoutlm_cli.main import main
from receipt_dynamo.clock import steady_seconds
from workers.jobs.export import ExportHandler
from workers.jobs.training import TrainingHandler


def run_writing(path: Path) -> None:
    """Run the command with a session whose clients write down what they send."""
    # Here, because a daemon whose memory is measured has no use for the first of them.
    from unittest import mock  # noqa: PLC0415

    from aiobotocore.session import get_session  # noqa: PLC0415

    from workers import aws_clients as aws  # noqa: PLC0415

    lines = path.open("a", buffering=1, encoding="utf-8")

    def write(request: Any, **_: object) -> None:
        # Both services name the operation so: AmazonSQS.ReceiveMessage, DynamoDB_20120810.UpdateItem.
        target = request.headers["X-Amz-Target"]
        lines.write(f"{steady_seconds():.4f} {target if isinstance(target, str) else target.decode()}\n")

    session = get_session()
    session.register("before-send", write)
    with mock.patch.object(aws, "get_session", return_value=session):
        main()


if __name__ == "__main__":
    TrainingHandler.module = ExportHandler.module = os.environ["BENCH_CHILD"]
    if calls := os.environ["BENCH_CALLS"]:
        run_writing(Path(calls))
    else:
        main()
