"""Runs this bundle's golden cases on a Mac's own CoreML and says whether the model gives what it should.

python3 verify_on_mac.py            every compute unit, one line each; exit code 0: all are right, 1: not
python3 verify_on_mac.py --write    the same, and note the outcome in manifest.json

It needs macOS, Python 3.9, numpy and coremltools, and nothing of the project that made the bundle.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = "LayoutLM.mlpackage"
MANIFEST = "manifest.json"
UNITS = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "bbox")
WIDTHS = (12, 5, 12, 12, 11, 8)
HEADINGS = ("unit", "cases", "worst", "allowed", "labels", "ms")


def main(arguments: list[str] | None = None) -> int:
    """Check the files, run every case on every compute unit, print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="Hold a LayoutLM bundle to its golden cases.")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--write", action="store_true", help="note the outcome in manifest.json")
    options = parser.parse_args(arguments)
    damaged = find_damage(options.bundle)
    if damaged:
        say(f"not as manifest.json describes: {', '.join(damaged)}. Download the bundle again.")
        return 1
    paths = sorted((options.bundle / "golden").glob("*.json"))
    cases = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    say_row(HEADINGS)
    results = {unit: run_unit(options.bundle / PACKAGE, unit, cases) for unit in UNITS}
    passed = bool(cases) and all(result["passed"] for result in results.values())
    if options.write:
        note(options.bundle / MANIFEST, passed, results)
    say("passed" if passed else "FAILED")
    return 0 if passed else 1


def find_damage(bundle: Path) -> list[str]:
    """Names of listed files that are missing or have another SHA-256."""
    listed = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))["files"]
    return [file["name"] for file in listed if hash_of(bundle / file["name"]) != file["sha256"]]


def hash_of(path: Path) -> str | None:
    """SHA-256 of a file, None where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def run_unit(package: Path, unit: str, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Run all cases on one compute unit and print its line."""
    try:
        import coremltools as ct  # noqa: PLC0415 - after --help, which should work anywhere

        model = ct.models.MLModel(str(package), compute_units=getattr(ct.ComputeUnit, unit))
        measured = [run_case(model, case) for case in cases]
    except Exception as error:  # noqa: BLE001 - a unit that cannot run the model is one line of the table
        say(f"{unit:<{WIDTHS[0]}}  failed: {type(error).__name__}: {error}")
        return {"passed": False, "error": f"{type(error).__name__}: {error}"}
    worst = max(measured, key=lambda one: one["share"])
    same, words = sum(one["same"] for one in measured), sum(one["words"] for one in measured)
    milliseconds = float(np.median([one["milliseconds"] for one in measured]))
    passed = all(one["share"] <= 1 for one in measured)
    numbers = (f"{worst['difference']:.2e}", f"{worst['tolerance']:.2e}", f"{same}/{words}")
    say_row((unit, str(len(measured)), *numbers, f"{milliseconds:.1f}"))
    return {
        "passed": passed,
        "worst_difference": worst["difference"] if math.isfinite(worst["difference"]) else None,
        "tolerance": worst["tolerance"],
        "same_labels": same,
        "words": words,
        "median_milliseconds": round(milliseconds, 3),
    }


def run_case(model: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Predict one case; `share` is the largest difference over what is allowed."""
    inputs = {name: np.array([case[name]], dtype=np.int32) for name in INPUTS}
    model.predict(inputs)  # the first call of a length compiles
    started = time.perf_counter()
    found = np.asarray(model.predict(inputs)["logits"], dtype=np.float32)
    seconds = time.perf_counter() - started
    stored = np.frombuffer(base64.b64decode(case["logits"]["base64"]), "<f4")
    expected = stored.reshape(case["logits"]["shape"])
    tokens = found[0, : len(expected)]
    difference = float(np.abs(tokens - expected).max())
    first = case["first_tokens"]
    return {
        "difference": difference,
        "tolerance": case["tolerance"],
        "share": difference / case["tolerance"] if math.isfinite(difference) else math.inf,
        "same": int((tokens[first].argmax(-1) == expected[first].argmax(-1)).sum()),
        "words": len(first),
        "milliseconds": 1000 * seconds,
    }


def note(path: Path, passed: bool, results: dict[str, Any]) -> None:
    """Say in the manifest that a Mac has run the package, which one, and with what result."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["runtime_verified"] = passed
    manifest["runtime"] = {
        "macos": platform.mac_ver()[0],
        "machine": platform.machine(),
        "verified_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "compute_units": results,
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    path.write_bytes(text.encode() + b"\n")
    say(f"wrote runtime_verified: {str(passed).lower()} to {path}")


def say_row(cells: tuple[str, ...]) -> None:
    """Print one line of the table."""
    say("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS)).rstrip())  # noqa: B905 - Python 3.9


def say(text: str) -> None:
    """Print a line."""
    print(text)  # noqa: T201 - what the script has to say


if __name__ == "__main__":
    sys.exit(main())
