"""What a run needs, beside the Trainer's own files, to go on as if it had never been interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from messages.fields import Message
from receipt_layoutlm.checkpoint import Manifest, RunFacts
from receipt_layoutlm.data.split import SplitSource
from run_records.epoch_record import EpochRecord

RESUME_STATE = "resume.json"


class ResumeState(Message):
    """`resume.json`: the run's memory; the split stays what it was even when the table has changed since."""

    schema_version: Literal[1] = 1
    dataset_hash: str
    val_receipt_keys: tuple[str, ...]
    val_split_source: SplitSource
    val_keys_missing: int
    history: tuple[EpochRecord, ...]
    epoch_loss_total: float = 0.0
    epoch_loss_steps: int = 0
    train_seconds: float
    total_flos: float
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """A downloaded and verified checkpoint.

    Attributes:
        folder: where its files lie.
        own: whether it is this job's; another run's history and split do not carry over.
    """

    folder: Path
    manifest: Manifest
    facts: RunFacts
    state: ResumeState
    own: bool

    @property
    def history(self) -> tuple[EpochRecord, ...]:
        """The epochs of this job so far."""
        return self.state.history if self.own else ()
