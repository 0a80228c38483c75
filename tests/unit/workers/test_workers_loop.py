"""The loop: one message at a time, a stop between messages, an end after ten failed receives."""

from __future__ import annotations

import pytest

from workers.errors import CredentialsMissing, CredentialsRefused, EndpointLost, QueueError
from workers.runtime import loop
from workers.runtime.loop import FAILED_RECEIVES, run_until_stopped
from workers.settings import Settings
from workers.sqs.queue import JobQueue, Received
from workers.stop import Stop

SETTINGS = Settings.from_environ({})


class Belt(JobQueue):
    """A queue in memory: hands out what it was given; an exception in the list is raised."""

    def __init__(self, *items: str | Exception | None, stop: Stop | None = None) -> None:
        super().__init__(None, "belt", "belt-dlq")
        self.items = list(items)
        self.shown: list[tuple[str, float]] = []
        self.stop = stop

    async def receive(self, *, wait_seconds: int, visibility_seconds: float) -> Received | None:
        if self.stop is not None:
            self.stop.request()
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return None if item is None else Received(message_id=item, body="", receipt_handle=item)

    async def show_after(self, message: Received, seconds: float) -> bool:
        self.shown.append((message.message_id, seconds))
        return True


@pytest.fixture
def handled() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_MAX_PAUSE_SECONDS", 0.0)


async def test_once_takes_one_message_or_finds_none(handled: list[str]) -> None:
    async def handle(message: Received) -> None:
        handled.append(message.message_id)

    await run_until_stopped(Belt("a", "b"), handle, Stop(), SETTINGS, once=True)
    await run_until_stopped(Belt(None, "c"), handle, Stop(), SETTINGS, once=True)
    assert handled == ["a"]


async def test_messages_are_handled_one_after_the_other_until_the_stop(handled: list[str]) -> None:
    stop = Stop()

    async def handle(message: Received) -> None:
        handled.append(message.message_id)
        if message.message_id == "c":
            stop.request()

    await run_until_stopped(Belt("a", None, "b", "c", "d"), handle, stop, SETTINGS)
    assert handled == ["a", "b", "c"]


async def test_a_message_that_arrives_during_the_stop_is_handed_back_at_once(handled: list[str]) -> None:
    stop = Stop()
    belt = Belt("late", stop=stop)

    async def handle(message: Received) -> None:
        handled.append(message.message_id)

    await run_until_stopped(belt, handle, stop, SETTINGS)
    assert (handled, belt.shown) == ([], [("late", 0)])


async def test_ten_failed_receives_in_a_row_end_the_daemon(handled: list[str]) -> None:
    async def handle(message: Received) -> None:
        handled.append(message.message_id)

    failing = [QueueError("down")] * (FAILED_RECEIVES - 1)
    with pytest.raises(EndpointLost, match="10 receives in a row failed; the last: down"):
        await run_until_stopped(Belt(*failing, "up", *failing, QueueError("down")), handle, Stop(), SETTINGS)
    assert handled == ["up"]


async def test_a_sleep_ends_with_the_stop() -> None:
    stop = Stop()
    await stop.sleep(0.01)
    stop.request()
    await stop.sleep(60)
    assert not stop.now.is_set()
    stop.request()
    assert stop.now.is_set()


async def test_ten_receives_refused_for_the_credentials_end_with_the_exit_code_of_credentials() -> None:
    belt = Belt(*[CredentialsRefused("expired")] * FAILED_RECEIVES)
    with pytest.raises(CredentialsMissing, match="Renew them") as caught:
        await run_until_stopped(belt, never, Stop(), SETTINGS)
    assert caught.value.exit_code == 77


async def test_an_empty_receive_leaves_time_for_other_things_and_a_message_does_not(
    handled: list[str],
) -> None:
    stop, idle = Stop(), []

    async def handle(message: Received) -> None:
        handled.append(message.message_id)

    async def note() -> None:
        idle.append(len(handled))
        if len(idle) == 2:
            stop.request()

    await run_until_stopped(Belt(None, "a", "b", None), handle, stop, SETTINGS, idle=note)
    assert (handled, idle) == (["a", "b"], [0, 2])


async def never(message: Received) -> None:
    raise AssertionError(message)
