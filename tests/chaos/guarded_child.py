"""A child with the guard of the real ones, which says that it lives until the guard ends it."""

from __future__ import annotations

import time

from run_records.job_process.lease_guard import watch_lease
from tests.chaos.child import MOMENT_SECONDS, read_task, succeed
from tests.chaos.wire import speak


def main() -> None:
    guard = watch_lease()
    task, owner_id, attempt, script = read_task()
    name, _, seconds = script.partition(":")
    end = time.monotonic() + (float(seconds) if name == "live" else 0)
    while time.monotonic() < end:
        # As a real child's requests are: checked just before. The time is taken first, since the process may
        # be frozen between the two.
        at = time.time()
        guard.check()
        speak(owner_id, "lives", attempt, at)
        time.sleep(MOMENT_SECONDS)
    succeed(task)


if __name__ == "__main__":
    main()
