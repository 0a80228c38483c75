"""Errors that end a training or an export, each with the class that tells the daemon whether to retry."""

from __future__ import annotations

from messages.child_protocol import ErrorClass
from run_records.errors import RunError


class BundleError(RunError):
    """A converted model is not what the clients hold it to."""

    error_class = ErrorClass.BUNDLE


class Diverged(RunError):  # noqa: N818 - reads as what happened
    """The loss is not a number any more."""

    error_class = ErrorClass.DIVERGED
