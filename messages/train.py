"""The request to train a model, and the result of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from messages.export_options import Quantize
from messages.fields import Int, JobName, Message, Uuid, derive_id, drop_fraction, parse_json_text, unit
from messages.hyperparameters import Hyperparameters

JobState = Literal["pending", "running", "succeeded", "failed", "cancelled", "interrupted"]
Priority = Literal["low", "medium", "high", "critical"]

SKIP_EXPORT_TAG = "skip-coreml-export"

WholeEpochs = Annotated[int, Field(ge=0), BeforeValidator(drop_fraction)]
"""Epochs that are done; a result that an earlier version decided may have a fraction."""

JOB_OPTIONS = ("auto_export", "quantize", "priority", "tags", "timeout")
"""Fields of the job that senders of flat hyperparameters may put among these."""


class TrainJob(Message):
    """A request to train one model; the body that operators send to the training Lambda works as it is."""

    job_id: Uuid = Field(
        description="Id of the job; derived from the queue's message id when absent.",
        json_schema_extra=unit("UUID"),
    )
    job_name: JobName = Field(
        description="Name of the run and of its folder in S3.", json_schema_extra=unit("name")
    )
    use_spot: bool = Field(
        False,
        description="For senders that start machines; the worker records it only.",
        json_schema_extra=unit("flag"),
    )
    hyperparameters: Annotated[Hyperparameters, BeforeValidator(parse_json_text)] = Field(
        default_factory=Hyperparameters,
        description="How to train and on what.",
        json_schema_extra=unit("object"),
    )
    auto_export: bool = Field(
        True,
        description="Queue the CoreML export when training has succeeded.",
        json_schema_extra=unit("flag"),
    )
    quantize: Quantize = Field(
        "float16", description="Weights of that export; null is float32.", json_schema_extra=unit("name")
    )
    priority: Priority = Field(
        "medium",
        description="Recorded on the job for people and dashboards; SQS has no order to change.",
        json_schema_extra=unit("name"),
    )
    tags: Annotated[dict[str, str], BeforeValidator(parse_json_text)] = Field(
        default_factory=dict,
        max_length=50,
        description="Recorded on the job; skip-coreml-export: true stops the export.",
        json_schema_extra=unit("names"),
    )
    timeout: Int | None = Field(
        None,
        ge=1,
        le=7 * 24 * 3600,
        description="One attempt that takes longer is stopped and the job failed; null has no limit.",
        json_schema_extra=unit("s"),
    )

    @model_validator(mode="before")
    @classmethod
    def _lift_job_options(cls, data: Any) -> Any:
        """Accept the job's own options among the hyperparameters: a flat form has no other place."""
        if not isinstance(data, Mapping):
            return data
        inner = parse_json_text(data.get("hyperparameters"))
        if not isinstance(inner, Mapping):
            return data
        lifted = {name: inner[name] for name in JOB_OPTIONS if name in inner}
        twice = sorted(lifted.keys() & data.keys())
        if twice:
            raise ValueError(
                f"{', '.join(twice)}: given on the job and among the hyperparameters; give it once"
            )
        rest = {name: value for name, value in inner.items() if name not in lifted}
        return {**data, **lifted, "hyperparameters": rest}

    @model_validator(mode="after")
    def _refuse_useless_export(self) -> Self:
        unlike = self.hyperparameters.unlike_clients
        if unlike and self.wants_export:
            raise ValueError(
                f"clients cannot feed a model that was trained with {', '.join(unlike)}, so nothing is "
                "exported; set auto_export to false, or leave these options out"
            )
        return self

    @property
    def wants_export(self) -> bool:
        """Whether a finished training queues its own export."""
        return self.auto_export and self.tags.get(SKIP_EXPORT_TAG, "").lower() != "true"

    @property
    def export_id(self) -> str:
        """Id of that export: the same however often the training's end is processed."""
        return derive_id("auto-export", self.job_id, self.quantize or "float32")


class TrainResult(Message):
    """How a training ended: one per job, with the same result_id however often it is sent."""

    result_id: Uuid = Field(description="The same in every copy of this result: drop what you have seen.")
    job_id: Uuid = Field(description="The job that ended.")
    job_name: str | None = Field(None, description="Its name, where the request could be read.")
    status: Literal["succeeded", "failed", "cancelled"] = Field(description="How it ended.")
    attempt: int = Field(ge=0, description="The attempt that decided it.")
    run_s3_uri: str | None = Field(None, description="Folder of the run.")
    best_checkpoint_s3_uri: str | None = Field(None, description="Folder of the best checkpoint.")
    best_f1: float | None = Field(
        None, description="Entity F1 of that checkpoint on the validation receipts."
    )
    best_epoch: WholeEpochs | None = Field(
        None, description="Epoch of that checkpoint, its fraction cut off."
    )
    train_runtime: float | None = Field(
        None, description="Seconds that training took, over all attempts that this one continued."
    )
    export_id: Uuid | None = Field(None, description="The export that was queued, if one was.")
    error_class: str | None = Field(None, description="Kind of the failure.")
    error_message: str | None = Field(None, description="Why it failed and what to do.")
