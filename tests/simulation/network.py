"""The simulated network between a process and AWS: latency, faults, and a client that retries.

Each request travels, takes effect, and its answer travels back. A process that dies or freezes, or a path
that is cut, does so before or after the effect, as in the world.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, Protocol

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.simulation.loop import Process, VirtualLoop, context_of

TRIES = 4
READ_TIMEOUT_SECONDS = 40.0
ENDPOINT = "http://simulated"
_THROTTLED = {"ProvisionedThroughputExceededException", "ThrottlingException"}

Service = Literal["table", "queue", "bucket"]
Serve = Callable[[str, str, dict[str, Any]], Any]


class Way(Enum):
    """The state of the way from a host to a service."""

    OPEN = auto()
    REFUSED = auto()
    """Nobody listens: an error at once."""
    SILENT = auto()
    """Requests are lost."""
    DEAF = auto()
    """Requests take effect, answers are lost."""
    THROTTLED = auto()


@dataclass(slots=True)
class Host:
    """A machine: its clocks, and its ways to the services.

    Attributes:
        booted: virtual second at which its steady clock was zero.
        wrong_by: seconds by which its wall clock is wrong.
        slowest: upper bound of a usual way's time, in seconds.
    """

    name: str
    booted: float = 0.0
    wrong_by: float = 0.0
    slowest: float = 0.05
    ways: dict[Service, Way] = field(
        default_factory=lambda: dict.fromkeys(("table", "queue", "bucket"), Way.OPEN)
    )

    @property
    def is_cut_off(self) -> bool:
        """Whether a service cannot be reached as usual."""
        return any(way is not Way.OPEN for way in self.ways.values())


class Fate(Protocol):
    """Decides what befalls a process at each of its requests."""

    def before(self, call: str) -> None:
        """A request is about to leave."""
        ...

    def after(self, call: str) -> None:
        """Its effect has been applied and its answer is about to arrive."""
        ...


@dataclass(slots=True)
class Wire:
    """The AWS clients of one process.

    Attributes:
        serve: the services: process name, call and arguments to an answer, or a future of one.
        over: set when a simulation is being torn down; then every call is cancelled.
    """

    loop: VirtualLoop
    process: Process
    host: Host
    serve: dict[Service, Serve]
    fate: Fate
    draw: random.Random
    over: asyncio.Event

    def client(self, service: Service) -> Any:
        """Return what stands for a botocore client of a service."""
        return Client(partial(self.ask, service))

    async def ask(self, service: Service, call: str, arguments: dict[str, Any]) -> Any:
        """Send a request as botocore does in its standard mode: four times, ever more slowly."""
        if call == "receive_message":
            # What a worker counts a message's age from, for those who judge it.
            arguments = {**arguments, "AskedAt": self.loop.time()}
        for attempt in range(1, TRIES + 1):
            try:
                return await self._once(service, call, arguments)
            except (EndpointConnectionError, ReadTimeoutError):
                if attempt == TRIES:
                    raise
            except ClientError as error:
                if attempt == TRIES or error.response["Error"]["Code"] not in _THROTTLED:
                    raise
            await asyncio.sleep(self.draw.uniform(0, 2**attempt))
        raise AssertionError("unreachable")

    async def _once(self, service: Service, call: str, arguments: dict[str, Any]) -> Any:
        if self.over.is_set():
            raise asyncio.CancelledError
        self.fate.before(call)
        # A process that was stopped just now gets no further than here until it goes on.
        await asyncio.sleep(0)
        way = self.host.ways[service]
        if way is Way.REFUSED:
            await asyncio.sleep(self._travel_seconds())
            raise EndpointConnectionError(endpoint_url=ENDPOINT)
        answer: asyncio.Future[Any] = self.loop.create_future()
        if way is not Way.SILENT:
            request = (service, call, arguments, way, answer)
            self.loop.call_later(self._travel_seconds(), self._arrive, *request, context=context_of(None))
        timer = self.loop.call_later(READ_TIMEOUT_SECONDS, _time_out, answer)
        try:
            return await answer
        finally:
            timer.cancel()

    def _arrive(
        self, service: Service, call: str, arguments: dict[str, Any], way: Way, answer: asyncio.Future[Any]
    ) -> None:
        """A request reaches its service."""
        result: Any
        if way is Way.THROTTLED:
            result = _throttled(service, call)
        else:
            try:
                result = self.serve[service](self.process.name, call, arguments)
            except ClientError as error:
                result = error
        if isinstance(result, asyncio.Future):
            result.add_done_callback(lambda done: self._send_back(service, call, answer, done.result()))
        else:
            self._send_back(service, call, answer, result)

    def _send_back(self, service: Service, call: str, answer: asyncio.Future[Any], result: Any) -> None:
        self.loop.call_later(self._travel_seconds(), self._bring, service, call, answer, result)

    def _bring(self, service: Service, call: str, answer: asyncio.Future[Any], result: Any) -> None:
        """An answer reaches the process, unless the way back is cut."""
        if self.host.ways[service] in {Way.DEAF, Way.SILENT} or answer.done():
            return
        if not self.process.stopped:
            self.fate.after(call)
        if isinstance(result, ClientError):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def _travel_seconds(self) -> float:
        """Seconds that one way takes: mostly little, now and then up to the slowest."""
        return self.host.slowest * self.draw.random() ** 4


class Client:
    """Looks like a client of aiobotocore: each call is an async method with named arguments."""

    def __init__(self, ask: Callable[[str, dict[str, Any]], Awaitable[Any]]) -> None:
        self.meta = SimpleNamespace(endpoint_url=ENDPOINT)
        self._ask = ask

    def __getattr__(self, call: str) -> Any:
        ask = self._ask

        async def method(**arguments: Any) -> Any:
            return await ask(call, arguments)

        return method


def _time_out(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(ReadTimeoutError(endpoint_url=ENDPOINT))


def _throttled(service: Service, call: str) -> ClientError:
    code = "ProvisionedThroughputExceededException" if service == "table" else "ThrottlingException"
    return ClientError({"Error": {"Code": code, "Message": "Rate exceeded"}}, call)
