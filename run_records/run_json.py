"""The model of `run.json`: one writer, one lenient reader, `RUN_JSON`."""

from __future__ import annotations

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from messages.hyperparameters import Hyperparameters
from run_records.errors import CheckpointError
from run_records.s3_store import S3Store

RUN_JSON = "run.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SplitRecord(_Part):
    """The validation receipts, and for each whether its merchant was trained on, where that is known."""

    val_receipt_keys: tuple[str, ...] = Field(min_length=1)
    val_receipts_hash: str | None = None
    random_seed: int | None = None
    val_merchants_seen: tuple[bool | None, ...] = ()

    @property
    def seen(self) -> dict[str, bool | None]:
        """Receipt key to whether its merchant was trained on."""
        return dict(zip(self.val_receipt_keys, self.val_merchants_seen, strict=False))


class OptionsRecord(_Part):
    """The options that say where receipts lie and how a clients' window is cut."""

    window_size: int = Hyperparameters.model_fields["window_size"].default
    window_stride: int = Hyperparameters.model_fields["window_stride"].default
    dataset_export_s3: str | None = None
    dataset_snapshot_load: str | None = None
    dataset_snapshot_save: str | None = None


class Comparability(_Part):
    """Whether the scores can be held against those of other runs, and why."""

    metrics_comparable: bool = False
    comparability_reason: str = "The run does not say how its validation receipts were chosen."


class ReportedScore(_Part):
    """The score that the training reported for one of its evaluations."""

    global_step: int
    eval_f1: float


class RunRecord(_Part):
    """The part of `run.json` that matters here."""

    job_name: str
    label_list: tuple[str, ...]
    label_merges: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    split_metadata: SplitRecord
    training_config: OptionsRecord = Field(default_factory=OptionsRecord)
    comparability: Comparability = Field(default_factory=Comparability)
    epoch_metrics: tuple[ReportedScore, ...] = ()

    @property
    def reported(self) -> dict[int, float]:
        """Step to the F1 that the training recorded there."""
        return {score.global_step: score.eval_f1 for score in self.epoch_metrics}


def read_run_record(storage: S3Store, root: str) -> RunRecord:
    """Read the record of the run in a folder.

    Raises:
        CheckpointError: there is none, or it names no validation receipts.
    """
    body = storage.read(f"{root}{RUN_JSON}")
    if body is None:
        raise CheckpointError(f"There is no {root}{RUN_JSON}. Name a run whose training has begun.")
    try:
        return RunRecord.model_validate_json(body)
    except pydantic.ValidationError as error:
        raise CheckpointError(
            f"{root}{RUN_JSON} is not the record of a run with validation receipts: {error}"
        ) from error


class _Split(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    val_receipt_keys: tuple[str, ...]


class _Run(BaseModel):
    """The fields of run.json that this module reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    split_metadata: _Split


def _read_run_json(storage: S3Store, model_s3_uri: str) -> bytes | None:
    folder = model_s3_uri.rstrip("/")
    for _ in range(2):  # runs/{name}/best/ and runs/{name}/checkpoints/checkpoint-{step}/
        folder = folder.rpartition("/")[0]
        body = storage.read(f"{folder}/{RUN_JSON}") if folder.count("/") > 2 else None  # noqa: PLR2004 - s3://bucket/key
        if body is not None:
            return body
    return None
