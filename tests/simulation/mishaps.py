"""Faults injected into workers, at a given time or at a given call."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

from tests.simulation.check import Violation
from tests.simulation.fleet import Fleet, Life, Slot
from tests.simulation.loop import Process, VirtualLoop, context_of
from tests.simulation.network import Way
from tests.simulation.plan import Deed, Mishap, Plan
from tests.simulation.services import Services
from tests.simulation.story import Story

STOP_SECONDS = 45.0
"""What a worker may need beside the drain: the end of a poll, and the writes of an ending."""
PATIENCE_SECONDS = 100.0
"""How long after everything else a mishap may wait for the request that it comes with."""


class Mishaps:
    """Lets a plan's mishaps happen, and ends them."""

    def __init__(self, plan: Plan, loop: VirtualLoop, services: Services, fleet: Fleet, story: Story) -> None:
        self._plan = plan
        self._loop = loop
        self._services = services
        self._fleet = fleet
        self._story = story
        self._draw = random.Random(f"mishaps {plan.seed}")
        self._waiting = [mishap for mishap in plan.mishaps if mishap.at is None]
        fleet.strike = self._strike

    def events(self) -> Iterator[tuple[float, Callable[[], object]]]:
        """Those that come at a moment."""
        for mishap in self._plan.mishaps:
            if mishap.at is not None:
                yield mishap.at, partial(self._befall, mishap)

    def end(self) -> float:
        """When all that was planned has happened, in virtual seconds."""
        moments = [mishap.at + mishap.seconds for mishap in self._plan.mishaps if mishap.at is not None]
        moments += [request.at for request in self._plan.requests]
        moments += [cancel.at for cancel in self._plan.cancels]
        return max([0.0, *moments]) + (PATIENCE_SECONDS if self._waiting else 1.0)

    def heal(self) -> None:
        """From here on nothing goes wrong any more."""
        self._story.note("world", "all is well from here on")
        self._waiting = []
        self._services.behave()
        for slot in self._fleet.slots:
            self._mend(slot)
            life = slot.life
            self._thaw(life, [life.process, *([life.child.process] if life.child else [])])
            if life.dead:
                self._fleet.start_again(slot, life)

    def _strike(self, slot: Slot, call: str, after: bool) -> None:
        for mishap in [*self._waiting]:
            due = mishap.call in {None, call} and mishap.number == slot.calls[mishap.call]
            if due and (mishap.slot, mishap.after) == (slot.number, after):
                self._waiting.remove(mishap)
                self._befall(mishap)

    def _befall(self, mishap: Mishap) -> None:
        slot = self._fleet.slots[mishap.slot]
        life = slot.life
        if life.is_over:
            return
        self._story.note(life.process.name, f"is struck: {mishap}")
        life.disturbed = life.disturbed or not mishap.is_polite
        self._deeds[mishap.deed](self, slot, life, mishap)

    def _later(self, seconds: float, happen: Callable[..., object], *args: object) -> None:
        """Let something happen from outside of any process, so that it happens to a stopped one too."""
        self._loop.call_later(seconds, happen, *args, context=context_of(None))

    def _crash(self, slot: Slot, life: Life, mishap: Mishap) -> None:
        life.dead = life.process.stopped = True
        if life.child is not None and life.child.code is None:
            if mishap.whole_host:
                life.child.power_off()
            else:
                life.child.lose_daemon()
        for queue in self._services.queues.values():
            if self._draw.random() < 0.5:  # SQS does not always notice
                queue.abandon(life.process.name)
        self._later(mishap.seconds, self._fleet.start_again, slot, life)

    def _freeze(self, _: Slot, life: Life, mishap: Mishap) -> None:
        frozen = [life.process]
        if mishap.whole_host and life.child is not None:
            frozen.append(life.child.process)
        for process in frozen:
            process.stopped = True
        self._later(mishap.seconds, self._thaw, life, frozen)

    def _thaw(self, life: Life, frozen: list[Process]) -> None:
        for process in frozen:
            if process.stopped and not (life.dead and process is life.process):
                self._story.note(process.name, "goes on")
                process.go_on(self._loop)

    def _cut(self, slot: Slot, _: Life, mishap: Mishap) -> None:
        for service in mishap.services:
            slot.host.ways[service] = mishap.way
        self._later(mishap.seconds, self._mend, slot)

    def _mend(self, slot: Slot) -> None:
        if slot.host.is_cut_off:
            self._story.note(slot.host.name, "reaches everything again")
            slot.host.ways = dict.fromkeys(slot.host.ways, Way.OPEN)

    def _jump(self, slot: Slot, _: Life, mishap: Mishap) -> None:
        slot.host.wrong_by += mishap.seconds

    def _ask_to_stop(self, _: Slot, life: Life, mishap: Mishap) -> None:
        self._fleet.ask_to_stop(life)
        if mishap.seconds:
            self._later(mishap.seconds, self._fleet.ask_to_stop, life)
        drain_seconds = self._plan.settings["drain_seconds"]
        self._later(drain_seconds + STOP_SECONDS, self._check_stopped, life)

    def _check_stopped(self, life: Life) -> None:
        if not life.is_over and not life.disturbed:
            raise Violation(f"{life.process.name} was asked to stop and still runs")

    _deeds: ClassVar[dict[Deed, Callable[[Mishaps, Slot, Life, Mishap], None]]] = {
        "crash": _crash,
        "freeze": _freeze,
        "cut": _cut,
        "jump": _jump,
        "sigterm": _ask_to_stop,
    }
