"""Trainings of a tiny model."""

from __future__ import annotations

from tests.support.small_trainings import (
    aws,
    bucket,
    client,
    hub_folder,
    make_task,
    shared_stack,
    snapshot,
    storage,
)

__all__ = [
    "aws",
    "bucket",
    "client",
    "hub_folder",
    "make_task",
    "shared_stack",
    "snapshot",
    "storage",
]
