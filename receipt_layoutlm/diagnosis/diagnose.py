"""One checkpoint diagnosed on the receipts that its run has held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from receipt_layoutlm.checkpoint import RunFacts, read_run_facts
from receipt_layoutlm.diagnosis.diagnosis_report import Subject, Summary, write_diagnosis
from receipt_layoutlm.diagnosis.error_cases import gather_cases
from receipt_layoutlm.evaluation.evaluate import evaluate_checkpoint
from receipt_layoutlm.evaluation.heldout_receipts import HeldoutReceipts
from run_records.errors import CheckpointError
from run_records.run_json import RunRecord


def diagnose_checkpoint(  # noqa: PLR0913 - what to look at, and where to write
    folder: Path,
    name: str,
    record: RunRecord,
    frozen: HeldoutReceipts,
    *,
    out: Path,
    on_batch: Callable[[int, int], None] | None = None,
) -> Summary:
    """Evaluate a checkpoint and write down why it errs.

    Args:
        folder: the checkpoint, on this disk.
        name: what it is called, for people.
        record: of its run.
        frozen: the receipts.
        out: folder of the diagnosis.
        on_batch: told batches done and in all.

    Raises:
        CheckpointError: the folder is no checkpoint of this package.
    """
    facts = read_facts(folder)
    evaluation = evaluate_checkpoint(folder, frozen.receipts, frozen.seen, on_batch)
    recorded = record.reported.get(facts.step)
    cases = gather_cases(facts.labels, frozen.receipts, frozen.seen, evaluation, recorded)
    subject = Subject(
        job_name=record.job_name,
        checkpoint=name,
        step=facts.step,
        epoch=facts.epoch,
        receipts_from=frozen.source,
        val_receipts_hash=frozen.hash,
        val_receipts_hash_verified=frozen.hash == record.split_metadata.val_receipts_hash,
        comparability=record.comparability,
    )
    return write_diagnosis(out, cases, subject)


def read_facts(folder: Path) -> RunFacts:
    """Read a checkpoint's facts about its training.

    Raises:
        CheckpointError: it has none.
    """
    facts = read_run_facts(folder)
    if facts is None:
        raise CheckpointError(f"{folder} does not say how it was trained. Use a checkpoint of this package.")
    return facts
