"""A tiny model's checkpoint, made on the spot: with fresh weights, or after it has learned a little."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from messages.hyperparameters import Hyperparameters
from messages.options.encoding import EncodingOptions
from receipt_layoutlm.checkpoint import RUN_FACTS, RunFacts, save_tokenizer
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import Collator, EncodedPages
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.training.scratch import SIZES, build_model, train_tokenizer
from run_records.labels import resolve_labels

STEPS = 60
BATCH = 8
LABELS = resolve_labels(
    Hyperparameters(allowed_labels=("MERCHANT_NAME", "DATE", "LINE_TOTAL", "GRAND_TOTAL"))
)
# So small that a receipt has several windows.
WINDOWS = {"max_seq_length": 256, "window_size": 60, "window_stride": 40}


def make_checkpoint(folder: Path, receipts: Sequence[Receipt], steps: int = 0) -> Path:
    """Write a checkpoint into an existing folder."""
    torch.set_num_threads(1)
    pages = lay_out_all(receipts, LABELS)
    tokenizer = train_tokenizer({text for page in pages for text in page.texts}, SIZES["tiny"])
    model = build_model(
        SIZES["tiny"],
        len(tokenizer),
        1,
        id2label=dict(enumerate(LABELS.tags)),
        label2id={tag: number for number, tag in enumerate(LABELS.tags)},
    )
    _learn(model, Encoder.of(tokenizer, EncodingOptions(**WINDOWS)).encode(pages), steps)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    facts = RunFacts(
        job_id="a-job",
        job_name="a-run",
        label_list=LABELS.tags,
        label_merges={},
        precision="float32",
        step=steps,
        epoch=1,
        **WINDOWS,
    )
    (folder / RUN_FACTS).write_text(facts.model_dump_json())
    return folder


def _learn(model: Any, encoded: EncodedPages, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    collate = Collator(encoded.pad_token_id)
    model.train()
    for step in range(steps):
        start = step * BATCH % (len(encoded.examples) - BATCH)
        loss = model(**collate(encoded.examples[start : start + BATCH])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
