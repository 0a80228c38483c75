"""The emulated AWS as this process's own, with a bucket for each test."""

from __future__ import annotations

from tests.support.small_trainings import (
    aws,
    bucket,
    client,
    make_task,
    shared_stack,
    snapshot,
    storage,
)

__all__ = [
    "aws",
    "bucket",
    "client",
    "make_task",
    "shared_stack",
    "snapshot",
    "storage",
]
