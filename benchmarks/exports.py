"""Exports of a base-size model in each format with all gates, by `layoutlm-cli export-coreml`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import print_row
from receipt_layoutlm.checkpoint import build_tokenizer, save_tokenizer
from receipt_layoutlm.coreml.bundle import package_bytes
from receipt_layoutlm.training.scratch import SIZES, SPECIAL_TOKENS, build_model
from run_records.labels import CORE_LABELS, LabelSet

# As many entries as the published model's vocabulary has; which ones makes no difference to time or size.
_VOCABULARY = 30_522
_LIMITS = {"float16": ("90 s, 3 GB", 224), "int8": ("90 s", 112), "int4": ("120 s", 70)}


def measure() -> None:
    """With fresh weights: they take as long as trained ones, and all gates but quality are as strict."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _make_checkpoint(Path(folder) / "checkpoint")
        for quantize, (limit, megabytes) in _LIMITS.items():
            out = Path(folder) / quantize
            seconds, peak = _run(checkpoint, out, quantize)
            size = package_bytes(out) / 1e6
            print_row(
                f"export of a base-size model as {quantize}, with all gates",
                f"{seconds:.0f} s, {peak / 1e9:.2f} GB at most; package {size:.1f} MB",
                f"{limit}; {megabytes} MB within 2 %",
            )


def _make_checkpoint(folder: Path) -> Path:
    labels = LabelSet(tuple(CORE_LABELS), {})
    made_up = (f"w{number}" for number in range(_VOCABULARY - len(SPECIAL_TOKENS)))
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *made_up])
    tags = dict(enumerate(labels.tags))
    ids = {tag: number for number, tag in tags.items()}
    model = build_model(
        SIZES["base"],
        len(tokenizer),
        0,
        id2label=tags,
        label2id=ids,
    )
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


def _run(checkpoint: Path, out: Path, quantize: str) -> tuple[float, float]:
    """Seconds from start to exit, and the most memory in bytes."""
    command = [sys.executable, "-m", "layoutlm_cli", "export-coreml", str(checkpoint), str(out)]
    started = time.perf_counter()
    process = subprocess.Popen([*command, "--quantize", quantize], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the export as {quantize} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss * 1024
