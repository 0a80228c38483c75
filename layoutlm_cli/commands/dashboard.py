"""`dashboard`: runs, queues and workers as pages on this machine."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layoutlm_cli.leaving import leave_by_signal

if TYPE_CHECKING:
    from workers.settings import Settings


HOST = "127.0.0.1"
_GOODBYE_SECONDS = 2
"""How long open pages may take to end."""


def dashboard(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 8765,
    allow_actions: Annotated[
        bool,
        typer.Option(
            "--allow-actions", help="Let the pages cancel jobs, treat dead letters and submit trainings."
        ),
    ] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Show runs, queues and workers as web pages, for this machine alone, until Ctrl-C."""
    from workers.settings import Settings  # noqa: PLC0415

    _check_extra()
    settings = Settings.from_environ()
    with listen(port) as listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        leave_by_signal()
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(settings, listener, address, allow_actions, open_browser))
        typer.echo("# ended", err=True)


def _check_extra() -> None:
    from workers.errors import SettingsError  # noqa: PLC0415

    try:
        import layoutlm_cli.dashboard.app  # noqa: F401, PLC0415 - asks for all that the pages need
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"The dashboard needs {error.name}. Install the extra: pip install 'receipt-layoutlm[dashboard]'."
        ) from error


def listen(port: int) -> socket.socket:
    """A socket that this machine alone can reach, so that the port is known before anything is served."""
    from workers.errors import SettingsError  # noqa: PLC0415

    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise SettingsError(
            f"Port {port} of {HOST} cannot be had ({error.strerror}). Pass another --port, or 0 for any."
        ) from error


async def _serve(
    settings: Settings, listener: socket.socket, address: str, allow_actions: bool, open_browser: bool
) -> None:
    import uvicorn  # noqa: PLC0415

    from layoutlm_cli.dashboard.app import make_app  # noqa: PLC0415
    from layoutlm_cli.dashboard.context import open_sources  # noqa: PLC0415

    async with open_sources(settings) as sources:
        app: Any = make_app(sources, listener.getsockname()[1], allow_actions=allow_actions)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_GOODBYE_SECONDS,
        )
        typer.echo(address)
        typer.echo(
            f"# {'actions are allowed' if allow_actions else 'read-only'}; Ctrl-C here ends it", err=True
        )
        if open_browser:
            typer.launch(address)
        await uvicorn.Server(config).serve(sockets=[listener])
