"""Errors of a worker, those of its host included."""

from __future__ import annotations

from typing import ClassVar


class WorkerError(Exception):
    """Base: ends the daemon with `exit_code`."""

    exit_code: ClassVar[int] = 70


class SettingsError(WorkerError):
    """A setting is missing or wrong; starting again changes nothing (EX_CONFIG)."""

    exit_code = 78


class QueueUnusable(WorkerError):  # noqa: N818 - reads as what it is
    """The queue does not exist, or is not one that a worker can lean on (EX_CONFIG)."""

    exit_code = 78


class BucketUnusable(WorkerError):  # noqa: N818
    """The worker's own bucket does not exist or cannot be used (EX_CONFIG)."""

    exit_code = 78


class NoDeadLetterQueue(QueueUnusable):
    """The queue has no dead-letter queue."""


class CredentialsMissing(WorkerError):  # noqa: N818
    """There are no AWS credentials, or none that AWS takes (EX_NOPERM)."""

    exit_code = 77


class CredentialsPending(CredentialsMissing):
    """The provider of the credentials fails; it may work later."""


class EndpointLost(WorkerError):  # noqa: N818
    """AWS or another host cannot be reached; the supervisor may start the daemon again (EX_UNAVAILABLE)."""

    exit_code = 69


class HostUnfit(WorkerError):  # noqa: N818
    """Jobs fail for the host's disk or clock; a start may mend that, so it may start again (EX_OSERR)."""

    exit_code = 71


class NotNow(WorkerError):  # noqa: N818 - reads as what it is
    """A job that cannot be taken or ended now; the same command may do so later (EX_TEMPFAIL)."""

    exit_code = 75


class SideTaskFailed(WorkerError):  # noqa: N818 - reads as what it is
    """A task beside the work failed five times in a row; a new start may help (EX_SOFTWARE)."""

    exit_code = 70


class QueueError(Exception):
    """One call to SQS, or to the worker's own bucket, failed; the loop counts these."""


class CredentialsRefused(QueueError):  # noqa: N818
    """AWS did not take the credentials. They may be renewed while we try again."""


class MetadataError(Exception):
    """The instance metadata service did not answer as it should."""


class GroupError(Exception):
    """Auto Scaling did not do what it was asked to."""
