"""`demo`: one message in, a trained model and a CoreML bundle out, on a local AWS and with real daemons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layoutlm_cli.leaving import leave_by_signal

if TYPE_CHECKING:
    from layoutlm_cli.demo_runner import DemoRunner
    from workers.local_aws.local_stack import LocalStack


SYNTHETIC = {"epochs": "5", "batch_size": "8", "learning_rate": "2e-3"}
SROIE = {"epochs": "6", "batch_size": "8", "learning_rate": "2e-3"}


def demo(
    data: Annotated[
        Path | None, typer.Option(help="SROIE's receipts, one JSON object a line, instead of synthetic ones.")
    ] = None,
    receipts: Annotated[int, typer.Option(min=20, help="How many synthetic receipts.")] = 360,
) -> None:
    """Run the whole path on this machine and show what arrived."""
    from layoutlm_cli.console import console  # noqa: PLC0415
    from layoutlm_cli.demo_runner import rehearsal  # noqa: PLC0415
    from receipt_layoutlm.data.importers.field_alignment import import_sroie  # noqa: PLC0415

    if data is not None:
        import_sroie(data)  # what is wrong with it is said here, and not by a process of the stage
    filling = (
        ["import", "sroie", str(data)] if data else ["generate", "--receipts", str(receipts), "--seed", "1"]
    )
    leave_by_signal()
    with rehearsal() as run:
        console.print(f"local AWS at {run.stack.environ['AWS_ENDPOINT_URL']}")
        run.fill(filling)
        run.start_workers()
        run.send(SROIE if data else SYNTHETIC)
        console.print("sent one train message")
        run.wait(_show_progress)
        _show_scores(run)
        _show_results(run)
        _show_bundle(run)
        _show_hops(run)
    if not run.succeeded:
        raise typer.Exit(1)


def _show_progress(worker: str, line: dict[str, Any]) -> None:
    from layoutlm_cli.console import console  # noqa: PLC0415

    if "stage" not in line:
        if line["event"] in {"child started", "attempt ended"}:
            console.print(f"{worker}: {line['event']}")
        return
    said = line["event"] if line["event"] != "progress" else ""
    console.print(f"{worker}: {line['stage']} {said}".rstrip(), highlight=False)


def _show_scores(run: DemoRunner) -> None:
    from layoutlm_cli.console import score, table  # noqa: PLC0415

    rows = [
        (name, *(score(values[key]) for key in ("f1", "precision", "recall")), values["support"])
        for name, values in run.label_scores().items()
    ]
    title = f"held-out receipts: entity F1 {score((run.trained or {}).get('best_f1'))}"
    table(title, ("label", "F1", "precision", "recall", "support"), rows)


def _show_results(run: DemoRunner) -> None:
    from layoutlm_cli.console import console  # noqa: PLC0415

    for result in (run.trained, run.exported):
        if result is not None:
            console.print_json(json.dumps(result))


def _show_bundle(run: DemoRunner) -> None:
    from layoutlm_cli.console import size, table  # noqa: PLC0415

    if run.exported and run.exported.get("bundle_s3_uri"):
        files = _list_files(run.stack, run.exported["bundle_s3_uri"])
        table("bundle", ("file", "size"), [(name, size(count)) for name, count in files.items()])


def _list_files(stack: LocalStack, uri: str) -> dict[str, int]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    listed = stack.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return {entry["Key"].removeprefix(prefix): entry["Size"] for entry in listed.get("Contents", ())}


def _show_hops(run: DemoRunner) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    table(
        "how long it took", ("hop", "seconds"), [(name, f"{took:.2f}") for name, took in run.hops().items()]
    )
