"""Reads the instance metadata service (IMDSv2) of EC2: a token first, then one value a request."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp

from receipt_dynamo.clock import steady_seconds
from workers.errors import MetadataError
from workers.settings import Settings

METADATA_URL = "http://169.254.169.254"
ANSWER_SECONDS = 1.0
"""It answers from within the host, in a millisecond or two; what takes longer is not there."""
TOKEN_SECONDS = 21_600
"""The longest that EC2 gives."""
RENEW_SECONDS = 300
"""So long before its end a token is exchanged."""
_VENDOR_FILES = ("sys_vendor", "bios_version")
"""Files with the machine's maker; on EC2 it is Amazon: in the first on Nitro, in the second on Xen."""
MAX_BYTES = 65_536
"""Bytes of an answer; the values that are asked for have a few hundred at most."""
_TOKEN = re.compile(r"[!-~]{1,4096}")
"""Characters that a header may hold: a token goes into each request."""


class Metadata:
    """The metadata service at one address.

    Args:
        url: where it is.
        session: sends the requests.
        expected: whether it surely is there: this is an instance of EC2, or the address was set.
        steady: seconds that only go forward.
    """

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        *,
        expected: bool = True,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        self.expected = expected
        self._url = url.rstrip("/")
        self._session = session
        self._steady = steady
        self._token: str | None = None
        self._renew_at = 0.0

    @property
    def has_token(self) -> bool:
        """Whether the service has issued a token and accepted it at the last request."""
        return self._token is not None

    async def get(self, path: str) -> str | None:
        """The value at a path below `/latest/meta-data/`; None where there is none.

        Raises:
            MetadataError: no answer, or not one of a metadata service.
        """
        status, text = await self._ask(path)
        if status == HTTPStatus.UNAUTHORIZED:  # the token was lost, for instance with a restart there
            self._token = None
            status, text = await self._ask(path)
        if status == HTTPStatus.NOT_FOUND:  # how it says no
            return None
        if status != HTTPStatus.OK:
            raise MetadataError(f"{path}: status {status}")
        return text.strip()

    async def _ask(self, path: str) -> tuple[int, str]:
        token = await self._valid_token()
        return await self._send("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": token})

    async def _valid_token(self) -> str:
        if self._token is None or self._steady() >= self._renew_at:
            asked_at = self._steady()
            self._token = None
            ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
            status, token = await self._send("PUT", "api/token", ttl)
            if status != HTTPStatus.OK:
                raise MetadataError(f"token: status {status}")
            if not _TOKEN.fullmatch(token):
                raise MetadataError(f"token: an answer that is none, of {len(token)} characters")
            self._token, self._renew_at = token, asked_at + TOKEN_SECONDS - RENEW_SECONDS
        return self._token

    async def _send(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Send a request; returns status and text, and holds the answer to what this service can say."""
        url = f"{self._url}/latest/{path}"
        try:
            # No redirects: the token would go along.
            async with self._session.request(method, url, headers=headers, allow_redirects=False) as answer:
                if answer.content_type == "text/html":
                    raise MetadataError(f"{path}: a page in HTML, so this is not the metadata service")
                body = b""
                async for part in answer.content.iter_any():
                    body += part
                    if len(body) > MAX_BYTES:
                        raise MetadataError(f"{path}: an answer of more than {MAX_BYTES} bytes")
                return answer.status, body.decode("utf-8", errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise MetadataError(f"{path}: {error or type(error).__name__}") from error


@asynccontextmanager
async def metadata_opened(settings: Settings) -> AsyncIterator[Metadata | None]:
    """Open the metadata service; None where it is switched off, or this is surely no instance of EC2.

    Nothing is asked yet: a service that does not answer in the first seconds of a boot does so later.
    """
    expected = True if settings.metadata_url else is_ec2()
    if settings.metadata_disabled or expected is False:
        yield None
        return
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield Metadata(settings.metadata_url or METADATA_URL, session, expected=bool(expected))


def is_ec2(folder: Path = Path("/sys/class/dmi/id"), platform: str = sys.platform) -> bool | None:
    """Whether this machine is one of EC2's, by its maker's name; None for a Linux that has none.

    No request is needed for it: a laptop is not to send one into whatever network it is in. A Mac is an
    instance of EC2 only where the service's address was set.
    """
    makers = [_read(folder / name) for name in _VENDOR_FILES]
    if not any(makers):
        return None if platform == "linux" else False
    return any("amazon" in text.lower() for text in makers)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
