"""Builds a bundle from a checkpoint, step by step, with progress."""

from __future__ import annotations

import logging
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from receipt_layoutlm.coreml.bundle import (
    PACKAGE,
    ModelIdentity,
    check_bundle,
    complete_bundle,
    write_bundle,
)
from receipt_layoutlm.coreml.convert import PackageMetadata, convert
from receipt_layoutlm.coreml.evaluator import load_program
from receipt_layoutlm.coreml.golden import write_golden
from receipt_layoutlm.coreml.manifest import BundleForm
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint, load_checkpoint
from receipt_layoutlm.coreml.verify import Verification, verify_package
from receipt_layoutlm.coreml.verify.quality import Validation
from run_records.errors import CheckpointError
from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.job_process.heartbeat import ProgressReporter

log = logging.getLogger(__name__)


class ExportSteps:
    """Tells the daemon where one export is, also while a library works for a minute without a word."""

    def __init__(self, reporter: Reporter, stop: StopRequested) -> None:
        self.pulse = ProgressReporter(reporter)
        self.seconds: dict[str, float] = {}
        self._stop = stop

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Run a step under its name.

        Raises:
            Stopped: the daemon has asked to stop before the step began.
        """
        if self._stop:
            raise Stopped
        started = time.monotonic()
        with self.pulse.working(name):
            yield
        self.seconds[name] = round(time.monotonic() - started, 3)
        log.info("%s took %.1f s", name, self.seconds[name])

    def part(self, stage: str, name: str) -> None:
        """Report that a part of a stage begins.

        Raises:
            Stopped: the daemon has asked to stop before.
        """
        if self._stop:
            raise Stopped
        self.pulse.say(stage, name)


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """The request for one bundle.

    Attributes:
        identity: ids of the export; the only part that differs when the same bundle is built again.
        form: format of the weights, and lengths.
        metadata: descriptive texts of the package.
        validation: labelled receipts that the model was not trained on.
    """

    identity: ModelIdentity
    form: BundleForm
    metadata: PackageMetadata
    validation: Validation = Validation()  # noqa: RUF009 - frozen


def build_bundle(stages: ExportSteps, source: Path, folder: Path, order: Order) -> Path:
    """Convert a checkpoint, hold the saved package to all gates, and write the bundle around it.

    Raises:
        CheckpointError: it cannot be loaded, or reads receipts as no client does.
        BundleError: a gate fails, or the bundle is not what clients expect.
    """
    form = order.form
    with stages.stage("converting"):
        checkpoint = load_checkpoint(source)
        _refuse_other_inputs(checkpoint)
        mlmodel = convert(checkpoint.model, form.quantize, order.metadata, form.shapes)
        write_bundle(folder, mlmodel, checkpoint, order.identity)
        del mlmodel  # the gates go by what was saved, and need the memory
    with stages.stage("checking"):
        verification = _verify(stages, folder, checkpoint, order)
        program = load_program(folder / PACKAGE)
        write_golden(folder, checkpoint, form, program, order.validation.receipts)
        complete_bundle(folder, checkpoint, form, verification)
        check_bundle(folder)
    return folder


def _refuse_other_inputs(checkpoint: Checkpoint) -> None:
    unlike = checkpoint.run.unlike_clients if checkpoint.run else []
    if unlike:
        raise CheckpointError(
            f"The checkpoint was trained with {', '.join(unlike)}, and clients feed a model otherwise: "
            "on the phone it would label other words. Train with the defaults of these options."
        )


def _verify(stages: ExportSteps, folder: Path, checkpoint: Checkpoint, order: Order) -> Verification:
    return verify_package(
        folder / PACKAGE,
        checkpoint,
        quantize=order.form.quantize,
        shapes=order.form.shapes,
        receipts=order.validation,
        trained=checkpoint.is_trained,
        documents=folder,
        on_gate=lambda gate: stages.part("checking", f"gate {gate}"),
    )


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """A folder of its own below `parent`, where coremltools puts its copies too; gone afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="export-", dir=parent) as folder:
        before = tempfile.tempdir
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
