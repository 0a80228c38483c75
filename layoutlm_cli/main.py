"""The `layoutlm-cli` command: names its commands; each module imports what it needs when it runs."""

from __future__ import annotations

import logging
import sys

import typer

from layoutlm_cli.commands import (
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
    infer,
    jobs,
    launchd,
    local,
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
    worker_status,
)
from layoutlm_cli.commands import import_receipts as importing
from layoutlm_cli.commands import mcp as mcp_command
from layoutlm_cli.commands import run_worker as work
from layoutlm_cli.exit_codes import failures_explained, skipped_said
from layoutlm_cli.training_options import TrainingCommand

app = typer.Typer(
    help="Train receipt models and export them to CoreML, by queue or by hand.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", cls=TrainingCommand)(train.train)
app.command("export-coreml")(skipped_said(export_coreml.export_coreml))
app.command("validate-coreml")(skipped_said(validate_coreml.validate_coreml))
app.command("infer")(skipped_said(infer.infer))
app.command("eval-checkpoints")(eval_checkpoints.eval_checkpoints)
app.command("diagnose-run")(skipped_said(diagnose_run.diagnose_run))
app.command("compare")(skipped_said(compare.compare))
app.command("report")(skipped_said(report.report))
app.command("findings")(skipped_said(findings.findings))
app.command("advise")(skipped_said(advise.advise))
app.command("train-worker")(work.train_worker)
app.command("export-worker")(work.export_worker)
app.command("worker-status")(worker_status.worker_status)
app.command("jobs")(skipped_said(jobs.jobs))
app.command("status")(skipped_said(status.status))
app.command("history")(skipped_said(history.history))
app.command("stats")(skipped_said(stats.stats))
app.command("monitor")(skipped_said(monitor.monitor))
app.command("watch")(skipped_said(watch.watch))
app.command("dashboard")(dashboard.dashboard)
app.command("mcp")(mcp_command.mcp)
app.command("agent-context")(skipped_said(agent_context.agent_context))
app.command("cancel")(skipped_said(cancel.cancel))
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
    # What botocore logs of failures, stacks among them, is raised, too. A daemon's log has it as JSON.
    for client in ("aiobotocore", "botocore"):
        logging.getLogger(client).addHandler(logging.NullHandler())
    with failures_explained():
        app()
    sys.exit(0)
