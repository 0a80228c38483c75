"""SQS standard queues as a worker meets them: at least once, in any order, with handles that go stale.

What the documentation leaves open ("might", "rare occasions") is decided by `Manners`, as badly as it allows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from botocore.exceptions import ClientError


@dataclass(slots=True)
class Manners:
    """How often, 0 to 1, a queue does what it is allowed to do but seldom does.

    Attributes:
        empty: a receive returns nothing although messages wait.
        twice: a message that is handed out stays visible to others.
        revived: a deleted message shows itself once more.
        old_handle: a delete with a handle that is not the newest takes effect all the same.
    """

    empty: float = 0.0
    twice: float = 0.0
    revived: float = 0.0
    old_handle: float = 0.0


@dataclass(slots=True, eq=False)
class Message:
    """One message with the state of its last delivery."""

    message_id: str
    body: str
    attributes: dict[str, Any]
    visible_at: float
    receives: int = 0
    handle: str | None = None
    receiver: str = ""
    touched: bool = True
    """Whether the receiver has said since when the message shall show itself again."""


class Delivery(NamedTuple):
    """One time that a message was handed out: what its receipt handle stands for."""

    message: Message
    receiver: str
    asked_at: float
    at: float


@dataclass(slots=True, eq=False)
class _Poll:
    """A receive that waits for a message."""

    actor: str
    visibility: float
    asked_at: float
    until: float
    answer: asyncio.Future[dict[str, Any]]


@dataclass(eq=False)
class Queue:
    """One queue.

    Attributes:
        name: the end of its URL.
        loop: gives the time and wakes waiting receives up.
        draw: decides what nobody knows beforehand.
        max_invisible: seconds after its receive at which a message shows itself whatever was asked; SQS
            has 43,200.
        on_delete: told of each delete: by whom, of what delivery, and whether it takes effect.
        on_send: told of each message that comes in, and from whom.
    """

    name: str
    loop: asyncio.AbstractEventLoop
    draw: random.Random
    max_invisible: float = 43_200.0
    manners: Manners = field(default_factory=Manners)
    on_delete: Callable[[str, Delivery, bool], None] = lambda *_: None
    on_send: Callable[[str, Message], None] = lambda *_: None
    messages: dict[str, Message] = field(default_factory=dict)
    _handles: dict[str, Delivery] = field(default_factory=dict)
    _polls: list[_Poll] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: count(1))

    def send_message(self, actor: str, **request: Any) -> dict[str, Any]:
        message_id = f"{self.name}-{next(self._numbers)}"
        visible_at = self.loop.time() + request.get("DelaySeconds", 0)
        attributes = request.get("MessageAttributes", {})
        message = Message(message_id, request["MessageBody"], attributes, visible_at)
        self.messages[message_id] = message
        self.on_send(actor, message)
        self._look_at(visible_at)
        return {"MessageId": message_id}

    def receive_message(self, actor: str, **request: Any) -> asyncio.Future[dict[str, Any]]:
        answer: asyncio.Future[dict[str, Any]] = self.loop.create_future()
        until = self.loop.time() + request["WaitTimeSeconds"]
        if self.draw.random() < self.manners.empty:
            self.loop.call_at(until, answer.set_result, {})
            return answer
        asked_at = request.get("AskedAt", self.loop.time())
        self._polls.append(_Poll(actor, request["VisibilityTimeout"], asked_at, until, answer))
        self._look_at(until)
        self._serve()
        return answer

    def change_message_visibility(self, actor: str, **request: Any) -> dict[str, Any]:
        now, seconds = self.loop.time(), request["VisibilityTimeout"]
        delivery = self._handles[request["ReceiptHandle"]]
        message = delivery.message
        if message.message_id not in self.messages:
            raise _refusal("InvalidParameterValue", "the message does not exist or is not available")
        if message.visible_at <= now or message.handle != request["ReceiptHandle"]:
            raise _refusal("MessageNotInflight", "the message is not in flight")
        if now + seconds > delivery.at + self.max_invisible:
            raise _refusal("InvalidParameterValue", "Total VisibilityTimeout is beyond the limit")
        message.visible_at, message.touched = now + seconds, True
        self._look_at(message.visible_at)
        return {}

    def delete_message(self, actor: str, **request: Any) -> dict[str, Any]:
        delivery = self._handles[request["ReceiptHandle"]]
        message = delivery.message
        is_there = message.message_id in self.messages
        is_newest = message.handle == request["ReceiptHandle"]
        effective = is_there and (is_newest or self.draw.random() < self.manners.old_handle)
        self.on_delete(actor, delivery, effective)
        if effective:
            del self.messages[message.message_id]
            if self.draw.random() < self.manners.revived:
                self._revive(message)
        return {}

    def abandon(self, actor: str) -> None:
        """Drop the receives of a process that has ended and whose connections are closed."""
        self._polls = [poll for poll in self._polls if poll.actor != actor]

    def awaits(self, actor: str) -> bool:
        """Whether a receive of this process is under way."""
        return any(poll.actor == actor for poll in self._polls)

    def _revive(self, message: Message) -> None:
        message.handle, message.receiver, message.touched = None, "", True
        message.visible_at = self.loop.time() + self.draw.uniform(0, 60)
        self.messages[message.message_id] = message
        self._look_at(message.visible_at)

    def _look_at(self, moment: float) -> None:
        self.loop.call_at(moment, self._serve)

    def _serve(self) -> None:
        """Answer every receive that can be answered by now."""
        now = self.loop.time()
        waiting, self._polls = self._polls, []
        for poll in waiting:
            visible = [one for one in self.messages.values() if one.visible_at <= now]
            if visible:
                poll.answer.set_result({"Messages": [self._hand_out(self.draw.choice(visible), poll)]})
            elif poll.until <= now:
                poll.answer.set_result({})
            else:
                self._polls.append(poll)

    def _hand_out(self, message: Message, poll: _Poll) -> dict[str, Any]:
        now = self.loop.time()
        message.receives += 1
        message.handle = f"{message.message_id}/{message.receives}"
        message.receiver, message.touched = poll.actor, False
        self._handles[message.handle] = Delivery(message, poll.actor, poll.asked_at, now)
        if self.draw.random() >= self.manners.twice:
            message.visible_at = now + poll.visibility
            self._look_at(message.visible_at)
        return {
            "MessageId": message.message_id,
            "Body": message.body,
            "ReceiptHandle": message.handle,
            "Attributes": {"ApproximateReceiveCount": str(message.receives)},
            "MessageAttributes": message.attributes,
        }


def _refusal(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "SQS")
