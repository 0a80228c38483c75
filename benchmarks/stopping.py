"""Measures the time until the next worker has the job of a worker that stopped or died."""

from __future__ import annotations

import random
import signal
import statistics
import time

import psutil

from benchmarks.daemons import Daemon, Jobs, moment, running
from benchmarks.report import print_row, spread
from workers.local_aws.local_stack import LocalStack, MotoServer

ROUNDS = 20
DEATHS = 7
LEASE_SECONDS = 6.0


def measure() -> None:
    """Twenty stops with a job and twenty without, then some deaths."""
    with MotoServer() as emulator:
        stack = LocalStack.make(emulator)
        stopped = [_stop_with_a_job(stack) for _ in range(ROUNDS)]
        print_row("SIGTERM to message visible again, lease free; the child leaves at once", spread(stopped))
        handed_back = [_stop_while_a_message_comes(stack) for _ in range(ROUNDS)]
        print_row("message that comes during the stop: sent to handed back", spread(handed_back))
        resumed = [_death(LocalStack.make(emulator, suffix=f"-{number}")) for number in range(DEATHS)]
        print_row(
            f"SIGKILL of the daemon to the child of another one, lease {LEASE_SECONDS:g} s",
            f"{spread(resumed)}; {statistics.median(resumed) / LEASE_SECONDS:.2f} and "
            f"{max(resumed) / LEASE_SECONDS:.2f} leases",
            "floor: what is left of the lease",
        )


def _stop_with_a_job(stack: LocalStack) -> float:
    jobs = Jobs.of(stack)
    jobs.send()
    with running(stack, "child_waiting") as daemon:
        daemon.wait_for("progress")
        started = time.perf_counter()
        daemon.process.send_signal(signal.SIGTERM)
        jobs.take()
        took = time.perf_counter() - started
        [handled] = daemon.wait_for("message handled")
        assert (handled["ending"], daemon.process.wait()) == ("STOPPED", 0)
    return took


def _stop_while_a_message_comes(stack: LocalStack) -> float:
    jobs = Jobs.of(stack)
    with running(stack, "child_waiting") as daemon:
        # Its receive waits for 20 seconds, and nothing cancels it.
        time.sleep(0.2)
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        sent = time.time()
        jobs.send()
        [line] = daemon.wait_for("message handed back")
        assert jobs.take() == 2, "the daemon never had it"
        assert daemon.process.wait() == 0
    return moment(line) - sent


def _death(stack: LocalStack) -> float:
    """From the death of one daemon to the start of the child of another, in seconds."""
    lease = str(LEASE_SECONDS)
    Jobs.of(stack).send()
    with running(stack, "child_waiting", LAYOUTLM_LEASE_SECONDS=lease) as first:
        [started] = first.wait_for("child started")
        with running(stack, "child_waiting", LAYOUTLM_LEASE_SECONDS=lease) as second:
            # Somewhere between two renewals, as deaths are.
            time.sleep(random.uniform(0, LEASE_SECONDS / 3))  # noqa: S311 - nothing secret
            died = time.time()
            first.process.kill()
            [resumed] = second.wait_for("child started")
            assert not psutil.pid_exists(started["pid"]), "two children at once"
            _end_well(second)
    return moment(resumed) - died


def _end_well(daemon: Daemon) -> None:
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.wait()
