"""The `layoutlm-cli` command: names its commands; each module imports what it needs when it runs."""

from __future__ import annotations

import sys

import typer

from layoutlm_cli import (
    advise,
    agent_context,
    bench,
    bundle,
    cancel,
    compare,
    dashboard,
    demo,
    diagnose_run,
    dlq,
    eval_checkpoints,
    export_coreml,
    findings,
    generate,
    history,
    importing,
    infer,
    jobs,
    launchd,
    local,
    mcp_command,
    monitor,
    recover,
    report,
    results,
    stats,
    status,
    submit,
    sweep,
    train,
    validate_coreml,
    watch,
    work,
    worker_status,
)
from layoutlm_cli.failing import failures_explained

app = typer.Typer(
    help="Train receipt models and export them to CoreML, by queue or by hand.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.train)
app.command("export-coreml")(export_coreml.export_coreml)
app.command("validate-coreml")(validate_coreml.validate_coreml)
app.command("infer")(infer.infer)
app.command("eval-checkpoints")(eval_checkpoints.eval_checkpoints)
app.command("diagnose-run")(diagnose_run.diagnose_run)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("findings")(findings.findings)
app.command("advise")(advise.advise)
app.command("train-worker")(work.train_worker)
app.command("export-worker")(work.export_worker)
app.command("worker-status")(worker_status.worker_status)
app.command("jobs")(jobs.jobs)
app.command("status")(status.status)
app.command("history")(history.history)
app.command("stats")(stats.stats)
app.command("monitor")(monitor.monitor)
app.command("watch")(watch.watch)
app.command("dashboard")(dashboard.dashboard)
app.command("mcp")(mcp_command.mcp)
app.command("agent-context")(agent_context.agent_context)
app.command("cancel")(cancel.cancel)
app.command("recover")(recover.recover)
app.command("results")(results.results)
app.command("generate")(generate.generate)
app.command("demo")(demo.demo)
app.add_typer(submit.app, name="submit")
app.add_typer(sweep.app, name="sweep")
app.add_typer(bench.app, name="bench")
app.add_typer(bundle.app, name="bundle")
app.add_typer(importing.app, name="import")
app.add_typer(dlq.app, name="dlq")
app.add_typer(launchd.app, name="launchd")
app.add_typer(local.app, name="local")


def main() -> None:
    """Run the command line; every failure is one sentence and a non-zero exit."""
    with failures_explained():
        app()
    sys.exit(0)
