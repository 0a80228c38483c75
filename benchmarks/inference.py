"""Labelling receipts in batches, in bf16 where the processor has it, against one at a time padded to 512."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import print_row
from messages.export_options import MAX_TOKENS
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import Collator, EncodedPages, Example
from receipt_layoutlm.data.importers.field_alignment import import_sroie
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.table_writer import receipt_of
from receipt_layoutlm.evaluation.decoding import Probabilities
from receipt_layoutlm.evaluation.predict import average_windows, fastest_arithmetic, predict_pages
from receipt_layoutlm.training.config import use_all_cpus
from receipt_layoutlm.training.scratch import SIZES, build_model, train_tokenizer
from run_records.labels import LabelSet

SROIE = Path(__file__).parent.parent.parent / "shared" / "data" / "sroie" / "train.jsonl"
LABELS = LabelSet(("MERCHANT_NAME", "ADDRESS_LINE", "DATE", "GRAND_TOTAL"), {})
RECEIPTS = 24
LEARNED_FROM = 32
ROUNDS = 3
SPEED_UP = 5
_RIDGE = 10.0
_SHARPNESS = 10.0


def measure() -> None:
    """A base-size model on real receipts, A B A B."""
    threads, precision = use_all_cpus(), fastest_arithmetic()
    drafts, _ = import_sroie(SROIE)
    pages = lay_out_all([receipt_of(draft) for draft in drafts[: RECEIPTS + LEARNED_FROM]], LABELS)
    tokenizer = train_tokenizer({text for page in pages for text in page.texts}, SIZES["base"])
    encoder = Encoder.as_clients(tokenizer)
    model = build_model(SIZES["base"], len(tokenizer), 0, num_labels=len(LABELS.tags)).eval()
    _learn_head(model, encoder.encode(pages[RECEIPTS:]))
    encoded = encoder.encode(pages[:RECEIPTS])
    ways: dict[str, Callable[[], Probabilities]] = {
        "one at a time": lambda: _one_at_a_time(model, encoded),
        "batched": lambda: np.concatenate(predict_pages(model, encoded, precision).probabilities),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    said: dict[str, Probabilities] = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.perf_counter()
            said[name] = way()
            rates[name].append(RECEIPTS / (time.perf_counter() - started))
    _report(rates, said, f"{precision}, {threads} threads")


def _learn_head(model: Any, encoded: EncodedPages) -> None:
    """Fit the classifier on what the fresh layers below it give (ridge regression on one-hot tags).

    With fresh weights throughout, every label is as likely as the next, and a rounding decides.
    """
    features: list[torch.Tensor] = []
    hook = model.classifier.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].float()))
    tags = []
    collate = Collator(encoded.pad_token_id)
    with torch.no_grad():
        for example in encoded.examples:
            inputs = collate([example])
            known = inputs.pop("labels")[0]
            with torch.autocast("cpu", torch.bfloat16):
                model(**inputs)
            features[-1] = features[-1][0, known >= 0]
            tags.append(known[known >= 0])
        hook.remove()
        hidden, wanted = torch.cat(features), torch.nn.functional.one_hot(torch.cat(tags), len(LABELS.tags))
        center = hidden.mean(0)
        moved = hidden - center
        square = moved.T @ moved + _RIDGE * torch.eye(moved.shape[1])
        weight = torch.linalg.solve(square, moved.T @ wanted.float()).T * _SHARPNESS
        model.classifier.weight.copy_(weight)
        model.classifier.bias.copy_(wanted.float().mean(0) * _SHARPNESS - weight @ center)


def _one_at_a_time(model: Any, encoded: EncodedPages) -> Probabilities:
    collate = Collator(encoded.pad_token_id)

    def forward(batch: Sequence[Example]) -> torch.Tensor:
        inputs = collate(batch, length=MAX_TOKENS)
        del inputs["labels"]
        logits: torch.Tensor = model(**inputs).logits
        return logits

    with torch.inference_mode():
        said = average_windows(
            forward, encoded, len(LABELS.tags), [[example] for example in encoded.examples]
        )
    return np.concatenate(said.probabilities)


def _report(rates: dict[str, list[float]], said: dict[str, Probabilities], how: str) -> None:
    for name, each in rates.items():
        what = "float32, padded to 512" if name == "one at a time" else how
        print_row(
            f"labelling real receipts with a base-size model, {name} ({what})",
            f"{', '.join(f'{rate:.2f}' for rate in each)} receipts a second",
        )
    slow, fast = (statistics.median(each) for each in rates.values())
    print_row("batched against one at a time", f"{fast / slow:.1f} times as fast", f"{SPEED_UP} times")
    one, other = said.values()
    same = one.argmax(axis=1) == other.argmax(axis=1)
    second, first = np.sort(one, axis=1)[:, -2:].T
    print_row(
        "the same labels",
        f"{same.sum():,} of {len(same):,} words ({same.mean():.2%}); where not, the two most probable labels "
        f"are at most {(first - second)[~same].max(initial=0):.3f} apart",
        "all but undecided words",
    )
