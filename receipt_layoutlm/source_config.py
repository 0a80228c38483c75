"""Reads a checkpoint's config.json, so that nothing but a LayoutLM of a sane size is ever built."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field, model_validator
from transformers import LayoutLMConfig

from run_records.errors import CheckpointError, RunError

CONFIG = "config.json"
MODEL_TYPE = "layoutlm"

_REMOTE_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")
_ROWS_OF_BOXES = 1001  # boxes are normalised to 0..1000
_TAG = re.compile(r"^(O|[BI]-\S.*)$")

_C = TypeVar("_C", bound="ModelConfig")


class ModelConfig(BaseModel):
    """The part of config.json that shapes the graph; the bounds keep a bad file from taking all memory."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    model_type: Literal["layoutlm"]
    vocab_size: int = Field(ge=4, le=1_000_000)
    hidden_size: int = Field(768, ge=1, le=4096)
    num_hidden_layers: int = Field(12, ge=1, le=64)
    num_attention_heads: int = Field(12, ge=1, le=128)
    intermediate_size: int = Field(3072, ge=1, le=16_384)
    hidden_act: Literal["gelu", "gelu_new", "relu"] = "gelu"
    max_position_embeddings: int = Field(512, ge=16, le=8192)
    max_2d_position_embeddings: int = Field(1024, ge=_ROWS_OF_BOXES, le=8192)
    type_vocab_size: int = Field(2, ge=1, le=16)
    layer_norm_eps: float = Field(1e-12, gt=0, le=1e-3)
    id2label: Any = None

    @property
    def tags(self) -> tuple[Any, ...]:
        """The names of what its classifier tells apart, as far as it has any."""
        return tuple(self.id2label.values()) if isinstance(self.id2label, Mapping) else ()

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads")
        return self

    def sizes(self) -> dict[str, Any]:
        """The fields of the graph, as config.json spells them."""
        return self.model_dump(include=set(ModelConfig.model_fields) - {"id2label"})


class CheckpointConfig(ModelConfig):
    """The configuration of a model that has learned its labels."""

    id2label: dict[int, str] = Field(min_length=1, max_length=1000)
    label2id: dict[str, int]

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if sorted(self.id2label) != list(range(len(self.id2label))):
            raise ValueError(f"id2label must have the keys 0 to {len(self.id2label) - 1} without a gap")
        if self.label2id != {label: number for number, label in self.id2label.items()}:
            raise ValueError("label2id must be id2label the other way round")
        if others := other_than_tags(self.labels):
            raise ValueError(
                f"the labels {', '.join(others[:3])} are no tags, which are O, B-NAME and I-NAME; write the "
                "names that the model was trained with into id2label and label2id"
            )
        return self

    @property
    def labels(self) -> list[str]:
        """The labels in the order of their ids."""
        return [self.id2label[number] for number in range(len(self.id2label))]

    def for_transformers(self, pad_id: int) -> LayoutLMConfig:
        """Build transformers' own configuration from these fields and no others."""
        sizes = {name: value for name, value in self.sizes().items() if name != "model_type"}
        return LayoutLMConfig(**sizes, pad_token_id=pad_id, id2label=self.id2label, label2id=self.label2id)


def read_config(path: Path, kind: type[_C]) -> _C:
    """Read config.json.

    Raises:
        CheckpointError: it is not JSON, not a LayoutLM, asks for code of its own, or contradicts itself.
    """
    data = read_object(path, CheckpointError)
    refuse_remote_code(path.name, data, CheckpointError)
    if data.get("model_type") != MODEL_TYPE:
        raise CheckpointError(
            f"{path.name} is that of a model of model_type {data.get('model_type')!r}. Name one of type "
            f"{MODEL_TYPE!r}."
        )
    try:
        return kind.model_validate(data)
    except pydantic.ValidationError as error:
        purpose = " for token classification" if kind is CheckpointConfig else ""
        raise CheckpointError(
            f"{path.name} is not that of a LayoutLM{purpose}: {describe(error)}. "
            "Use a checkpoint that this package trained."
        ) from error


def other_than_tags(labels: Iterable[str]) -> list[str]:
    """Labels that are no tags, such as LABEL_0, which transformers writes for labels without a name."""
    return [label for label in labels if not _TAG.match(label)]


def refuse_remote_code(name: str, data: dict[str, Any], error: type[RunError]) -> None:
    """Raise `error` for a document that names Python code to load."""
    asked = [key for key in _REMOTE_CODE if data.get(key)]
    if asked:
        raise error(
            f"{name} asks for code of its own ({', '.join(asked)}), which is never run. "
            "Use a checkpoint of the plain LayoutLM."
        )


def read_object(path: Path, error: type[RunError]) -> dict[str, Any]:
    """Read a JSON object; raises `error` for anything else."""
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as cause:
        raise error(f"{path.name} is not JSON: {cause}. Write it again.") from cause
    except OSError as cause:
        raise error(f"{path.name} cannot be read: {cause.strerror}.") from cause
    if not isinstance(data, dict):
        raise error(f"{path.name} must hold a JSON object, not {type(data).__name__}.")
    return data


def describe(error: pydantic.ValidationError) -> str:
    """The first few faults of a document in one line."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'document'}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in faults
    )
