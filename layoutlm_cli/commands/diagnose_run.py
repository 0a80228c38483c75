"""`diagnose-run`: the errors of a checkpoint on its run's held-out receipts, and their causes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutlm_cli.argument_or_option import one_of

if TYPE_CHECKING:
    from receipt_layoutlm.diagnosis.diagnosis_report import Summary
    from run_records.s3_store import S3Store


def diagnose_run(  # noqa: PLR0913, PLR0917 - each is one option of the command
    job: Annotated[
        str | None, typer.Argument(help="Id or name of a training, or s3:// of its run's folder.")
    ] = None,
    job_name: Annotated[str | None, typer.Option("--job-name", help="The training, as an option.")] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="A checkpoint's folder, or its s3:// prefix; without it, the run's best."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "--output-dir", help="Folder to write to; by default diagnosis/ and the run's name."
        ),
    ] = None,
    max_receipts: Annotated[
        int | None, typer.Option(min=1, help="Look at so many validation receipts at most.")
    ] = None,
    skip_train_context: Annotated[  # noqa: ARG001 - taken because other tools' users type it
        bool, typer.Option("--skip-train-context", help="Changes nothing: no training receipt is read here.")
    ] = False,
) -> None:
    """Show where and why a checkpoint errs: a report, scores of each receipt and group, each wrong word."""
    from layoutlm_cli.commands.eval_checkpoints import find_run, open_table  # noqa: PLC0415
    from layoutlm_cli.console import errors  # noqa: PLC0415
    from layoutlm_cli.writing import writing_explained  # noqa: PLC0415
    from receipt_layoutlm.diagnosis.diagnose import diagnose_checkpoint, read_facts  # noqa: PLC0415
    from receipt_layoutlm.evaluation.heldout_receipts import find_frozen  # noqa: PLC0415
    from run_records.run_json import read_run_record  # noqa: PLC0415
    from run_records.s3_store import S3Store  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    if job is not None or job_name is not None:
        job = one_of(job, job_name, "the training", "--job-name")
    if job is None and checkpoint is None:
        raise typer.BadParameter("name a training, or a checkpoint by --checkpoint")
    settings = Settings.from_environ()
    storage = S3Store(settings.allowed_buckets)
    root = None if job is None else find_run(settings, job)
    place = checkpoint or f"{root}best/"
    with _on_this_disk(storage, place) as folder, errors.status("evaluating") as status:
        # A checkpoint says which job it is of, and so where the receipts are named.
        root = root or find_run(settings, read_facts(folder).job_id)
        record = read_run_record(storage, root)
        frozen = find_frozen(storage, lambda: open_table(settings), record).sample(max_receipts)
        target = out or Path("diagnosis") / record.job_name
        with writing_explained(target):
            target.mkdir(parents=True, exist_ok=True)
        summary = diagnose_checkpoint(
            folder,
            place.rstrip("/").rpartition("/")[2],
            record,
            frozen,
            out=target,
            on_batch=lambda done, in_all: status.update(f"{done} of {in_all} batches"),
        )
    _show(summary)
    typer.echo(f"wrote {target / 'report.md'} and beside it what it rests on")


@contextmanager
def _on_this_disk(storage: S3Store, place: str) -> Iterator[Path]:
    from receipt_layoutlm.model_folder import download_model, open_checkpoint  # noqa: PLC0415

    if place.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as name:
            download_model(storage, place if place.endswith("/") else f"{place}/", Path(name))
            yield Path(name)
    else:
        folder = Path(place).expanduser()
        open_checkpoint(folder)
        yield folder


def _show(summary: Summary) -> None:
    from layoutlm_cli.console import printable, score, table  # noqa: PLC0415

    subject, interval = summary.subject, summary.f1_interval
    rows = [
        ("receipts", f"{summary.receipts} of {subject.receipts_from}"),
        ("F1", f"{score(summary.scores.f1)} ({interval.low:.3f}-{interval.high:.3f})"),
        ("F1, constrained", score(summary.constrained.f1)),
        ("F1, strict mode", score(summary.scores.f1_strict)),
        *((f"words {kind}", count) for kind, count in summary.wrong_words.items()),
    ]
    if not subject.val_receipts_hash_verified:
        rows.append(("warning", "these are not all receipts that the run was scored on"))
    if not subject.comparability.metrics_comparable:
        rows.append(("comparable", f"no: {subject.comparability.comparability_reason}"))
    table(f"{subject.job_name}: {subject.checkpoint}, epoch {subject.epoch:g}", ("what", "value"), rows)
    if summary.findings:
        found = [(finding.mode, finding.says, finding.advice) for finding in summary.findings]
        table("failure modes", ("mode", "evidence", "advice"), found)
    else:
        typer.echo(printable("no failure mode has evidence on these receipts"))
