"""A way to AWS that a test can close, hold or let answer by itself, while all that is behind it goes on."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

_OPERATION = re.compile(rb"x-amz-target: *[\w.]+\.(\w+)", re.IGNORECASE)
_EXPECT = re.compile(rb"expect: *100-continue\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What AWS says instead of doing what it is asked: an error code and its HTTP status."""

    code: str
    status: int = 400

    def answer(self) -> bytes:
        """The whole response."""
        body = json.dumps(
            {"__type": f"com.amazonaws#{self.code}", "message": "as the test wants it"}
        ).encode()
        head = f"HTTP/1.1 {self.status} Refused\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return head.encode() + body


class Gate:
    """Forwards each request to an emulator, which serves one a connection.

    Attributes:
        url: where it listens.
        refusal: answered instead of forwarding, if set.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._upstream = urlsplit(endpoint_url)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._connections: set[asyncio.StreamWriter] = set()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []
        self.refusal: Refusal | None = None

    @property
    def url(self) -> str:
        """Where it listens, open or not."""
        return f"http://127.0.0.1:{self._port}"

    async def open(self) -> None:
        """Listen, always at the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Be gone: connections are reset, new ones refused."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        await self._server.wait_closed()

    def hold(self) -> None:
        """Take everything and answer nothing."""
        self._flows.clear()

    def flow(self) -> None:
        """Forward again, what was held first."""
        self._flows.set()

    async def asked(self, operation: str, within_seconds: float = 60) -> None:
        """Wait for the next request of that operation."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, future))
        async with asyncio.timeout(within_seconds):
            await future

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._pass(await _read_request(reader, writer), writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _pass(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        self._note(request)
        await self._flows.wait()
        if self.refusal is not None:
            writer.write(self.refusal.answer())
            await writer.drain()
            return
        upstream, sender = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        try:
            sender.write(request)
            while part := await upstream.read(65536):
                await self._flows.wait()
                writer.write(part)
                await writer.drain()
        finally:
            sender.close()

    def _note(self, request: bytes) -> None:
        found = _OPERATION.search(request)
        name = found[1].decode() if found else ""
        for operation, future in self._waiting:
            if operation == name and not future.done():
                future.set_result(None)
        self._waiting = [(operation, future) for operation, future in self._waiting if not future.done()]


@asynccontextmanager
async def gate_to(endpoint_url: str) -> AsyncIterator[Gate]:
    """An open gate."""
    gate = Gate(endpoint_url)
    await gate.open()
    try:
        yield gate
    finally:
        gate.flow()
        await gate.close()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if _EXPECT.search(head):  # an upload waits for leave before it sends its body
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        head = _EXPECT.sub(b"", head)
    if _CHUNKED.search(head):
        return head + await _read_chunks(reader)
    length = _LENGTH.search(head)
    return head + await reader.readexactly(int(length[1]) if length else 0)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body, size = b"", -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body += line + await reader.readexactly(size + 2)
    return body
