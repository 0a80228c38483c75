"""The context of a page: clients, settings, token, renderer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from layoutlm_cli.dashboard.charts import ChartBook
from layoutlm_cli.dashboard.poller import Poller
from layoutlm_cli.dashboard.rendering import Renderer
from layoutlm_cli.dashboard.security import Token
from receipt_dynamo import DynamoClient
from run_records.s3_store import S3Store
from workers.aws_clients import open_aws
from workers.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

_NOTICES = 20


@dataclass(frozen=True, slots=True)
class Sources:
    """Where facts come from: blocking clients for the facts, SQS for the event loop."""

    settings: Settings
    client: DynamoClient
    storage: S3Store
    sqs: Any


@asynccontextmanager
async def open_sources(settings: Settings) -> AsyncIterator[Sources]:
    """Open the clients.

    Raises:
        SettingsError: no table is named, or no region.
    """
    async with open_aws(settings) as aws:
        client = DynamoClient(
            str(settings.table_name), region=settings.region, endpoint_url=settings.endpoint_url
        )
        try:
            yield Sources(settings, client, S3Store(settings.allowed_buckets), aws.sqs)
        finally:
            client.close()


@dataclass(frozen=True, slots=True)
class PageContext:
    """One dashboard, for as long as its process runs.

    Attributes:
        allow_actions: whether it may change anything.
        notices: what an action has done, for the next page to say once.
    """

    sources: Sources
    renderer: Renderer
    allow_actions: bool
    token: Token
    feed: Poller = field(default_factory=Poller)
    charts: ChartBook = field(default_factory=ChartBook)
    notices: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, sources: Sources, *, allow_actions: bool) -> PageContext:
        """A site with its templates."""
        token = Token()
        renderer = Renderer(
            allow_actions=allow_actions, token=token.text, table=sources.settings.table_name, feed=None
        )
        return cls(sources, renderer, allow_actions, token)

    def note(self, text: str) -> str:
        """Keep a sentence for one page; returns the key by which its address asks for it."""
        while len(self.notices) >= _NOTICES:  # of pages that were never opened
            del self.notices[next(iter(self.notices))]
        key = secrets.token_urlsafe(8)
        self.notices[key] = text
        return key

    def notice(self, request: Request) -> str | None:
        """The sentence that an address asks for, once."""
        return self.notices.pop(request.query_params.get("notice", ""), None)


def site_of(request: Request) -> PageContext:
    """The site that a request came to."""
    site: PageContext = request.app.state.site
    return site


async def in_thread(look: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read facts, which blocks, beside the event loop."""
    return await run_in_threadpool(look, *args, **kwargs)


async def together(*looks: Callable[[], T]) -> list[T]:
    """Read several at the same time."""
    return await asyncio.gather(*(run_in_threadpool(look) for look in looks))
