"""Measures the runtime's own cost per job with an idle child: CPU, requests, and jobs per second."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter

from benchmarks.daemons import Jobs, moment, running
from benchmarks.report import least, print_row
from workers.local_aws.local_stack import LocalStack, MotoServer

WARM_UP = 5
JOBS = 100
COUNTED = 10
STARTS = 15

_SERVICES = {"AmazonSQS": "SQS", "DynamoDB_20120810": "DynamoDB"}


def measure() -> None:
    """CPU and jobs a second over a hundred jobs, and the requests of ten, in a run of their own."""
    with MotoServer() as emulator:
        _cpu_and_pace(LocalStack.make(emulator))
        # With queues of its own: the poll of the daemon that has just been ended may still take a message.
        _requests(LocalStack.make(emulator, suffix="-counted"))


def _cpu_and_pace(stack: LocalStack) -> None:
    jobs = Jobs.of(stack)
    with running(stack, "child_noop") as daemon:
        jobs.send(WARM_UP)
        daemon.wait_for("message handled", WARM_UP)
        own, children = daemon.cpu_seconds()
        jobs.send(JOBS)
        handled = daemon.wait_for("message handled", WARM_UP + JOBS)
        own_after, children_after = daemon.cpu_seconds()
    assert all(line["ending"] == "DONE" for line in handled)
    took = (moment(handled[-1]) - moment(handled[WARM_UP])) / (JOBS - 1)
    start = [_start_seconds() for _ in range(STARTS)]
    print_row(
        "no-op job, received to deleted: CPU of the daemon", f"{(own_after - own) / JOBS * 1000:.1f} ms"
    )
    print_row(
        "no-op job: CPU of the child", f"{(children_after - children) / JOBS * 1000:.1f} ms, all of it start"
    )
    print_row("no-op jobs of one daemon", f"{1 / took:.1f} a second, {took * 1000:.0f} ms each")
    print_row("of these, such a child by itself, start to end", least(start))


def _start_seconds() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.child_noop"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _requests(stack: LocalStack) -> None:
    # All are there before the daemon is, so that no receive comes back empty.
    Jobs.of(stack).send(1 + COUNTED)
    with running(stack, "child_noop", calls=True) as daemon:
        daemon.wait_for("message handled", 1 + COUNTED)
        sent = [line.split()[1] for line in daemon.calls.read_text().splitlines()]
    ends = [place for place, target in enumerate(sent) if target == "AmazonSQS.DeleteMessage"]
    counts = Counter(sent[ends[0] + 1 : ends[COUNTED] + 1])
    print_row("no-op job: requests to AWS", f"{counts.total() / COUNTED:g}")
    for target, count in counts.most_common():
        service, _, operation = target.partition(".")
        print_row(f"of these {_SERVICES[service]} {operation}", f"{count / COUNTED:g}")
