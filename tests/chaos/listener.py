"""The listening end of the wire that children speak into."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Word:
    """What a child said.

    Attributes:
        owner_id: of the job or export that it works on.
        word: `lives`, or `cancel` when it asks for that.
        attempt: which attempt it is.
        pid: its process.
        at: the time of day.
    """

    owner_id: str
    word: str
    attempt: int
    pid: int
    at: float


class Listener(asyncio.DatagramProtocol):
    """Keeps every word, and wakes up who waits for one."""

    def __init__(self) -> None:
        self.words: list[Word] = []
        self._waiting: list[tuple[tuple[str, int], asyncio.Future[Word]]] = []
        self._called: list[Callable[[Word], None]] = []

    def datagram_received(self, data: bytes, _: object) -> None:
        """Take a word."""
        word = Word(**json.loads(data))
        self.words.append(word)
        for call in self._called:
            call(word)
        for speaker, future in self._waiting:
            if speaker == (word.owner_id, word.attempt) and not future.done():
                future.set_result(word)
        self._waiting = [(speaker, future) for speaker, future in self._waiting if not future.done()]

    def call(self, callback: Callable[[Word], None]) -> None:
        """Call it with each further word."""
        self._called.append(callback)

    async def next(self, owner_id: str, attempt: int = 1, within_seconds: float = 60) -> Word:
        """Wait for the next word of an attempt."""
        future: asyncio.Future[Word] = asyncio.get_running_loop().create_future()
        self._waiting.append(((owner_id, attempt), future))
        async with asyncio.timeout(within_seconds):
            return await future

    def last(self, owner_id: str, attempt: int) -> Word:
        """The last word of an attempt so far."""
        return [word for word in self.words if (word.owner_id, word.attempt) == (owner_id, attempt)][-1]

    def attempts(self, owner_id: str) -> set[int]:
        """The attempts that were heard of."""
        return {word.attempt for word in self.words if word.owner_id == owner_id}


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[Listener]:
    """Listen to the wire while the block runs."""
    transport, listener = await asyncio.get_running_loop().create_datagram_endpoint(
        Listener, local_addr=str(path), family=socket.AF_UNIX
    )
    try:
        yield listener
    finally:
        transport.close()
        with suppress(FileNotFoundError):
            path.unlink()
