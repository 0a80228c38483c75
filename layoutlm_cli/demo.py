"""`demo`: one message in, a trained model and a CoreML bundle out, on a local AWS and with real daemons."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workers.local import LocalStack

_STOP_SECONDS = 30
_WAIT_SECONDS = 900
_SYNTHETIC = {"epochs": "20", "batch_size": "8", "learning_rate": "1e-3"}
_SROIE = {"epochs": "15", "batch_size": "8", "learning_rate": "1e-3"}


@dataclass(frozen=True, slots=True)
class Daemon:
    """One worker process and the file that its log goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def demo(
    data: Annotated[
        Path | None, typer.Option(help="SROIE's receipts, one JSON object a line, instead of synthetic ones.")
    ] = None,
    receipts: Annotated[int, typer.Option(min=20, help="How many synthetic receipts.")] = 400,
) -> None:
    """Run the whole path on this machine and show what arrived."""
    from layoutlm_cli.console import console  # noqa: PLC0415
    from workers.local import Emulator, LocalStack  # noqa: PLC0415

    hops: dict[str, float] = {}
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="receipt-layoutlm-demo-") as folder:
        with _timed(hops, "local AWS up"):
            local = LocalStack.make(stack.enter_context(Emulator()))
        console.print(f"local AWS at {local.environ['AWS_ENDPOINT_URL']}")
        with _timed(hops, "receipts into the table"):
            _fill(local, data, receipts)
        trainer = stack.enter_context(_daemon("train-worker", local, Path(folder)))
        exporter = stack.enter_context(_daemon("export-worker", local, Path(folder)))
        sent_at = time.time()
        _send(local, _SROIE if data else _SYNTHETIC)
        trained, exported = _wait(local, (trainer, exporter))
        _show(local, trained, exported)
        hops |= _hops(sent_at, trainer, exporter)
    _show_hops(hops)
    if not (trained["status"] == "succeeded" and exported and exported["status"] == "SUCCEEDED"):
        raise typer.Exit(1)


@contextmanager
def _timed(hops: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    hops[name] = time.monotonic() - started


def _fill(local: LocalStack, data: Path | None, receipts: int) -> None:
    command = (
        ["import", "sroie", str(data)] if data else ["generate", "--receipts", str(receipts), "--seed", "1"]
    )
    subprocess.run([*_CLI, *command], env=local.child_environ(), check=True)  # noqa: S603 - our own command


_CLI = (sys.executable, "-m", "layoutlm_cli")


@contextmanager
def _daemon(name: str, local: LocalStack, folder: Path) -> Iterator[Daemon]:
    log = folder / f"{name}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*_CLI, name], env=local.child_environ(), stderr=stream, stdout=stream
        )
    try:
        yield Daemon(name, process, log)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _send(local: LocalStack, hyperparameters: dict[str, str]) -> None:
    body = {
        "job_name": "layoutlm-demo",
        "use_spot": False,
        "hyperparameters": {"pretrained_model": "scratch:tiny", "no_frozen_val": "true", **hyperparameters},
    }
    local.client("sqs").send_message(
        QueueUrl=local.environ["TRAIN_JOB_QUEUE_URL"], MessageBody=json.dumps(body)
    )


def _wait(local: LocalStack, daemons: tuple[Daemon, Daemon]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Wait for both results, showing the newest progress line of the daemons."""
    from layoutlm_cli.console import console  # noqa: PLC0415

    deadline = time.monotonic() + _WAIT_SECONDS
    trained: dict[str, Any] | None = None
    with console.status("sent one train message") as spinner:
        while time.monotonic() < deadline:
            trained = trained or _receive(local, "TRAIN_RESULTS_QUEUE_URL")
            if trained and trained["status"] != "succeeded":
                return trained, None
            exported = _receive(local, "COREML_EXPORT_RESULTS_QUEUE_URL") if trained else None
            if trained and exported:
                return trained, exported
            _report(daemons, spinner)
    raise typer.BadParameter(
        f"no result after {_WAIT_SECONDS} seconds; the logs are in {daemons[0].log.parent}"
    )


def _receive(local: LocalStack, queue: str) -> dict[str, Any] | None:
    answer = local.client("sqs").receive_message(QueueUrl=local.environ[queue], WaitTimeSeconds=1)
    for message in answer.get("Messages", ()):
        body: dict[str, Any] = json.loads(message["Body"])
        return body
    return None


_REPORTED: set[str] = set()


def _report(daemons: tuple[Daemon, Daemon], spinner: Any) -> None:
    from layoutlm_cli.console import console  # noqa: PLC0415

    for daemon in daemons:
        if daemon.process.poll() is not None:
            raise typer.BadParameter(f"{daemon.name} ended early:\n{daemon.log.read_text()[-2000:]}")
        for line in daemon.lines():
            shown = _progress_text(daemon.name, line)
            if shown and shown not in _REPORTED:
                _REPORTED.add(shown)
                console.print(shown)
                spinner.update(shown)


def _progress_text(name: str, line: dict[str, Any]) -> str | None:
    if "stage" not in line:
        return f"{name}: {line['event']}" if line["event"] in {"child started", "attempt ended"} else None
    where = f"epoch {line['epoch']:.0f}" if line.get("epoch") is not None else ""
    scores = " ".join(
        f"{key} {line[key]:.3f}" for key in ("val_f1", "eval_loss", "train_loss") if key in line
    )
    said = line["event"] if line["event"] != "progress" else ""
    return " ".join(f"{name}: {line['stage']} {where} {said} {scores}".split())


def _show(local: LocalStack, trained: dict[str, Any], exported: dict[str, Any] | None) -> None:
    from layoutlm_cli.console import console, size, table  # noqa: PLC0415
    from receipt_dynamo.client import DynamoClient  # noqa: PLC0415

    client = DynamoClient(local.environ["DYNAMO_TABLE_NAME"], client=local.client("dynamodb"))
    best = trained.get("best_epoch")
    scores = [
        metric
        for metric in client.list_job_metrics(trained["job_id"]).items
        if metric.metric_name.startswith("label_") and metric.epoch == best
    ]
    rows = [
        (
            m.metric_name.removeprefix("label_"),
            *(f"{m.value[k]:.3f}" for k in ("f1", "precision", "recall")),
            m.value["support"],
        )
        for m in scores
        if isinstance(m.value, dict)
    ]
    table(
        f"scores on held-out receipts (entity F1 {trained.get('best_f1')})",
        ("label", "F1", "precision", "recall", "support"),
        rows,
    )
    for result in filter(None, (trained, exported)):
        console.print_json(data=result)
    if exported and exported.get("bundle_s3_uri"):
        files = _files(local, exported["bundle_s3_uri"])
        table("bundle", ("file", "size"), [(name, size(count)) for name, count in files.items()])


def _files(local: LocalStack, uri: str) -> dict[str, int]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    listed = local.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return {entry["Key"].removeprefix(prefix): entry["Size"] for entry in listed.get("Contents", ())}


def _hops(sent_at: float, trainer: Daemon, exporter: Daemon) -> dict[str, float]:
    """Seconds between the steps, from the daemons' own log lines."""
    from datetime import datetime  # noqa: PLC0415

    hops: dict[str, float] = {}
    before = sent_at
    for daemon, what in ((trainer, "training"), (exporter, "export")):
        for line in daemon.lines():
            at = datetime.fromisoformat(line["time"]).timestamp()
            if line["event"] == "child started":
                hops[f"{what}: message to child started"] = at - before
                before = at
            elif line["event"] == "attempt ended":
                hops[f"{what}: child at work"] = at - before
                before = at
    return hops


def _show_hops(hops: dict[str, float]) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    table(
        "how long it took", ("hop", "seconds"), [(name, f"{seconds:.2f}") for name, seconds in hops.items()]
    )
