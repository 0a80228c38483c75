"""The `JobHandler` protocol: the seam between runtime and jobs."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeVar

from messages.errors import InvalidMessage
from messages.fields import Message
from receipt_dynamo.entities import JobLease
from workers.runtime.outcome import AttemptResult
from workers.sqs.queue import Received

JobT = TypeVar("JobT", bound=Message)


class JobHandler(Protocol[JobT]):
    """One kind of job. Every write is conditional on the attempt, every method may be repeated.

    A `message_id` is SQS's, of the message that the writing worker holds; None where it holds none.
    """

    @property
    def name(self) -> Literal["train", "export"]:
        """The job kind's name in leases, logs and queues."""
        ...

    @property
    def module(self) -> str:
        """The module that `python -m` runs for a job."""
        ...

    def decode(self, message: Received) -> JobT:
        """Parse the message; raises InvalidMessage."""
        ...

    def owner_id(self, job: JobT) -> str:
        """Id of the record whose lease this job claims."""
        ...

    def timeout_seconds(self, job: JobT) -> float | None:
        """Time limit of one attempt, in seconds; None has no limit."""
        ...

    async def begin(self, job: JobT, attempt: int, work_dir: str, message_id: str | None = None) -> Message:
        """Set the record's status to running; returns the child's task. Raises Refused."""
        ...

    async def interrupted(self, job: JobT, attempt: int, why: str, message_id: str | None = None) -> None:
        """Set the record's status to interrupted: the job waits for another host."""
        ...

    async def note_failure(self, job: JobT, attempt: int, why: str, at: str) -> None:
        """Leave the reason of a failed attempt that another one follows, where people look for it."""
        ...

    def decide(self, job: JobT, attempt: int, verdict: AttemptResult) -> dict[str, Any]:
        """All data of a completion as plain values, so that any worker can complete the job."""
        ...

    async def complete(self, record: JobLease, message_id: str | None = None) -> None:
        """Bring the record up to the decision and send the result; a closed one gets its result again."""
        ...

    async def send_unreadable(self, error: InvalidMessage, message: Received) -> bool:
        """Send the result of a body that could not be read; False when it names no id to send it for."""
        ...
