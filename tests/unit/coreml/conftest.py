"""A small model and its bundles."""

from __future__ import annotations

from tests.support.small_bundles import (
    bundle,
    bundle_of,
    change_config,
    change_weights,
    checkpoint_folder,
    trained,
)

__all__ = [
    "bundle",
    "bundle_of",
    "change_config",
    "change_weights",
    "checkpoint_folder",
    "trained",
]
