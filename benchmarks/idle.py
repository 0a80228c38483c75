"""What a daemon costs that waits: memory, CPU, and what it has imported."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

from workers.local import Emulator, LocalStack

SECONDS = 30.0
SETTLE_SECONDS = 5.0


def measure() -> None:
    """Resident memory and CPU of each daemon over half a minute of waiting."""
    with Emulator() as emulator:
        stack = LocalStack.make(emulator)
        for name in ("train-worker", "export-worker"):
            _watch(name, stack)


def _watch(name: str, stack: LocalStack) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "layoutlm_cli", name], env=stack.child_environ(), stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(SETTLE_SECONDS)
        seen = psutil.Process(worker.pid)
        before = sum(seen.cpu_times()[:2])
        time.sleep(SECONDS)
        busy = sum(seen.cpu_times()[:2]) - before
        torch = any("torch" in mapped.path for mapped in seen.memory_maps())
        print(
            f"idle {name}: {seen.memory_info().rss / 1e6:.0f} MB resident, {busy / SECONDS:.2%} CPU over "
            f"{SECONDS:.0f} s, torch {'imported' if torch else 'not imported'}"
        )
    finally:
        worker.terminate()
        worker.wait()
