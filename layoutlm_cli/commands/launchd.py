"""`launchd install|uninstall|status|print`: the export worker as an agent of this Mac's user."""

from __future__ import annotations

import typer

NOT_INSTALLED = 3
"""As service scripts have it, and `worker-status`."""

app = typer.Typer(help="The export worker as an agent of launchd on a Mac.", no_args_is_help=True)


@app.command("install")
def install() -> None:
    """Have launchd run the export worker, now and after each login, with the settings that are set here."""
    from layoutlm_cli.console import warn_of_unknown_settings  # noqa: PLC0415
    from workers.operator import launchd_agent as launchctl  # noqa: PLC0415
    from workers.operator.launchd_agent import Agent, log_path, plist_path  # noqa: PLC0415

    warn_of_unknown_settings()
    launchctl.install(Agent.from_environ())
    typer.echo(f"installed: {plist_path()}\nlog: {log_path()}")


@app.command("uninstall")
def uninstall() -> None:
    """Stop the export worker and have launchd forget it; what it was exporting goes back to the queue."""
    from workers.operator import launchd_agent as launchctl  # noqa: PLC0415

    if not launchctl.uninstall():
        _say_not_installed()
    typer.echo("uninstalled; a worker in the midst of an export takes a moment to end")


@app.command("status")
def status() -> None:
    """Show what launchd says of the export worker; exit code 3 when it is not installed.

    How the worker itself is: `layoutlm-cli worker-status`.
    """
    from layoutlm_cli.console import table  # noqa: PLC0415
    from workers.operator import launchd_agent as launchctl  # noqa: PLC0415
    from workers.operator.launchd_agent import LABEL, log_path  # noqa: PLC0415

    state = launchctl.read_state()
    if state is None:
        _say_not_installed()
    else:
        table(LABEL, ("", ""), [*state.items(), ("log", log_path())])


@app.command("print")
def print_plist() -> None:
    """Print the property list that `install` would write."""
    from layoutlm_cli.console import warn_of_unknown_settings  # noqa: PLC0415
    from workers.operator.launchd_agent import Agent  # noqa: PLC0415

    warn_of_unknown_settings()
    typer.echo(Agent.from_environ().render(), nl=False)


def _say_not_installed() -> None:
    typer.echo("not installed: launchd does not know the export worker", err=True)
    raise typer.Exit(NOT_INSTALLED)
