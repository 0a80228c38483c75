"""Job file, report lines and exit codes between a daemon and its child process."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from messages.export import ExportJob
from messages.fields import Message
from messages.train import TrainJob


class ChildExit(IntEnum):
    """Exit codes of a child, from sysexits.h where it has one.

    LAPSED is its own decision: the lease ran out or the daemon is gone, so the job may be someone else's.
    """

    DONE = 0
    PERMANENT = 65
    RETRY = 75
    STOPPED = 83
    LAPSED = 84


class ErrorClass(StrEnum):
    """Kinds of failure; `retryable` says whether another attempt can help, `of_host` where the fault lies.

    FORBIDDEN is a bucket that is not on the allow list; DENIED is a request that AWS refuses the role, or for
    a reason that only AWS knows, and may take later. CHECKSUM is a transfer whose end differs from its
    beginning. SETUP is this host's own bucket, role or key that is not as a worker needs it, CLOCK this
    host's clock.
    """

    MESSAGE = "message"
    DATA = "data"
    CONFIGURATION = "configuration"
    CHECKPOINT = "checkpoint"
    BUNDLE = "bundle"
    DIVERGED = "diverged"
    TIMEOUT = "timeout"
    NAME_IN_USE = "name_in_use"
    ID_IN_USE = "id_in_use"
    FORBIDDEN = "forbidden"
    DENIED = "denied"
    THROTTLED = "throttled"
    NETWORK = "network"
    CHECKSUM = "checksum"
    CREDENTIALS = "credentials"
    SETUP = "setup"
    CLOCK = "clock"
    DISK = "disk"
    MEMORY = "memory"
    HOST = "host"
    CRASHED = "crashed"
    STALLED = "stalled"

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self in _RETRYABLE

    @property
    def of_host(self) -> bool:
        """Whether this host is at fault, not the request: on another one it may succeed."""
        return self in _OF_HOST


_OF_HOST = frozenset(
    {
        ErrorClass.SETUP,
        ErrorClass.CLOCK,
        ErrorClass.DISK,
        ErrorClass.NETWORK,
        ErrorClass.CREDENTIALS,
    }
)
_RETRYABLE = _OF_HOST | {
    ErrorClass.DENIED,
    ErrorClass.CHECKSUM,
    ErrorClass.THROTTLED,
    ErrorClass.MEMORY,
    ErrorClass.HOST,
    ErrorClass.CRASHED,
    ErrorClass.STALLED,
}


class TrainTask(Message):
    """The job file of `python -m receipt_layoutlm.training`. AWS settings come by the environment."""

    job: TrainJob
    attempt: int = Field(ge=1)
    table_name: str
    run_s3_uri: str
    allowed_buckets: tuple[str, ...]
    work_dir: str
    usd_per_hour: float | None = None
    checkpoint_tag: str | None = None


CanonicalRule = Literal["newer", "better"]
"""The bundle that may replace the one clients download: a newer run's, or a newer one's with a greater F1."""


class ExportTask(Message):
    """The job file of `python -m receipt_layoutlm.coreml`.

    Attributes:
        training_created_at: when the training was asked for: what makes a run newer than another.
        training_f1: its best F1, where it is known.
        table_name: where the run's validation receipts are read from.
        cache_dir: where checkpoints stay for the next export, at most `cache_bytes` of them; 0 keeps none.
    """

    job: ExportJob
    attempt: int = Field(ge=1)
    training_job_id: str
    training_job_name: str
    training_created_at: str
    training_f1: float | None = None
    canonical_bundle_s3_uri: str
    canonical_rule: CanonicalRule = "newer"
    allowed_buckets: tuple[str, ...]
    table_name: str | None = None
    work_dir: str
    cache_dir: str | None = None
    cache_bytes: int = 0


class Progress(Message):
    """A sign of life: where the child is."""

    type: Literal["progress"] = "progress"
    stage: str
    message: str = ""
    epoch: float | None = None
    step: int | None = None
    total_steps: int | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class Trained(Message):
    """The last line of a training that succeeded: what goes into Job.results and the result message."""

    type: Literal["trained"] = "trained"
    run_s3_uri: str
    best_checkpoint_s3_uri: str
    results: dict[str, Any]


class Exported(Message):
    """The last line of an export that succeeded."""

    type: Literal["exported"] = "exported"
    mlpackage_s3_uri: str
    bundle_s3_uri: str
    canonical_bundle_s3_uri: str
    canonical_bundle_etag: str
    canonical_bundle_replaced: bool = True
    canonical_bundle_kept: str | None = None
    model_size_bytes: int
    peak_memory_bytes: int | None = None
    stage_seconds: dict[str, float] = Field(default_factory=dict)


class Failure(Message):
    """The last line of a child that failed and knows why."""

    type: Literal["failure"] = "failure"
    error_class: ErrorClass
    message: str


Report = Progress | Trained | Exported | Failure
_REPORT: pydantic.TypeAdapter[Report] = pydantic.TypeAdapter(
    Annotated[Report, Field(discriminator="type")], config=pydantic.ConfigDict(defer_build=True)
)


def parse_report(line: str | bytes) -> Report | None:
    """One line of a child's output as a report, or None for anything else that a library printed there."""
    try:
        return _REPORT.validate_json(line)
    except pydantic.ValidationError:
        return None
