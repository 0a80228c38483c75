"""Schedules that were found to fail once, each told as small as it can be."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from messages.child_protocol import ErrorClass
from tests.simulation import world
from tests.simulation.child import Script
from tests.simulation.network import Way
from tests.simulation.plan import Cancel, Mishap, Plan, Request, Worker
from tests.simulation.queue import Queue
from tests.simulation.world import run_plan
from workers.sqs.queue_definitions import MAX_RECEIVES

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
BODY = json.dumps({"job_id": JOB_ID, "job_name": "run", "auto_export": False})
WORKER = Worker("train", booted=0.0, wrong_by=0.0, slowest=0.05)
QUIET = Plan(
    seed=0,
    workers=(WORKER, WORKER),
    requests=(Request(100.0, "train", BODY, JOB_ID),),
    cancels=(),
    mishaps=(),
)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_daemon_frozen_as_soon_as_its_child_has_started_leaves_no_child_without_a_deadline(
    slot: int, tmp_path: Path
) -> None:
    freeze = Mishap("freeze", slot, None, "spawn", 1, seconds=100.0)
    run_plan(replace(QUIET, mishaps=(freeze,)), tmp_path)


def test_a_job_cancelled_before_its_lease_was_noted_is_not_lost_with_its_message(tmp_path: Path) -> None:
    sent = Request(100.0, "train", BODY, JOB_ID, registered=True)
    cancelled = Cancel(90.0, "train", JOB_ID)
    run_plan(replace(QUIET, requests=(sent,), cancels=(cancelled,), lost=1.0), tmp_path)


@pytest.mark.parametrize(
    ("mishap", "wrong_by"),
    [
        pytest.param(Mishap("freeze", 0, None, "get_item", 1, seconds=100.0), 3600.0, id="asked late"),
        pytest.param(
            Mishap("freeze", 0, None, "get_item", 1, after=True, seconds=100.0), -3600.0, id="heard late"
        ),
        pytest.param(
            Mishap("cut", 0, 0.0, seconds=75.0, services=("table",), way=Way.SILENT), 3600.0, id="cut off"
        ),
    ],
)
def test_a_first_answer_of_the_table_that_took_long_does_not_make_a_wrong_clock_right(
    mishap: Mishap, wrong_by: float, tmp_path: Path
) -> None:
    """The job is sent twice: to the other worker first, or to whichever takes it."""
    workers = (replace(WORKER, wrong_by=wrong_by), WORKER)
    for second in range(101, 113, 2):
        for moments in ((90.0, second), (second, second + 3.0)):
            sent = tuple(Request(at, "train", BODY, JOB_ID) for at in moments)
            run_plan(replace(QUIET, workers=workers, requests=sent, mishaps=(mishap,)), tmp_path)


HOUR = 3600.0


@pytest.fixture
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "LONGEST_SECONDS", 60 * HOUR)


@pytest.mark.usefixtures("_patience")
def test_a_backoff_of_hours_holds_after_the_message_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS delays a new message by a quarter of an hour at most."""
    first = Script(100.0, ErrorClass.THROTTLED)
    monkeypatch.setattr(
        Plan, "script", lambda _, __, ___, attempt: first if attempt == 1 else Script(1.0, "succeed")
    )
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    long = {**QUIET.settings, "retry_base_seconds": 9 * HOUR, "retry_max_seconds": 12 * HOUR}
    lived = run_plan(replace(QUIET, settings=long), tmp_path)
    told = [line for line in lived.story.lines if "lease" in line.what]
    [freed] = [line.at for line in told if "held -> free" in line.what]
    [taken] = [line.at for line in told if "free -> held, attempt 2" in line.what]
    assert 9 * HOUR <= taken - freed < 9 * HOUR + 60


@pytest.mark.usefixtures("_patience")
def test_a_duplicate_of_a_job_of_thirty_hours_is_not_received_to_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receives: list[int] = []
    hand_out = Queue._hand_out  # noqa: SLF001 - the simulated SQS counts there

    def counted(queue: Queue, message: Any, poll: Any) -> Any:
        handed = hand_out(queue, message, poll)
        receives.append(message.receives)
        return handed

    monkeypatch.setattr(Queue, "_hand_out", counted)
    monkeypatch.setattr(Plan, "script", lambda *_: Script(30 * HOUR, "succeed"))
    usual = {**QUIET.settings, "lease_seconds": 90.0, "message_seconds": 39_600.0, "stall_seconds": 900.0}
    twice = (*QUIET.requests, *QUIET.requests)
    run_plan(replace(QUIET, settings=usual, requests=twice), tmp_path)
    assert 100 < max(receives) < MAX_RECEIVES / 5
