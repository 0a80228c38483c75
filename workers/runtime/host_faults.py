"""Ends a worker on whose host no job can succeed, before its faults fail every job of the queue.

One job may look like a fault of the host wherever it runs: it alone must not end the workers of a fleet. So
two different jobs in a row have to end that way.
"""

from __future__ import annotations

from messages.child_protocol import ErrorClass
from workers.errors import CredentialsMissing, EndpointLost, HostUnfit, SettingsError, WorkerError
from workers.runtime.outcome import AttemptResult, Ending

ENDS_AS: dict[ErrorClass, type[WorkerError]] = {
    ErrorClass.SETUP: SettingsError,
    ErrorClass.CREDENTIALS: CredentialsMissing,
    ErrorClass.NETWORK: EndpointLost,
    # Both may be mended by the time of the next start: it removes files that were left behind, and the time
    # service sets the clock.
    ErrorClass.DISK: HostUnfit,
    ErrorClass.CLOCK: HostUnfit,
}


class HostFaults:
    """The jobs that ended by the host's fault since one ended otherwise."""

    def __init__(self) -> None:
        self._last: str | None = None
        self._end: WorkerError | None = None

    def note(self, job_id: str, verdict: AttemptResult) -> None:
        """Note how an attempt ended."""
        if verdict.ending is Ending.LOST:  # says nothing of the host
            return
        if verdict.ending is not Ending.HOST_FAULT or verdict.error_class is None:
            self._last = None
        elif self._last in {None, job_id}:
            self._last = job_id
        else:
            self._end = ENDS_AS[verdict.error_class](
                f"Two jobs in a row failed for a fault of this host ({verdict.error_class}), the last with: "
                f"{verdict.message} Both went back to the queue. Mend the host, then start the worker again."
            )

    def check(self) -> None:
        """Raise what ends the worker, once two different jobs in a row have ended by the host's fault.

        Raises:
            WorkerError: with the exit code of the fault's class.
        """
        if self._end is not None:
            raise self._end
