"""`status JOB`: progress, scores and S3 URIs of a job."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from run_analysis.runs import RunSummary


def status(job: Annotated[str, typer.Argument(help="Id or name of the job.")]) -> None:
    """Show a job: status, attempts, epoch, last metrics, failures, and where things lie."""
    from workers.operator.job_status import read_job_status  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    overview = asyncio.run(read_job_status(Settings.from_environ(), job))
    _print_facts(overview)
    _print_metrics(overview)
    _print_failures(overview)


def _print_facts(overview: Any) -> None:
    from layoutlm_cli.console import score, table  # noqa: PLC0415
    from run_analysis.runs import RunSummary  # noqa: PLC0415

    run, lease = RunSummary.of(overview.job), overview.lease
    rows = [
        ("job id", run.job_id),
        ("status", run.status),
        ("attempts", lease.attempt if lease else run.attempt),
        ("worker", lease.worker if lease and lease.state == "held" else None),
        ("lease until", lease.expires_at if lease and lease.state == "held" else None),
        ("cancel asked for", lease.cancel_requested_at if lease else None),
        ("epoch", overview.epoch),
        ("best F1", score(run.best_f1)),
        ("best epoch", run.best_epoch and f"{run.best_epoch:g}"),
        ("comparable", _comparability(run)),
        ("error", run.error_message),
        ("run", run.run_s3_uri),
        ("best checkpoint", run.best_checkpoint_s3_path),
        ("bundle", run.coreml_bundle_s3_uri),
    ]
    rows += [("export", f"{export.export_id} {export.status}") for export in overview.exports]
    table(run.name, ("", ""), [row for row in rows if row[1] is not None])


def _comparability(run: RunSummary) -> str | None:
    says = {None: None, True: "yes", False: f"no: {run.comparability_reason or 'no reason is recorded'}"}
    return says[run.metrics_comparable]


def _print_metrics(overview: Any) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    if overview.metrics:
        rows = [(name, f"{value:.4g}") for name, value in sorted(overview.metrics.items())]
        table("last metrics", ("metric", "value"), rows)


def _print_failures(overview: Any) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    if overview.lease and overview.lease.failures:
        rows = [(f["attempt"], f["at"], f["error_class"], f["message"]) for f in overview.lease.failures]
        table("failed attempts", ("attempt", "at", "class", "why"), rows)
