"""A child that starts in milliseconds: it heeds the daemon's protocol without importing any of our packages.

What it plays is the tag `script` of a train job, or the last folder of an export's checkpoint. Attempts are
separated by `|`, where the last one repeats, and what happens in an attempt by `+`:

    work:SECONDS    live quietly; leave when asked to, or when the lease has run out
    live:SECONDS    the same, with a word on the wire every moment
    deaf:SECONDS    the same, and never leave when asked to
    fail:CLASS      fail for good
    retry:CLASS     fail for now
    cancel          ask to be cancelled, then wait for it
    stop            have the worker asked to stop, then wait for it

An attempt that comes to the end of its script succeeds.
"""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable

from tests.chaos.wire import speak

PERMANENT, RETRY, STOPPED, LAPSED = 65, 75, 83, 84
FOR_EVER = float("inf")
MOMENT_SECONDS = 0.02
_STEADY_CLOCK = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC

stop_requested: list[int] = []


def report(**fields: object) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


def steady() -> float:
    return time.clock_gettime(_STEADY_CLOCK)


def work(seconds: float, each_moment: Callable[[float], None] = lambda _: None) -> None:
    """Live so long; leave when asked to, and at once when the daemon is gone or the lease has run out."""
    end, safe_until, heard = steady() + seconds, FOR_EVER, b""
    while not stop_requested:
        at, now = time.time(), steady()  # before the looks: between them and the word, time may pass
        if now >= end:
            return
        if now >= safe_until:
            os._exit(LAPSED)
        each_moment(at)
        if select.select([0], [], [], min(MOMENT_SECONDS, end - now))[0]:
            said = os.read(0, 4096)
            if not said:
                os._exit(LAPSED)
            *lines, heard = (heard + said).split(b"\n")
            safe_until = float(lines[-1]) if lines else safe_until
    sys.exit(STOPPED)


def succeed(task: dict[str, str]) -> None:
    if "training_job_id" in task:
        bundle = {"mlpackage_s3_uri": "s3://bucket/x.mlpackage", "bundle_s3_uri": "s3://bucket/x/"}
        canonical = {"canonical_bundle_s3_uri": "s3://bucket/x.zip", "canonical_bundle_etag": "etag"}
        report(type="exported", **bundle, **canonical, model_size_bytes=12)
    else:
        run = task["run_s3_uri"]
        results = {"best_f1": 0.5, "best_checkpoint_s3_path": f"{run}best/"}
        report(type="trained", run_s3_uri=run, best_checkpoint_s3_uri=f"{run}best/", results=results)


def fail(error_class: str, code: int) -> None:
    report(type="failure", error_class=error_class, message=f"scripted {error_class}")
    sys.exit(code)


def have_worker_stopped() -> None:
    worker = os.environ.get("CHAOS_WORKER_PID")
    if worker is not None:  # else this is another worker, which nobody stops
        os.kill(int(worker), signal.SIGTERM)
        work(FOR_EVER)


def play(scene: str, owner_id: str, attempt: int) -> None:
    name, _, argument = scene.partition(":")
    if name == "work":
        work(float(argument))
    elif name in {"live", "deaf"}:
        work(float(argument), lambda at: speak(owner_id, "lives", attempt, at))
    elif name == "fail":
        fail(argument, PERMANENT)
    elif name == "retry":
        fail(argument, RETRY)
    elif name == "cancel":
        speak(owner_id, "cancel", attempt, time.time())
        work(FOR_EVER)
    elif name == "stop":
        have_worker_stopped()
    elif name != "succeed":
        raise SystemExit(f"no such scene: {name}")


def read_task() -> tuple[dict[str, str], str, int, str]:
    """The task, whose it is, the attempt and that attempt's script."""
    with open(sys.argv[1]) as job_file:  # noqa: PTH123 - pathlib takes longer to import than all else here
        task = json.load(job_file)
    job, attempt = task["job"], int(task["attempt"])
    script = job["tags"]["script"] if "tags" in job else job["model_s3_uri"].rstrip("/").rsplit("/", 1)[-1]
    attempts = script.split("|")
    return task, job.get("export_id") or job["job_id"], attempt, attempts[min(attempt, len(attempts)) - 1]


def main() -> None:
    task, owner_id, attempt, script = read_task()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in script else lambda *_: stop_requested.append(1))
    report(type="progress", stage="working")
    for scene in script.split("+"):
        play(scene, owner_id, attempt)
    succeed(task)


if __name__ == "__main__":
    main()
