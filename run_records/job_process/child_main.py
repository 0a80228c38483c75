"""The child's side of the process boundary: job file in, report lines and exit code out."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, TypeVar

import pydantic

from messages.child_protocol import ChildExit, ErrorClass, Exported, Failure, Progress, Report, Trained
from messages.fields import Message
from receipt_dynamo import errors as dynamo
from receipt_dynamo.session import check_before_requests
from run_records.error_causes import causes_of, find_full_disk
from run_records.errors import DiskError, RunError
from run_records.job_process.lease_guard import watch_lease

_T = TypeVar("_T", bound=Message)
_TABLE_ERRORS: dict[type[dynamo.DynamoError], ErrorClass] = {
    dynamo.TableMissing: ErrorClass.SETUP,
    dynamo.InvalidSetting: ErrorClass.SETUP,
    dynamo.Forbidden: ErrorClass.SETUP,
    dynamo.ClockError: ErrorClass.CLOCK,
    dynamo.Throttled: ErrorClass.THROTTLED,
    dynamo.CredentialsError: ErrorClass.CREDENTIALS,
    dynamo.NetworkError: ErrorClass.NETWORK,
    dynamo.InvalidItem: ErrorClass.DATA,
    dynamo.ItemTooLarge: ErrorClass.DATA,
}
# How torch and the system's allocator say it: by a RuntimeError or an OSError of many causes.
_DEVICE_FULL = "out of memory"  # "CUDA ...", "MPS backend ..."
_HOST_FULL = ("DefaultCPUAllocator", "can't allocate memory", "Cannot allocate memory")
log = logging.getLogger(__name__)


class StopRequested:
    """Whether the daemon asked the child to reach a checkpoint and leave."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def install(self) -> None:
        """Let SIGTERM set it. SIGINT too: a terminal sends it to the whole group, the daemon included."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._event.set())

    def __bool__(self) -> bool:
        return self._event.is_set()


class Stopped(Exception):  # noqa: N818 - not an error
    """The work was left at a whole checkpoint, as asked."""


class Reporter:
    """Writes report lines; `Reporter(None)` keeps quiet."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, report: Report) -> None:
        """Write one line. A daemon that is gone is not this side's problem: the lease decides."""
        if self._stream is None:
            return
        with self._lock:
            try:
                self._stream.write(report.model_dump_json(exclude_none=True) + "\n")
                self._stream.flush()
            except BrokenPipeError:
                self._stream = None

    def progress(self, stage: str, message: str = "", **fields: float | dict[str, float] | None) -> None:
        """Say where the work is."""
        self.send(Progress.model_validate({"stage": stage, "message": message, **fields}))


def run_child(
    task_type: type[_T], work: Callable[[_T, Reporter, StopRequested], Trained | Exported], argv: list[str]
) -> int:
    """Read the job file named by `argv`, do the work, report how it ended.

    Returns:
        An exit code of `ChildExit`; the reason of a failure went out as the last report line.
    """
    reporter = _claim_stdout()
    if not os.isatty(0):  # a person at a terminal has no daemon, and no lease to lose
        check_before_requests(watch_lease().check)
    stop = StopRequested()
    stop.install()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    try:
        task = _read_task(task_type, argv)
        reporter.send(work(task, reporter, stop))
    except Stopped:
        return ChildExit.STOPPED
    except BaseException as error:  # noqa: BLE001 - the last line of defence turns anything into a reason
        return _fail(reporter, error)
    return ChildExit.DONE


def classify(error: BaseException) -> tuple[ErrorClass, str]:
    """The class of an error and the sentence that a person reads."""
    # A full disk or memory first: whoever met it may have taken it for a fault of the file being read.
    if (full := find_full_disk(error)) is not None:
        said = str(full).split("\n", 1)[0]
        return ErrorClass.DISK, (
            f"The disk is full, or a quota or limit of files ({said}). Free some space in the work directory."
        )
    for one in causes_of(error):
        if (shortage := _memory_shortage(one)) is not None:
            return ErrorClass.MEMORY, shortage
    if isinstance(error, RunError):
        return error.error_class, str(error)
    for kind, error_class in _TABLE_ERRORS.items():
        if isinstance(error, kind):
            return error_class, str(error)
    return ErrorClass.CRASHED, f"{type(error).__name__}: {error}"


def _memory_shortage(error: BaseException) -> str | None:
    """A sentence that names the memory that was too small; None for an error of another kind."""
    said = str(error).split("\n", 1)[0]
    if isinstance(error, MemoryError) or any(sign in said for sign in _HOST_FULL):
        return (
            f"The host's memory is full ({said or 'MemoryError'}). Use a host with more memory, or a smaller "
            "batch_size for a training."
        )
    if isinstance(error, RuntimeError) and _DEVICE_FULL in said:
        return (
            f"The accelerator's memory is full ({said}). Use a smaller batch_size with more "
            "gradient_accumulation_steps, a shorter max_seq_length, or a larger accelerator."
        )
    return None


def _claim_stdout() -> Reporter:
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return Reporter(stream)


def _read_task(task_type: type[_T], argv: list[str]) -> _T:
    if len(argv) != 1:
        raise SystemExit("usage: python -m <package> JOBFILE")
    try:
        body = Path(argv[0]).read_bytes()
    except OSError as error:
        raise DiskError(
            f"The job file {argv[0]} cannot be read ({error.strerror}): something has removed or changed the "
            "work folder. Keep LAYOUTLM_WORK_DIR away from what cleans up old files."
        ) from error
    try:
        return task_type.model_validate_json(body)
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise RunError(
            f"{argv[0]} is no job file of this version ({'.'.join(map(str, fault['loc']))}: {fault['msg']}). "
            "Start the worker again, so that it and its children are of one installation."
        ) from error


def _fail(reporter: Reporter, error: BaseException) -> int:
    error_class, message = classify(error)
    log.error("%s: %s", error_class, message, exc_info=error)
    reporter.send(Failure(error_class=error_class, message=message))
    return ChildExit.RETRY if error_class.retryable else ChildExit.PERMANENT
