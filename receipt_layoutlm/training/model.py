"""Finds the tokenizer and the model that a run starts from: the hub, a folder, S3, or built on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import BertTokenizer, LayoutLMForTokenClassification
from transformers.utils import logging as transformers_logging

from receipt_layoutlm.checkpoint import download_model, load_model, load_tokenizer
from receipt_layoutlm.errors import ConfigurationError
from receipt_layoutlm.labels import LabelSet
from receipt_layoutlm.storage import Storage
from receipt_layoutlm.training.places import fix_places
from receipt_layoutlm.training.scratch import SIZES, build_model, train_tokenizer

_SCRATCH = "scratch:"
_S3 = "s3://"


@dataclass(frozen=True, slots=True)
class Start:
    """What training starts from: a token classifier in float32 and its tokenizer."""

    model: Any
    tokenizer: Any


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model comes from and what it is to learn.

    Attributes:
        name: hub name, local folder, `s3://` prefix or `scratch:SIZE`.
        labels: what the classifier tells apart.
        seed: of fresh weights.
        work_dir: where an S3 prefix is downloaded to.
    """

    name: str
    labels: LabelSet
    seed: int
    work_dir: Path

    def load(self, train_texts: Iterable[str], storage: Storage) -> Start:
        """Build or load it; `train_texts` are the words that a fresh vocabulary is made of.

        Raises:
            ConfigurationError: the hub has no such model or cannot be reached.
            CheckpointError: the folder or prefix holds no model that can be loaded.
        """
        transformers_logging.disable_progress_bar()
        torch.manual_seed(self.seed)
        if self.name.startswith(_SCRATCH):
            return self._build(train_texts)
        if self.name.startswith(_S3):
            folder = self.work_dir / "pretrained"
            uri = self.name if self.name.endswith("/") else f"{self.name}/"
            download_model(storage, uri, folder)
            return self._load_folder(folder)
        folder = Path(self.name).expanduser()
        return self._load_folder(folder) if folder.is_dir() else self._load_from_hub()

    def _build(self, train_texts: Iterable[str]) -> Start:
        size = SIZES[self.name.removeprefix(_SCRATCH)]
        tokenizer = train_tokenizer(train_texts, size)
        return Start(build_model(size, len(tokenizer), self.seed, **self._label_settings()), tokenizer)

    def _load_folder(self, folder: Path) -> Start:
        model = load_model(folder, ignore_mismatched_sizes=True, **self._label_settings())
        known = load_model(folder).config.id2label
        if list(known.values()) != list(self.labels.tags):
            # Weights of other tags, even of equally many, would start each tag as another one.
            torch.nn.init.normal_(model.classifier.weight, std=model.config.initializer_range)
            torch.nn.init.zeros_(model.classifier.bias)
        fix_places(model)
        return Start(model, load_tokenizer(folder))

    def _load_from_hub(self) -> Start:
        try:
            model = LayoutLMForTokenClassification.from_pretrained(
                self.name, use_safetensors=True, dtype=torch.float32, **self._label_settings()
            )
            return Start(model, BertTokenizer.from_pretrained(self.name))
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigurationError(
                f"{self.name} is no local folder and could not be loaded from the hub: {error}. "
                "Check the name and the network, name a folder or an s3:// prefix, or use scratch:small."
            ) from error

    def _label_settings(self) -> dict[str, Any]:
        tags = self.labels.tags
        return {
            "num_labels": len(tags),
            "id2label": dict(enumerate(tags)),
            "label2id": {tag: index for index, tag in enumerate(tags)},
        }
