"""Waits for credentials at a start: at a boot, their provider may come up later than a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from workers.aws_clients import find_credentials
from workers.errors import CredentialsPending, CredentialsRefused
from workers.runtime.loop import pause_or_give_up
from workers.settings import Settings
from workers.stop import Stop


@asynccontextmanager
async def credentials_awaited(settings: Settings, stop: Stop) -> AsyncIterator[None]:
    """Look for credentials up to ten times before the block runs, more and more slowly.

    A metadata service that fails for the first seconds of a host, or a helper (`credential_process`) that
    needs the network, would otherwise end the worker for good: no supervisor starts it again after 77.
    Profiles and keys that are wrong as they stand are not looked for twice; nor is anything where neither a
    helper nor a metadata service is set up.

    Raises:
        SettingsError, CredentialsMissing: as `workers.aws_clients.open_aws`.
    """
    failures = 0
    while not stop.requested.is_set():
        try:
            if await find_credentials() or settings.metadata_disabled:
                break
            why = "No AWS credentials are set up, and no metadata service gives any."
        except CredentialsPending as pending:
            why = str(pending)
        failures += 1
        await pause_or_give_up(failures, CredentialsRefused(why), stop, what="search for credentials")
    yield
