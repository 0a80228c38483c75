"""`RunError` and its subclasses; each carries the class that tells the daemon whether to retry."""

from __future__ import annotations

from typing import ClassVar

from messages.child_protocol import ErrorClass


class RunError(Exception):
    """Base: a failure with a reason that a person can act on."""

    error_class: ClassVar[ErrorClass] = ErrorClass.CRASHED


class DataError(RunError):
    """The receipts cannot be trained on as they are."""

    error_class = ErrorClass.DATA


class ConfigurationError(RunError):
    """The request asks for something that does not exist or does not fit together."""

    error_class = ErrorClass.CONFIGURATION


class CheckpointError(RunError):
    """A checkpoint is missing, incomplete or of a form that is not loaded."""

    error_class = ErrorClass.CHECKPOINT


class Forbidden(RunError):  # noqa: N818
    """A bucket that is not on the allow list."""

    error_class = ErrorClass.FORBIDDEN


class Denied(RunError):  # noqa: N818
    """AWS refuses an access to what the request names; a policy that is mended meanwhile may grant it."""

    error_class = ErrorClass.DENIED


class SetupError(RunError):
    """The host's own bucket, role, encryption key or settings are not as a worker needs them."""

    error_class = ErrorClass.SETUP


class ClockError(RunError):
    """The host's clock differs too much from that of AWS."""

    error_class = ErrorClass.CLOCK


class ChecksumError(RunError):
    """The received bytes differ from the sent ones."""

    error_class = ErrorClass.CHECKSUM


class Throttled(RunError):  # noqa: N818
    """AWS asks for fewer requests."""

    error_class = ErrorClass.THROTTLED


class NetworkError(RunError):
    """An endpoint does not answer, or broke off."""

    error_class = ErrorClass.NETWORK


class CredentialsError(RunError):
    """There are no credentials, or they have expired."""

    error_class = ErrorClass.CREDENTIALS


class DiskError(RunError):
    """The work directory cannot hold what has to be written."""

    error_class = ErrorClass.DISK
