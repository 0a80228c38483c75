"""Validates a finished bundle against its checkpoint: its files, its gates, and its golden cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from messages.fields import Message
from receipt_layoutlm.coreml.bundle import PACKAGE, check_bundle, form_of
from receipt_layoutlm.coreml.evaluator import load_on_mac, load_program
from receipt_layoutlm.coreml.evaluator.mac import COMPUTE_UNITS
from receipt_layoutlm.coreml.golden import GoldenCase, read_golden
from receipt_layoutlm.coreml.manifest import MANIFEST, read_manifest
from receipt_layoutlm.coreml.model import INPUT_NAMES
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint
from receipt_layoutlm.coreml.verify import Number, Verification, verify_package
from receipt_layoutlm.coreml.verify.quality import Validation
from receipt_layoutlm.errors import BundleError

Runtime = Literal["evaluator", "macos"]


class Check(Message):
    """One line of the report; `passed` is None for what could not be asked."""

    name: str
    passed: bool | None
    warned: bool = False
    numbers: tuple[Number, ...] = ()
    sentence: str


class ValidationReport(Message):
    """Everything that was looked at."""

    passed: bool
    runtime: Runtime
    checks: tuple[Check, ...]


class Runs(Protocol):
    """A program that predicts: the evaluator's or a Mac's."""

    def predict(self, input_ids: Any, attention_mask: Any, token_type_ids: Any, bbox: Any) -> Any:
        """Logits [1, n, labels]."""
        ...


def validate_bundle(
    checkpoint: Checkpoint,
    bundle: Path,
    *,
    runtime: Runtime = "evaluator",
    validation: Validation | None = None,
) -> ValidationReport:
    """Run every check that can run; a failed check does not prevent the later ones.

    Args:
        checkpoint: what the bundle should have been made of.
        bundle: its folder.
        runtime: what runs the golden cases; macos runs them on every compute unit, and only there.
        validation: labelled receipts for the gate quality.
    """
    checks = [
        _attempt("files", lambda: check_bundle(bundle), "All files are there and as the manifest has them."),
        _attempt("source", lambda: _check_source(checkpoint, bundle), "It was made of this checkpoint."),
        *_run_gates(checkpoint, bundle, validation or Validation()),
        *_run_golden(bundle, runtime),
    ]
    return ValidationReport(
        passed=all(check.passed is not False for check in checks), runtime=runtime, checks=tuple(checks)
    )


def _attempt(name: str, check: Callable[[], object], success: str) -> Check:
    try:
        check()
    except BundleError as error:
        return Check(name=name, passed=False, sentence=str(error))
    return Check(name=name, passed=True, sentence=success)


def _check_source(checkpoint: Checkpoint, bundle: Path) -> None:
    listed = {file.name: file.sha256 for file in read_manifest(bundle / MANIFEST).source_checkpoint}
    found = {file.name: file.sha256 for file in checkpoint.files}
    other = sorted(name for name in listed.keys() | found.keys() if listed.get(name) != found.get(name))
    if other:
        raise BundleError(f"It was made of another checkpoint: {', '.join(other)} differ.")


def _run_gates(checkpoint: Checkpoint, bundle: Path, validation: Validation) -> Iterator[Check]:
    begun: list[str] = []
    try:
        verification = _verify(checkpoint, bundle, validation, begun.append)
    except BundleError as error:
        *passed, failed = begun or ["static"]
        yield from (Check(name=name, passed=True, sentence="Passed.") for name in passed)
        yield Check(name=failed, passed=False, sentence=str(error))
        return
    for gate in verification.gates:
        yield Check(
            name=gate.name,
            passed=gate.passed,
            warned=gate.warned,
            numbers=gate.numbers,
            sentence=gate.sentence,
        )


def _verify(
    checkpoint: Checkpoint, bundle: Path, validation: Validation, on_gate: Callable[[str], None]
) -> Verification:
    form = form_of(bundle)
    return verify_package(
        bundle / PACKAGE,
        checkpoint,
        quantize=form.quantize,
        shapes=form.shapes,
        receipts=validation,
        trained=checkpoint.is_trained,
        documents=bundle,
        on_gate=on_gate,
    )


def _run_golden(bundle: Path, runtime: Runtime) -> Iterator[Check]:
    try:
        cases = read_golden(bundle)
        if not cases:
            yield Check(name="golden", passed=None, sentence="The bundle carries no cases.")
            return
        if runtime == "evaluator":
            yield _compare("golden", load_program(bundle / PACKAGE), cases)
            return
        for unit in COMPUTE_UNITS:
            yield _compare(f"golden on {unit}", load_on_mac(bundle / PACKAGE, unit), cases)
    except BundleError as error:
        yield Check(name="golden", passed=False, sentence=str(error))


def _compare(name: str, program: Runs, cases: Sequence[GoldenCase]) -> Check:
    numbers = [_difference(program, case) for case in cases]
    worst = max(numbers, key=lambda number: (not number.holds, number.value))
    same = sum(number.holds for number in numbers)
    return Check(
        name=name,
        passed=worst.holds,
        numbers=(worst,),
        sentence=f"{same} of {len(cases)} cases give the logits that they should.",
    )


def _difference(program: Runs, case: GoldenCase) -> Number:
    inputs = {name: np.array([getattr(case, name)], dtype=np.int32) for name in INPUT_NAMES}
    expected = case.logits.unpack()
    found = np.asarray(program.predict(**inputs))[0, : len(expected)]
    return Number(
        name="difference of logits",
        value=float(np.abs(found - expected).max()),
        at_most=case.tolerance,
        at=case.name,
    )
