"""The metadata client against a server that answers anything at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import MetadataError
from workers.health import Health
from workers.host.imds import MAX_BYTES, metadata_opened
from workers.host.spot_listener import NOTICES, Listener
from workers.settings import Settings
from workers.stop import Stop

TOKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken"
BODIES = st.binary(max_size=200) | st.sampled_from(
    [b"[" * 60_000, b"x" * (MAX_BYTES + 1), b"<html>", b"\xff\xfe"]
)
HEADERS = st.sampled_from(
    [
        b"Content-Type: text/html; charset=utf-8",
        b"Content-Type: text/plain; charset=base64",
        b"Content-Type: text/plain; charset=idna",
        b"Content-Type: ;;;",
        b"Content-Encoding: gzip",
        b"Content-Encoding: deflate",
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: many",
        b"Transfer-Encoding: chunked",
        b"Location: http://[::",
        b"Location: /latest/meta-data/",
        b"Set-Cookie: \x80=\x81; expires=never",
        b"Upgrade: websocket",
        b"X: " + b"x" * 20_000,
        b"no colon",
    ]
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Bytes that look like an answer of HTTP more or less, or not at all."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    status = draw(
        st.sampled_from([100, 101, 200, 200, 200, 204, 301, 302, 304, 401, 403, 404, 429, 500, 503, 999])
    )
    lines = [f"HTTP/1.1 {status} Said".encode(), *draw(st.lists(HEADERS, max_size=3))]
    return b"\r\n".join(lines) + b"\r\n\r\n" + draw(BODIES)


@asynccontextmanager
async def saying(said: list[bytes]) -> AsyncIterator[Settings]:
    """A server that gives one answer a connection, the last one for ever."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said.pop(0) if len(said) > 1 else said[0])
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Settings.from_environ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}"})


async def listen_to(said: list[bytes]) -> None:
    async with saying(said) as settings, metadata_opened(settings) as metadata:
        assert metadata is not None
        for path in NOTICES:
            with suppress(MetadataError):  # and nothing else
                value = await metadata.get(path)
                assert value is None or len(value) <= MAX_BYTES
        await Listener(metadata, settings, Stop(), Health()).listen()


@given(first=st.just(TOKEN) | answers(), more=st.lists(answers(), min_size=1, max_size=8))
def test_whatever_is_answered_is_a_value_none_or_a_metadata_error(first: bytes, more: list[bytes]) -> None:
    asyncio.run(listen_to([first, *more]))


@pytest.mark.parametrize(
    "url", ["http://", "foo", "http://[::1", "ftp://127.0.0.1", "http://a b", "http://\u00e9\u0000"]
)
async def test_an_address_that_is_none_is_a_metadata_error(url: str) -> None:
    async with metadata_opened(Settings.from_environ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": url})) as metadata:
        assert metadata is not None
        with pytest.raises(MetadataError):
            await metadata.get("instance-id")
