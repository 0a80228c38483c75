"""The dashboard behind a real server on a free port of this process, and somebody who asks it."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import uvicorn

from layoutlm_cli.commands.dashboard import listen
from layoutlm_cli.dashboard.app import make_app
from layoutlm_cli.dashboard.context import PageContext, Sources, open_sources
from receipt_dynamo import DynamoClient
from workers.settings import Settings

Start = Callable[..., "Dashboard"]
START_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Dashboard:
    """A running dashboard; `client` is the one that its pages ask the table with."""

    port: int
    sources: Sources
    site: PageContext

    @property
    def client(self) -> DynamoClient:
        return self.sources.client

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
        """As one of its own pages does."""
        ours = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        fields = {"token": self.site.token.text, **(form or {})}
        return self.ask("POST", path, urlencode(fields), ours | headers)

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read().decode())
        finally:
            connection.close()

    @contextmanager
    def events(self, path: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The events of a stream as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.getheader("Content-Type", "").startswith("text/event-stream")
            yield _read_events(answer)
            answer.close()
        finally:
            connection.close()


def _read_events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in answer:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


@contextmanager
def served(settings: Settings, *, allow_actions: bool) -> Iterator[Dashboard]:
    """Serve it in a thread while the block runs."""
    made: list[Dashboard] = []
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        with listen(0) as listener:
            async with _app(settings, listener.getsockname()[1], allow_actions=allow_actions) as found:
                app, dashboard = found
                config = uvicorn.Config(
                    app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1
                )
                servers.append(uvicorn.Server(config))
                made.append(dashboard)
                await servers[0].serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        until(lambda: bool(servers) and servers[0].started)
        yield made[0]
    finally:
        servers[0].should_exit = True
        thread.join(START_SECONDS)


@asynccontextmanager
async def _app(settings: Settings, port: int, *, allow_actions: bool) -> AsyncIterator[tuple[Any, Dashboard]]:
    async with open_sources(settings) as sources:
        app = make_app(sources, port, allow_actions=allow_actions)
        starlette: Any = app.app
        yield app, Dashboard(port, sources, starlette.state.site)


def until(happens: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(START_SECONDS * 50):
        if happens():
            return
        time.sleep(0.02)
    raise AssertionError("it never was so")


def texts(page: str) -> str:
    """What a reader sees of a page, in one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())
