"""`worker-status`: the health that the workers of this host report."""

from __future__ import annotations

from typing import Annotated, Any

import typer

NOT_FRESH = 1
NOT_RUNNING = 3
"""As service scripts have it; 2 is what a wrong option gives."""


def worker_status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a worker.")] = False,
) -> None:
    """Show every worker on this host: what it does, and how old its signs of life are.

    Exit code 0: all are well; 1: one is not; 3: none is running.
    """
    from workers.settings import Settings  # noqa: PLC0415
    from workers.telemetry.status_socket import read_statuses  # noqa: PLC0415

    folders = Settings.from_environ().status_folders
    workers = read_statuses(*folders)
    for worker in workers:
        typer.echo(worker.model_dump_json()) if as_json else _print(worker)
    if not workers:
        typer.echo(
            f"no worker runs on this host: none answers in {' or '.join(map(str, folders))}. Theirs may be "
            "another LAYOUTLM_RUN_DIR.",
            err=True,
        )
        raise typer.Exit(NOT_RUNNING)
    if not all(worker.fresh for worker in workers):
        raise typer.Exit(NOT_FRESH)


def _print(worker: Any) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    rows = [("healthy", "yes" if worker.fresh else "no"), *(("why not", reason) for reason in worker.reasons)]
    if worker.report is not None:
        rows += [("warning", warning) for warning in worker.report.warnings]
        rows += _facts(worker.report)
    table(f"{worker.kind} worker {worker.pid}", ("", ""), [row for row in rows if row[1] is not None])


def _facts(report: Any) -> list[tuple[str, Any]]:
    job, signs = report.job, report.signs
    return [
        ("state", f"{report.state} for {_seconds(report.since_seconds)}"),
        ("job", job and f"{job.kind} {job.job_id}"),
        ("attempt", job and job.attempt),
        ("notice", report.notice),
        ("child", report.child_pid and f"process {report.child_pid}"),
        ("child's last word", _ago(signs["child"])),
        ("lease renewed", _ago(signs["beat"])),
        ("last poll", _ago(signs["poll"])),
        ("host answered", _ago(signs.get("host"))),
        ("failed receives", report.failed_receives or None),
        ("loop lag", _seconds(signs["loop"].age_seconds)),
        ("handled", ", ".join(f"{count} {ending}" for ending, count in report.handled.items()) or None),
    ]


def _ago(sign: Any) -> str | None:
    """An age with its limit; nothing where no sign is expected, or a worker of an older version has none."""
    if sign is None or sign.limit_seconds is None:
        return None
    return f"{_seconds(sign.age_seconds)} ago (at most {sign.limit_seconds:.0f} s)"


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f} s"
