"""Writes the outputs that people and programs rely on, from fixed inputs, into `tests/golden`.

`python -m tests.support.golden` writes them anew. Do that only for a change that is meant to be seen.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import typer.main

from layoutlm_cli.main import app
from layoutlm_cli.mcp_server.server import make_server
from layoutlm_cli.open_clients import Clients
from receipt_layoutlm.data.examples import EncodedPages
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.split import Split
from receipt_layoutlm.data.synthetic.generator import make_receipt
from receipt_layoutlm.data.table_writer import receipt_of
from receipt_layoutlm.evaluation.evaluate import Evaluation, HeldOut, assess
from receipt_layoutlm.evaluation.predict import Predictions
from receipt_layoutlm.training.recorder import Recorder
from receipt_layoutlm.training.run_documents import describe_history, describe_predictions
from receipt_layoutlm.training.run_state import epoch_record
from run_analysis.report.build import build_report
from run_records.epoch_record import EpochRecord
from run_records.epochs_json import Compute
from run_records.labels import LabelSet
from tests.support.runs import make_detail, make_predictions
from workers.settings import Settings

FOLDER = Path(__file__).parent.parent / "golden"
ROOT = "s3://layoutlm-training/runs/receipts-a/"
_AT = "2026-11-30T12:00:00.000000+00:00"
_LABELS = LabelSet(("DATE", "GRAND_TOTAL", "MERCHANT_NAME", "TAX"), {"DATE": ("TIME",)})
_TERMINAL = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}


class _Memory:
    """Keeps what is written, in place of S3."""

    def __init__(self) -> None:
        self.written: dict[str, bytes] = {}

    def write(self, uri: str, body: bytes) -> None:
        self.written[uri.removeprefix(ROOT)] = body


def outputs() -> dict[str, bytes]:
    """File name to content, as the code writes it now."""
    return {"help.txt": help_texts(), "mcp_tools.json": mcp_tools(), **report(), **documents()}


def command_names() -> Iterator[tuple[str, ...]]:
    """Each command and each group of commands, by the words that call it."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, inner in sorted(getattr(command, "commands", {}).items()):
            yield from walk(inner, (*words, name))

    yield from walk(typer.main.get_command(app), ())


def help_texts() -> bytes:
    """`--help` of each command, in a terminal of 100 columns without colours."""
    code = (
        "import json, sys\n"
        "from typer.testing import CliRunner\n"
        "from layoutlm_cli.main import app\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    print('$ layoutlm-cli', *words, '--help')\n"
        "    print(CliRunner().invoke(app, [*words, '--help'], prog_name='layoutlm-cli').output)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, json.dumps(list(command_names()))],
        env=os.environ | _TERMINAL,
        capture_output=True,
        check=True,
    )
    return b"".join(line.rstrip() + b"\n" for line in answer.stdout.splitlines())


def mcp_tools() -> bytes:
    """The tools of the MCP server with their schemas; titles follow the names of classes and are left out."""
    nothing: Any = None
    server = make_server(Clients(nothing, nothing), Settings(), allow_submit=True)
    tools = [tool.model_dump(mode="json", exclude_none=True) for tool in asyncio.run(server.list_tools())]
    return json.dumps(list(map(_without_class_names, tools)), indent=1, sort_keys=True).encode() + b"\n"


def report() -> dict[str, bytes]:
    """The digest of a run's report, which is too large to keep."""
    detail = make_detail(4, seed=3)
    page = build_report(detail, make_predictions(detail, receipts=3))
    return {"report.txt": f"{sha256(page.encode()).hexdigest()} {len(page)} characters\n".encode()}


def documents() -> dict[str, bytes]:
    """`run.json`, `epochs.json` and `predictions.json` of a made-up run with two evaluations."""
    receipts = [receipt_of(make_receipt(7, number).draft) for number in range(4)]
    receipts.sort(key=lambda receipt: receipt.key)
    pages = EncodedPages(tuple(lay_out_all(receipts, _LABELS)), (), 0)
    held_out = HeldOut(_LABELS, pages, (True, False, True, None))
    evaluations = [assess(held_out, _predict(held_out, share), 1.25) for share in (0.3, 0.1)]
    history = [_record(evaluation, number) for number, evaluation in enumerate(evaluations, 1)]
    split = Split((), receipts, "persisted_val_receipt_keys")
    description = _describe(split)
    memory, nothing = _Memory(), None
    recorder = Recorder(nothing, memory, "job-1", 2, ROOT, description)  # type: ignore[arg-type]
    recorder.write_run_json(history)
    fixed = {"generated_at": _AT, "compute": Compute(device="cpu")}
    recorder.write_epochs_json(describe_history(description, ROOT, history, split).model_copy(update=fixed))
    recorder.write_predictions(
        describe_predictions("receipts-a", history[-1], receipts, held_out, evaluations[-1])
    )
    return memory.written


def _predict(held_out: HeldOut, wrong: float) -> Predictions:
    """A model that gets such a share of the words wrong."""
    dice = np.random.default_rng(5)
    probabilities = []
    for gold in held_out.gold:
        size = len(_LABELS.tags)
        tags = np.where(dice.random(len(gold)) < wrong, dice.integers(0, size, len(gold)), gold)
        rows = np.full((len(gold), size), 0.25 / size)
        rows[np.arange(len(gold)), tags] += 0.75
        probabilities.append(rows)
    return Predictions(tuple(probabilities), loss=0.5 * wrong)


def _record(evaluation: Evaluation, number: int) -> EpochRecord:
    return epoch_record(
        evaluation,
        epoch=float(number),
        global_step=5 * number,
        train_loss=0.8 / number,
        learning_rate=5e-5 / number,
        recorded_at=_AT,
        grad_norm=1.5,
        train_runtime=60.0 * number,
        total_flos=1e12 * number,
        memory_used=1_500_000_000,
    )


def _describe(split: Split) -> dict[str, Any]:
    """The fields of `run.json` beside the epochs, as a training writes them."""
    return {
        "job_name": "receipts-a",
        "job_id": "job-1",
        "attempt": 2,
        "training_config": {"epochs": 2, "window_size": 200, "window_stride": 150, "dataset_export_s3": None},
        "data_config": {"source": "table", "dataset_hash": "c0ffee"},
        "label_list": list(_LABELS.tags),
        "num_labels": len(_LABELS.tags),
        "label_merges": {"DATE": ["TIME"]},
        "resulting_labels": list(_LABELS.names),
        "dataset_counts": {"train_receipts": 12, "val_receipts": 4},
        "split_metadata": {
            "val_receipt_keys": list(split.val_keys),
            "val_receipts_hash": split.val_hash,
            "random_seed": None,
            "val_merchants_seen": [True, False, True, None],
        },
        "machine": {"device": "cpu", "threads": 1},
        "comparability": {
            "metrics_comparable": True,
            "comparability_reason": "The validation receipts are those of the list.",
        },
    }


def _without_class_names(tool: dict[str, Any]) -> Any:
    """A tool's schemas without `title`, the definitions numbered in the order of their first use."""
    definitions = tool.get("output_schema", {}).get("$defs", {}) | tool["input_schema"].get("$defs", {})
    numbers: dict[str, str] = {}

    def number(value: Any) -> None:
        for name in re.findall(r"#/\$defs/(\w+)", json.dumps(value)):
            if name not in numbers:
                numbers[name] = f"definition-{len(numbers)}"
                number(definitions[name])

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {name: one for name, one in value.items() if name != "title" or not isinstance(one, str)}
            return {numbers.get(name, name): rename(one) for name, one in kept.items()}
        if isinstance(value, str):
            return re.sub(r"(?<=#/\$defs/)\w+", lambda found: numbers[found.group()], value)
        return [rename(one) for one in value] if isinstance(value, list) else value

    number(
        {part: _without(tool[part], "$defs") for part in ("input_schema", "output_schema") if part in tool}
    )
    return rename(tool)


def _without(schema: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != key}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file_name, content in outputs().items():
        (FOLDER / file_name).write_bytes(content)
