"""Finds the tokenizer and model that a run starts from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from messages.export_options import MAX_TOKENS
from receipt_layoutlm.model_folder import download_model, load_start, open_start
from receipt_layoutlm.training.hub import fetch_from_hub, is_on_hub
from receipt_layoutlm.training.position_init import fix_positions
from receipt_layoutlm.training.scratch import SIZES, build_model, train_tokenizer
from run_records.errors import CheckpointError, ConfigurationError
from run_records.labels import LabelSet
from run_records.s3_store import S3Store

_SCRATCH = "scratch:"
_S3 = "s3://"


@dataclass(frozen=True, slots=True)
class Start:
    """The initial model of a training: a token classifier in float32 and its tokenizer."""

    model: Any
    tokenizer: Any


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The source of a model, and the labels that it is to learn.

    Attributes:
        name: hub name, local folder, `s3://` prefix or `scratch:SIZE`.
        labels: the classes of the classifier.
        seed: of fresh weights.
        max_tokens: of an example, for which it needs as many positions.
        work_dir: folder for the download of an S3 prefix.
    """

    name: str
    labels: LabelSet
    seed: int
    max_tokens: int
    work_dir: Path

    def load(self, train_texts: Iterable[str], storage: S3Store) -> Start:
        """Build or load it; `train_texts` are the words that a fresh vocabulary is made of.

        Raises:
            NetworkError: the hub does not answer.
            ConfigurationError: the hub has no such model, or it has too few positions.
            CheckpointError: the folder or prefix holds no model that can be loaded.
        """
        torch.manual_seed(self.seed)
        if self.name.startswith(_SCRATCH):
            return self._build(train_texts)
        if self.name.startswith(_S3):
            folder = self.work_dir / "pretrained"
            uri = self.name if self.name.endswith("/") else f"{self.name}/"
            download_model(storage, uri, folder)
            return self._load_folder(folder)
        return (
            self._load_from_hub() if is_on_hub(self.name) else self._load_folder(Path(self.name).expanduser())
        )

    def _build(self, train_texts: Iterable[str]) -> Start:
        size = SIZES[self.name.removeprefix(_SCRATCH)]
        tokenizer = train_tokenizer(train_texts, size)
        return Start(build_model(size, len(tokenizer), self.seed, **self._label_settings()), tokenizer)

    def _load_folder(self, folder: Path) -> Start:
        opened = open_start(folder)
        self._check_positions(opened.config.max_position_embeddings)
        model = load_start(opened, **self._label_settings())
        if opened.config.tags != self.labels.tags:
            # Weights of other tags, even of equally many, would start each tag as another one.
            torch.nn.init.normal_(model.classifier.weight, std=model.config.initializer_range)
            torch.nn.init.zeros_(model.classifier.bias)
        fix_positions(model)
        return Start(model, opened.load_tokenizer())

    def _load_from_hub(self) -> Start:
        folder = fetch_from_hub(self.name)
        try:
            return self._load_folder(folder)
        except CheckpointError as error:
            raise ConfigurationError(
                f"{self.name} of the Hugging Face hub is no model to start from: {error}"
            ) from error

    def _check_positions(self, positions: int) -> None:
        if self.max_tokens > positions:
            raise ConfigurationError(
                f"max_seq_length is {self.max_tokens}, and {self.name} has {positions} positions. Pass "
                f"max_seq_length {positions} at most, with auto_export false, since clients send up to "
                f"{MAX_TOKENS} tokens; or start from a model with {MAX_TOKENS}."
            )

    def _label_settings(self) -> dict[str, Any]:
        tags = self.labels.tags
        return {
            "num_labels": len(tags),
            "id2label": dict(enumerate(tags)),
            "label2id": {tag: index for index, tag in enumerate(tags)},
        }
