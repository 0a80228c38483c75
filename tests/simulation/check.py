"""Invariants of each step of a schedule: who may change a lease, write, or delete a message."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from messages.child_protocol import ChildExit
from messages.codec import decode_export_job, decode_train_job
from messages.errors import InvalidMessage
from receipt_dynamo.requests.leases import lease_key
from receipt_dynamo.requests.records import job_key
from tests.simulation.child import SimulatedChild
from tests.simulation.operators import Item
from tests.simulation.plan import LEASE_SECONDS, Kind
from tests.simulation.queue import Delivery, Message, Queue
from tests.simulation.table import EPOCH, Table, Write

MARGIN_SECONDS = LEASE_SECONDS / 6
"""What a lease's holder leaves unused, so that clocks may disagree by as much."""

TERMINAL = {"succeeded", "failed", "cancelled", "SUCCEEDED", "FAILED"}
OWNER_FIELDS = {"train": "job_id", "export": "export_id"}


class Violation(AssertionError):  # noqa: N818 - reads as what happened
    """An invariant does not hold."""


@dataclass(eq=False)
class Auditor:
    """Watches the services and the children.

    Attributes:
        now: virtual seconds.
        table: whose items say who holds what.
        dead_letters: the dead-letter queue of each kind.
        message_seconds: from this age on a worker may delete the message of a job in hand.
        is_polite: whether a process of that name has never been disturbed.
        is_stopping: whether it has been asked to stop.
        note: writes a line of the story.
    """

    now: Callable[[], float]
    table: Table
    dead_letters: dict[Kind, Queue]
    message_seconds: float
    is_polite: Callable[[str], bool]
    is_stopping: Callable[[str], bool]
    note: Callable[[str, str], None]
    results: dict[tuple[Kind, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _claimants: dict[str, str] = field(default_factory=dict)
    _cancelled: dict[str, tuple[float, str | None]] = field(default_factory=dict)
    _last_in_run: dict[str, str] = field(default_factory=dict)

    def written(self, write: Write) -> None:
        """Judge one accepted write."""
        before, after = write.before, write.after
        kind = (after or before or {})["TYPE"]["S"]
        if kind == "JOB_LEASE":
            self._lease_written(write.actor, before, after)
        elif kind in {"JOB", "COREML_EXPORT"} and before is not None and after is not None:
            was, becomes = before["status"]["S"], after["status"]["S"]
            if was != becomes:
                self.note(write.actor, f"{_short(after)} {was} -> {becomes}")
            if was in TERMINAL and was != becomes:
                raise Violation(f"{after['PK']['S']} was {was} for good and became {becomes}")

    def _lease_written(self, actor: str, before: Item | None, after: Item | None) -> None:
        if after is None:
            raise Violation(f"{actor} deleted a lease")
        was, becomes = state_of(before), state_of(after)
        step = f"{_short(after)} lease {was} -> {becomes}, attempt {after['attempt']['N']}"
        if was != becomes or (before and before["attempt"] != after["attempt"]):
            self.note(actor, step)
        allowed = self._allowed.get((was, becomes))
        if allowed is None or not allowed(self, actor, before or {}, after):
            raise Violation(f"{actor} must not do this: {step}; held by {self._holder(before)}")
        if becomes == "held" and (before or {}).get("claim_id") != after["claim_id"]:
            self._claimants[after["claim_id"]["S"]] = actor
        self._check_cancel(after)

    def _check_cancel(self, lease: Item) -> None:
        """A job in the hands of an undisturbed worker ends soon after somebody has asked for that.

        A worker that stops lets its child reach a checkpoint first; who claims the job next sees the wish.
        """
        name = lease["PK"]["S"]
        if state_of(lease) != "held" or "cancel_requested_at" not in lease:
            self._cancelled.pop(name, None)
            return
        since, holder = self._cancelled.setdefault(name, (self.now(), self._holder(lease)))
        if holder != self._holder(lease) or self.is_stopping(str(holder)):
            del self._cancelled[name]
        elif self.now() - since > LEASE_SECONDS and self.is_polite(str(holder)):
            raise Violation(f"{holder} goes on with {_short(lease)}, cancelled at {since:.1f}")

    def _holder(self, lease: Item | None) -> str | None:
        return self._claimants.get((lease or {}).get("claim_id", {}).get("S", ""))

    def _is_claim(self, actor: str, before: Item, after: Item) -> bool:
        raised = int(after["attempt"]["N"]) == int(before.get("attempt", {"N": "0"})["N"]) + 1
        return raised and after["worker"]["S"] == actor

    def _is_renewal_or_takeover(self, actor: str, before: Item, after: Item) -> bool:
        if before["claim_id"] != after["claim_id"]:
            return self._is_claim(actor, before, after) and self._is_expired(before, MARGIN_SECONDS)
        if before["attempt"] != after["attempt"]:
            return False
        return self._holder(before) == actor or _same_but_for_a_cancel(before, after)

    def _is_release_or_rescue(self, actor: str, before: Item, after: Item) -> bool:
        if before["attempt"] != after["attempt"]:
            return False
        return self._holder(before) == actor or self._is_expired(before, 0)

    def _is_decision(self, actor: str, before: Item, after: Item) -> bool:
        return self._holder(before) == actor and before["attempt"] == after["attempt"]

    def _is_expired(self, lease: Item, tolerance: float) -> bool:
        return _moment(lease["expires_at"]["S"]) <= self.now() + tolerance

    def _is_anybodys(self, _actor: str, _before: Item, _after: Item) -> bool:
        return True

    # Who may bring a lease from one state into another; what is not here nobody may.
    _allowed: ClassVar[dict[tuple[str, str], Callable[[Auditor, str, Item, Item], bool]]] = {
        ("none", "free"): _is_anybodys,
        ("none", "held"): _is_claim,
        ("free", "free"): _is_anybodys,
        ("free", "held"): _is_claim,
        ("held", "held"): _is_renewal_or_takeover,
        ("held", "free"): _is_release_or_rescue,
        ("held", "decided"): _is_decision,
        ("decided", "closed"): _is_anybodys,
    }

    def wrote(self, child: SimulatedChild) -> None:
        """Judge a write of a child: only the attempt that holds the lease may write."""
        lease = self.table.items.get(lease_id(child.kind, child.owner_id), {})
        attempt = int(lease.get("attempt", {"N": "0"})["N"])
        if attempt != child.attempt or state_of(lease) != "held":
            raise Violation(
                f"{child.process.name} writes as attempt {child.attempt} of {child.owner_id[:8]},"
                f" whose lease is {state_of(lease)} at attempt {attempt}"
            )
        if child.kind == "train":
            self._check_run(child)

    def _check_run(self, child: SimulatedChild) -> None:
        """A run's folder is one job's, unless that one ended without a model."""
        name = str(child.job["job_name"])
        other = self._last_in_run.setdefault(name, child.owner_id)
        if other != child.owner_id:
            status = self.table.items[identity(job_key(other))]["status"]["S"]
            if status not in {"failed", "cancelled"}:
                raise Violation(f"{child.process.name} writes into run {name} of job {other[:8]} ({status})")
            self._last_in_run[name] = child.owner_id

    def ended(self, child: SimulatedChild) -> None:
        """Judge the end of a child: nobody loses a lease without a reason."""
        self.note(child.process.name, f"attempt {child.attempt} ends with {child.code}")
        if child.code == ChildExit.LAPSED and self.is_polite(child.daemon.name):
            raise Violation(f"{child.process.name} lapsed though nothing had happened to its daemon")

    def deleted(self, kind: Kind, actor: str, delivery: Delivery, effective: bool) -> None:
        """Judge the deletion of a job's message: is the job decided, or safe in the actor's own lease?

        One that takes no effect is judged alike: SQS only says that it might not.
        """
        message = delivery.message
        self.note(actor, f"deletes {message.message_id}" + ("" if effective else " in vain"))
        if any(one.body == message.body for one in self.dead_letters[kind].messages.values()):
            return
        owner_id = owner_of(kind, message.body, message.message_id)
        if owner_id is None:
            raise Violation(f"{actor} deletes the unreadable {message.message_id}, and no copy is kept")
        lease = self.table.items.get(lease_id(kind, owner_id), {})
        in_hand = (
            self._holder(lease) == actor and state_of(lease) == "held" and not self._is_expired(lease, 0)
        )
        # Of a worker that was frozen between its last look and this, the lease may have expired meanwhile.
        is_old = self.now() - delivery.asked_at >= self.message_seconds
        if state_of(lease) not in {"decided", "closed"} and not in_hand and not is_old:
            raise Violation(
                f"{actor} deletes {message.message_id} of {kind} {owner_id[:8]}, whose lease is"
                f" {state_of(lease)} and held by {self._holder(lease)}"
            )

    def sent_result(self, kind: Kind, _actor: str, message: Message) -> None:
        """Keep a result."""
        self.results[kind, json.loads(message.body)[OWNER_FIELDS[kind]]].append(message.body)

    def left_peacefully(self, actor: str, queues: Iterable[Queue]) -> None:
        """Judge what an undisturbed worker leaves behind: no receive under way, no message in its hands."""
        for queue in queues:
            if queue.awaits(actor):
                raise Violation(f"{actor} abandoned a receive of {queue.name}")
            for message in queue.messages.values():
                if message.receiver == actor and not message.touched and message.visible_at > self.now():
                    raise Violation(f"{actor} left with {message.message_id} in its hands")


def owner_of(kind: Kind, body: str, message_id: str = "") -> str | None:
    """Return whose message a body is; None if it cannot be read."""
    try:
        return str(getattr(read_job(kind, body, message_id), OWNER_FIELDS[kind]))
    except InvalidMessage:
        return None


def read_job(kind: Kind, body: str, message_id: str = "") -> Any:
    decode = decode_train_job if kind == "train" else decode_export_job
    return decode(body, message_id=message_id)


def _same_but_for_a_cancel(before: Item, after: Item) -> bool:
    return {**after, "cancel_requested_at": None} == {**before, "cancel_requested_at": None}


def state_of(lease: Item | None) -> str:
    return str((lease or {}).get("state", {"S": "none"})["S"])


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() - EPOCH


def identity(key: Item) -> tuple[str, str]:
    return key["PK"]["S"], key["SK"]["S"]


def lease_id(kind: Kind, owner_id: str) -> tuple[str, str]:
    return identity(lease_key(kind, owner_id))


def _short(item: Item) -> str:
    kind, _, owner_id = item["PK"]["S"].partition("#")
    return f"{kind} {owner_id[:8]}"
