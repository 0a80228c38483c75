"""What can go wrong between a worker and its host; none of it ends a worker."""

from __future__ import annotations


class MetadataError(Exception):
    """The instance metadata service did not answer as it should."""


class GroupError(Exception):
    """Auto Scaling did not do what it was asked to."""
