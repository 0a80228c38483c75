"""The plan of one schedule, fixed before it begins, so that it can be printed and replayed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from messages.child_protocol import ErrorClass
from tests.simulation.child import Script
from tests.simulation.network import Service, Way
from tests.simulation.queue import Manners

Kind = Literal["train", "export"]
Deed = Literal["crash", "freeze", "cut", "jump", "sigterm"]

LEASE_SECONDS = 30.0
SETTINGS: dict[str, Any] = {
    "lease_seconds": LEASE_SECONDS,
    "poll_seconds": 10,
    "drain_seconds": 60.0,
    "stall_seconds": 70.0,
    "message_seconds": 90.0,
    "orphan_seconds": 60.0,
    "sweep_seconds": 40.0,
    "retry_base_seconds": 5.0,
    "retry_max_seconds": 20.0,
    "max_attempts": 3,
}
"""What differs from the daemon's defaults: everything short, so that a schedule sees all of it."""
TRAINED_ID = "7f2f6a58-9f0e-4a53-8f0c-1d0f2f3b4c5d"
TRAINED_NAME = "trained-before"
"""A training that has succeeded before the schedule begins, for exports to belong to."""


@dataclass(frozen=True, slots=True)
class Request:
    """One message that somebody sends.

    Attributes:
        at: virtual second.
        owner_id: the job or export that it asks for; None where the body cannot be read.
        registered: whether the sender notes it in a lease as well; only such a message may get lost.
    """

    at: float
    kind: Kind
    body: str
    owner_id: str | None
    registered: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody asks for a job to stop."""

    at: float
    kind: Kind
    owner_id: str


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something that befalls one worker.

    Attributes:
        deed: what.
        slot: which worker.
        at: virtual second; None where it comes with a request of the worker.
        call: that request's kind; None counts requests of every kind, `spawn` is a child's start.
        number: which of them, counted over all of the worker's lives.
        after: whether at that request's answer instead of before it leaves.
        seconds: how long a freeze or a cut lasts, how far a clock jumps, when the second signal comes.
        whole_host: whether the child is struck as well.
        services: what a cut divides the host from, and how.
    """

    deed: Deed
    slot: int
    at: float | None
    call: str | None = None
    number: int = 0
    after: bool = False
    seconds: float = 0.0
    whole_host: bool = False
    services: tuple[Service, ...] = ()
    way: Way = Way.OPEN

    @property
    def is_polite(self) -> bool:
        """Whether a worker has no excuse for losing anything by it."""
        return self.deed in {"sigterm", "jump"}


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker and its host."""

    kind: Kind
    booted: float
    wrong_by: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One schedule.

    Attributes:
        seed: what it was drawn from.
        index_lag: up to how far the table's indexes are behind, in seconds.
        lost: how often, 0 to 1, a message to a job queue that a lease stands behind gets lost.
    """

    seed: int
    workers: tuple[Worker, ...]
    requests: tuple[Request, ...]
    cancels: tuple[Cancel, ...]
    mishaps: tuple[Mishap, ...]
    settings: dict[str, Any] = field(default_factory=lambda: SETTINGS)
    manners: Manners = field(default_factory=Manners)
    max_invisible: float = 43_200.0
    index_lag: float = 0.0
    lost: float = 0.0

    def script(self, kind: Kind, owner_id: str, attempt: int) -> Script:
        """What an attempt does; the same for the same attempt."""
        draw = random.Random(f"{self.seed} {kind} {owner_id} {attempt}")
        longest = 20.0 if kind == "export" else 100.0
        script = Script(draw.uniform(0, longest), "succeed", draw.choice([0.5, 15.0, None, None]))
        dice = draw.random()
        if dice < 0.70:
            return script
        if dice < 0.80:
            return replace(script, ending=draw.choice([ErrorClass.NETWORK, ErrorClass.DISK]))
        if dice < 0.86:
            return replace(script, ending=draw.choice([ErrorClass.DATA, ErrorClass.CONFIGURATION]))
        return replace(script, ending="crash" if dice < 0.94 else "hang")
