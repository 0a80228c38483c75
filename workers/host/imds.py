"""Reads the instance metadata service (IMDSv2) of EC2: a token first, then one value a request."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import structlog

from receipt_dynamo.clock import steady_seconds
from workers.host.errors import MetadataError
from workers.settings import Settings

METADATA_URL = "http://169.254.169.254"
ANSWER_SECONDS = 1.0
"""It answers from within the host, in a millisecond or two; what takes longer is not there."""
TOKEN_SECONDS = 21_600
"""The longest that EC2 gives."""
RENEW_SECONDS = 300
"""So long before its end a token is exchanged."""
_VENDOR_FILES = ("sys_vendor", "bios_version")
"""Who made the machine; EC2's say Amazon, on Nitro the first one and on Xen the second."""

log = structlog.get_logger(__name__)


class Metadata:
    """The metadata service at one address.

    Args:
        url: where it is.
        session: sends the requests.
        steady: seconds that only go forward.
    """

    def __init__(
        self, url: str, session: aiohttp.ClientSession, steady: Callable[[], float] = steady_seconds
    ) -> None:
        self._url = url.rstrip("/")
        self._session = session
        self._steady = steady
        self._token: str | None = None
        self._renew_at = 0.0

    async def get(self, path: str) -> str | None:
        """The value at a path below `/latest/meta-data/`; None where there is none.

        Raises:
            MetadataError: no answer, or not one that says either.
        """
        status, text = await self._ask(path)
        if status == 401:  # noqa: PLR2004 - unauthorized: the token was lost, for instance with a restart there
            self._token = None
            status, text = await self._ask(path)
        if status == 404:  # noqa: PLR2004 - not found is how it says no
            return None
        if status != 200:  # noqa: PLR2004 - ok
            raise MetadataError(f"{path}: status {status}")
        return text.strip()

    async def _ask(self, path: str) -> tuple[int, str]:
        token = await self._valid_token()
        return await self._send("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": token})

    async def _valid_token(self) -> str:
        if self._token is None or self._steady() >= self._renew_at:
            asked_at = self._steady()
            ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
            status, token = await self._send("PUT", "api/token", ttl)
            if status != 200:  # noqa: PLR2004 - ok
                raise MetadataError(f"token: status {status}")
            self._token, self._renew_at = token, asked_at + TOKEN_SECONDS - RENEW_SECONDS
        return self._token

    async def _send(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        try:
            async with self._session.request(method, f"{self._url}/latest/{path}", headers=headers) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise MetadataError(f"{path}: {error or type(error).__name__}") from error


@asynccontextmanager
async def metadata_opened(settings: Settings) -> AsyncIterator[Metadata | None]:
    """Open the metadata service; None off EC2, where nobody is asked or nobody answers within a second."""
    if settings.metadata_disabled or not (settings.metadata_url or may_be_ec2()):
        yield None
        return
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        metadata = Metadata(settings.metadata_url or METADATA_URL, session)
        try:
            await metadata.get("instance-id")
        except MetadataError as error:
            log.info("no instance metadata: nothing is heard from the host", error=str(error))
            yield None
            return
        yield metadata


def may_be_ec2(folder: Path = Path("/sys/class/dmi/id"), platform: str = sys.platform) -> bool:
    """Whether this machine may be one of EC2's: a laptop shall not be asked, nor wait for an answer.

    A Linux that does not say who made it may be. A Mac is one only where the address was set.
    """
    said = [_read(folder / name) for name in _VENDOR_FILES]
    if not any(said):
        return platform == "linux"
    return any("amazon" in text.lower() for text in said)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
