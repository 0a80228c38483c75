"""Measures the memory of 100,000 receipts, and the load time of a snapshot of 10,000."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

from benchmarks.report import print_row

RECEIPTS = 100_000


def measure() -> None:
    """In a process that begins anew, since memory that was in use once stays counted."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.child_loading", str(RECEIPTS), folder]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    took = json.loads(result.stdout)
    print_row(
        f"{RECEIPTS:,} receipts of 110 words loaded, hashed, split by receipt and by merchant",
        f"{took['peak_bytes'] / 1e9:.2f} GB resident at most; the modules alone have "
        f"{took['imported_bytes'] / 1e9:.2f} GB",
        "1.5 GB",
    )
    print_row(
        "of these, building and storing them, without requests",
        f"{took['load_seconds']:.0f} s, {took['words'] / took['load_seconds']:,.0f} words a second",
    )
    print_row(
        "a snapshot of 10,000 receipts of 110 words, from a disk, held to its hashes",
        f"{took['snapshot_seconds']:.2f} s, {took['snapshot_bytes'] / 1e6:.1f} MB",
        "2 s",
    )
