"""The parts that the simulation stands on: its loop, its queue, its child and what a failure shows."""

from __future__ import annotations

import asyncio
import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.simulation.__main__ import main
from tests.simulation.check import Violation
from tests.simulation.draw import draw_plan
from tests.simulation.expressions import compile_condition, compile_update
from tests.simulation.loop import Process, VirtualLoop, context_of, run_virtually
from tests.simulation.mutants import MUTANTS
from tests.simulation.operators import WrongExpression
from tests.simulation.queue import Manners, Queue
from tests.simulation.world import run_plan

MAX_INVISIBLE = 100.0


def test_an_hour_of_sleep_takes_no_time() -> None:
    async def work(loop: VirtualLoop) -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert run_virtually(work) == 3600


async def note_times(loop: VirtualLoop, said: list[float]) -> None:
    try:
        while True:
            await asyncio.sleep(1)
            said.append(loop.time())
    finally:
        said.append(-1.0)


def test_a_frozen_process_does_late_what_came_due_and_a_dead_one_does_nothing_more() -> None:
    said: list[float] = []

    async def work(loop: VirtualLoop) -> list[float]:
        process = Process("p")
        task = loop.create_task(note_times(loop, said), context=context_of(process))
        await asyncio.sleep(1.5)
        process.stopped = True
        await asyncio.sleep(5)
        process.go_on(loop)
        await asyncio.sleep(1.2)
        process.stopped = True
        task.cancel()
        await asyncio.sleep(5)
        alive = [*said]
        process.go_on(loop)
        await asyncio.wait({task})
        return alive

    assert run_virtually(work) == [1.0, 6.5, 7.5]
    assert said[-1] == -1.0


def test_a_loop_in_which_nothing_can_happen_any_more_says_so() -> None:
    async def work(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(RuntimeError, match="Nothing is left to happen"):
        run_virtually(work)


def make_queue(loop: VirtualLoop, **manners: float) -> Queue:
    return Queue("jobs", loop, random.Random(0), MAX_INVISIBLE, Manners(**manners))


async def receive(queue: Queue, *, wait: float = 0, visibility: float = 30) -> Any:
    answer = await queue.receive_message("w", WaitTimeSeconds=wait, VisibilityTimeout=visibility)
    return answer["Messages"][0] if answer else None


def test_a_received_message_is_invisible_until_its_time_is_over_and_then_has_another_handle() -> None:
    async def work(loop: VirtualLoop) -> None:
        queue = make_queue(loop)
        queue.send_message("s", MessageBody="b")
        first = await receive(queue)
        assert await receive(queue, wait=20) is None
        assert loop.time() == 20
        second = await receive(queue, wait=20)
        assert loop.time() == 30
        assert second["MessageId"] == first["MessageId"]
        with pytest.raises(ClientError, match="MessageNotInflight"):
            queue.change_message_visibility("w", ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=5)
        queue.delete_message("w", ReceiptHandle=first["ReceiptHandle"])
        assert queue.messages
        queue.delete_message("w", ReceiptHandle=second["ReceiptHandle"])
        assert not queue.messages

    run_virtually(work)


def test_nobody_keeps_a_message_invisible_beyond_the_total() -> None:
    async def work(loop: VirtualLoop) -> None:
        queue = make_queue(loop)
        queue.send_message("s", MessageBody="b", DelaySeconds=10)
        handle = (await receive(queue, wait=20))["ReceiptHandle"]
        await asyncio.sleep(20)
        queue.change_message_visibility("w", ReceiptHandle=handle, VisibilityTimeout=80)
        with pytest.raises(ClientError, match="InvalidParameterValue"):
            queue.change_message_visibility("w", ReceiptHandle=handle, VisibilityTimeout=81)
        await receive(queue, wait=200)
        assert loop.time() == 10 + MAX_INVISIBLE

    run_virtually(work)


@pytest.mark.parametrize("manner", ["empty", "twice", "revived", "old_handle"])
def test_a_queue_can_be_as_bad_as_its_documentation_allows(manner: str) -> None:
    async def work(loop: VirtualLoop) -> None:
        queue = make_queue(loop, **{manner: 1.0})
        queue.send_message("s", MessageBody="b")
        first, second = await receive(queue), await receive(queue)
        if manner == "empty":
            assert (first, second) == (None, None)
            return
        assert (second is not None) == (manner == "twice")
        await asyncio.sleep(30)
        await receive(queue)
        queue.delete_message("w", ReceiptHandle=first["ReceiptHandle"])
        newest = "jobs-1/3" if manner == "twice" else "jobs-1/2"
        assert bool(queue.messages) == (manner != "old_handle")
        if manner != "old_handle":
            queue.delete_message("w", ReceiptHandle=newest)
            assert bool(queue.messages) == (manner == "revived")

    run_virtually(work)


@pytest.mark.parametrize(
    "text", ["#a IN (:b)", "size(#a) > :b", "#a = :b :c", "a = :b", "#a ~ :b", "contains(#a, :b)", "#a"]
)
def test_a_condition_in_an_unknown_form_is_refused(text: str) -> None:
    with pytest.raises(WrongExpression):
        compile_condition(text)


@pytest.mark.parametrize("text", ["ADD #a :b", "SET", "SET #a :b", "DELETE #a :b"])
def test_an_update_in_an_unknown_form_is_refused(text: str) -> None:
    with pytest.raises(WrongExpression):
        compile_update(text)


def test_the_same_seed_tells_the_same_story(tmp_path: Path) -> None:
    def tell(seed: int) -> str:
        return str(run_plan(draw_plan(seed), tmp_path, verbose=True).story)

    once = [tell(seed) for seed in range(8)]
    assert [tell(seed) for seed in reversed(range(8))] == once[::-1]
    assert len(set(once)) == len(once)


def test_a_failure_shows_its_seed_and_its_story(tmp_path: Path) -> None:
    with pytest.raises(Violation) as caught, MUTANTS["abandoned poll strands a message"].put_in():
        run_plan(draw_plan(7), tmp_path)
    seed, story = caught.value.__notes__
    assert seed == "seed 7; replay it: python -m tests.simulation 7"
    assert "starts on train" in story


@pytest.mark.parametrize("fails", [False, True])
def test_a_replay_ends_as_the_schedule_does(fails: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with MUTANTS["abandoned poll strands a message"].put_in() if fails else nullcontext():
        assert main(["7"]) == int(fails)
    assert ("VIOLATION" if fails else "every invariant holds") in capsys.readouterr().out
