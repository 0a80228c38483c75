"""The data and model of the benchmark."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import Example
from receipt_layoutlm.data.importers.field_alignment import import_sroie
from receipt_layoutlm.data.page_layout import PageLayout, lay_out_all
from receipt_layoutlm.data.table_writer import receipt_of
from receipt_layoutlm.training.benchmark.ladder import RungTask
from receipt_layoutlm.training.pretrained import ModelSource
from receipt_layoutlm.training.scratch import SIZES
from run_records.labels import resolve_labels
from run_records.s3_store import S3Store

_SYNTHETIC_RECEIPTS = 400
_ATTENTION_DROPOUT = 0.1
_SCRATCH = "scratch:"


@dataclass(frozen=True, slots=True)
class Workload:
    """A model in float32 and windows of receipts; `tokens` are the ids that these have."""

    model: Any
    windows: list[Example]
    tokens: set[int]
    pad_token_id: int

    @classmethod
    def make(cls, task: RungTask) -> Workload:
        """Read or make the receipts, cut them into windows of 200 words, and build or load the model."""
        options = Hyperparameters()
        labels = resolve_labels(options)
        pages = _read_pages(task.data, task.seed)
        with tempfile.TemporaryDirectory() as folder:
            source = ModelSource(task.model, labels, task.seed, options.max_seq_length, Path(folder))
            start = source.load({text for page in pages for text in page.texts}, S3Store(()))
        if task.model.startswith(_SCRATCH):
            _make_as_published(start.model, SIZES[task.model.removeprefix(_SCRATCH)].vocabulary)
        least, most = task.tokens
        examples = Encoder.of(start.tokenizer, options).encode(pages).examples
        windows = [example for example in examples if least <= len(example.input_ids) <= most]
        tokens = {token for window in windows for token in window.input_ids}
        return cls(start.model, windows, tokens, start.tokenizer.pad_token_id)


@cache
def _read_pages(data: str | None, seed: int) -> list[PageLayout]:
    drafts = import_sroie(Path(data))[0] if data else synthetic.generate(_SYNTHETIC_RECEIPTS, seed)
    return lay_out_all([receipt_of(draft) for draft in drafts], resolve_labels(Hyperparameters()))


def _make_as_published(model: Any, rows: int) -> None:
    """Give a model built on the spot a vocabulary as large as a published one's, and dropout in attention."""
    model.resize_token_embeddings(max(rows, model.config.vocab_size), mean_resizing=False)
    model.config.attention_probs_dropout_prob = _ATTENTION_DROPOUT
    for layer in model.layoutlm.encoder.layer:
        layer.attention.self.attention_dropout = _ATTENTION_DROPOUT


def drop_nothing(model: Any) -> None:
    """Take all dropout out of a model, that of its attention included."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
