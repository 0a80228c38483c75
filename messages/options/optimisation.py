"""Options of the optimisation: steps, learning rates, losses, early stopping."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from messages.fields import Float, Int, Message, refuse_bool, unit

_SCORE = r"(f1|precision|recall|accuracy|loss)"
_LABEL = r"[A-Z][A-Z0-9_]{0,39}"
CHECKPOINT_METRIC_PATTERN = rf"^({_SCORE}|label:{_LABEL}|macro:{_LABEL}(,{_LABEL})*)$"


def _kind_of_size(value: Any) -> str:
    return "auto" if value == "auto" else "number"


# Told apart before they are checked, so that a wrong number is one fault and not one of each kind.
BatchSize = Annotated[
    Annotated[int, Field(ge=1, le=1024), BeforeValidator(refuse_bool), Tag("number")]
    | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(_kind_of_size),
]


class OptimisationOptions(Message):
    """Steps, rates, losses, and when to stop."""

    epochs: Int = Field(
        10, ge=1, le=1000, description="Passes over the training receipts.", json_schema_extra=unit("epochs")
    )
    batch_size: BatchSize = Field(
        8,
        description="Windows per batch of each GPU; auto takes the most that it holds, to 64.",
        json_schema_extra=unit("windows"),
    )
    batch_tokens: Int | None = Field(
        None,
        ge=64,
        le=1048576,
        description="Tokens per batch of all GPUs, padding included; null counts windows.",
        json_schema_extra=unit("tokens"),
    )
    learning_rate: Float = Field(
        5e-5, gt=0, le=1, description="Peak learning rate of AdamW.", json_schema_extra=unit("1/step")
    )
    weight_decay: Float = Field(
        0.01, ge=0, le=1, description="Decoupled weight decay of AdamW.", json_schema_extra=unit("ratio")
    )
    warmup_ratio: Float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of all steps over which the learning rate rises.",
        json_schema_extra=unit("ratio"),
    )
    gradient_accumulation_steps: Int = Field(
        1,
        ge=1,
        le=1024,
        description="Batches summed into one optimisation step.",
        json_schema_extra=unit("batches"),
    )
    max_grad_norm: Float = Field(
        1.0,
        gt=0,
        le=1000,
        description="Gradients are clipped to this L2 norm.",
        json_schema_extra=unit("L2 norm"),
    )
    label_smoothing: Float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Probability mass spread over all tags.",
        json_schema_extra=unit("ratio"),
    )
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        "none",
        description="Weight of a tag in the loss: by the inverse of its frequency (balanced), or its root.",
        json_schema_extra=unit("name"),
    )
    ema_decay: Float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay per step of a running mean of the weights, which is scored and kept; 0 has none.",
        json_schema_extra=unit("ratio"),
    )
    eval_steps: Int | None = Field(
        None,
        ge=1,
        le=1000000,
        description="Steps from one evaluation and checkpoint to the next; null is an epoch.",
        json_schema_extra=unit("steps"),
    )
    early_stopping_patience: Int = Field(
        2,
        ge=0,
        le=1000,
        description="Evaluations without a better checkpoint metric until it stops; 0 never stops.",
        json_schema_extra=unit("evaluations"),
    )
    checkpoint_metric: str = Field(
        "f1",
        pattern=CHECKPOINT_METRIC_PATTERN,
        description="f1, precision, recall, accuracy, loss, label:NAME or macro:A,B: what best/ is best at.",
        json_schema_extra=unit("name"),
    )
    seed: Int = Field(
        42,
        ge=0,
        le=2**32 - 1,
        description="Seed of weights, order, dropout and the validation split.",
        json_schema_extra=unit("integer"),
    )
