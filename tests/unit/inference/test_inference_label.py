"""One path from a checkpoint to labels: in training, in an evaluation, and for somebody's receipt."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from receipt_layoutlm.checkpoint import RUN_FACTS, WEIGHTS
from receipt_layoutlm.data.examples import Collator, EncodedPages
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.evaluation import predict
from receipt_layoutlm.evaluation.decoding import Probabilities, spans
from receipt_layoutlm.evaluation.entity_scores import score_tags
from receipt_layoutlm.evaluation.evaluate import HeldOut, evaluate, evaluate_checkpoint
from receipt_layoutlm.evaluation.predict import (
    Predictions,
    batch_by_length,
    fastest_arithmetic,
    predict_pages,
)
from receipt_layoutlm.inference.label import label_receipt, label_receipts
from receipt_layoutlm.inference.predictors import CheckpointLabeller
from receipt_layoutlm.inference.receipt_json import LabelledReceipt
from receipt_layoutlm.model_folder import load_model, open_checkpoint
from run_records.errors import CheckpointError
from tests.support.learned import LABELS

UNDECIDED = 0.05
"""Two tags whose probabilities are nearer than this may change places with the arithmetic."""


@pytest.fixture(scope="module")
def labeller(checkpoint: Path) -> CheckpointLabeller:
    return CheckpointLabeller.open(checkpoint, "float32")


@pytest.fixture(scope="module")
def encoded(labeller: CheckpointLabeller, unseen: list[Receipt]) -> EncodedPages:
    return labeller.encoder.encode(lay_out_all(unseen, LABELS))


def test_training_evaluation_and_inference_give_the_same_numbers(
    checkpoint: Path, labeller: CheckpointLabeller, unseen: list[Receipt]
) -> None:
    while_training = load_model(open_checkpoint(checkpoint)).train()
    recorded = evaluate(while_training, HeldOut.encode(unseen, LABELS, labeller.encoder))
    evaluated = evaluate_checkpoint(checkpoint, unseen)
    assert evaluated.scores == recorded.scores
    assert evaluated.loss == recorded.loss
    assert recorded.scores.f1 > 0.7

    labelled = label_receipts(labeller, unseen, "plain")
    for page, probabilities in zip(labelled, recorded.probabilities, strict=True):
        assert sorted(word.confidence for word in page.words) == sorted(probabilities.max(axis=1))
    assert score_of(unseen, labelled) == recorded.scores.f1


def score_of(receipts: Sequence[Receipt], labelled: Sequence[LabelledReceipt]) -> float:
    """F1 of what was handed out, put back into reading order."""
    pages = lay_out_all(receipts, LABELS)
    said = [
        [LABELS.tags.index(one.words[index].tag) for index in page.order]
        for one, page in zip(labelled, pages, strict=True)
    ]
    return score_tags(LABELS, [page.tags for page in pages], said).f1


def test_receipts_together_are_labelled_as_each_alone(
    labeller: CheckpointLabeller, unseen: list[Receipt]
) -> None:
    together = label_receipts(labeller, unseen)
    alone = [label_receipt(labeller, receipt) for receipt in unseen]
    for one, other in zip(together, alone, strict=True):
        assert [word.tag for word in one.words] == [word.tag for word in other.words]
        confidences = [word.confidence for word in one.words]
        assert confidences == pytest.approx([word.confidence for word in other.words], abs=1e-5)


def test_bf16_gives_the_labels_of_float32_but_where_the_model_is_undecided(
    labeller: CheckpointLabeller, encoded: EncodedPages
) -> None:
    exact = np.concatenate(labeller.predict(encoded).probabilities)
    rounded = np.concatenate(dataclasses.replace(labeller, precision="bf16").predict(encoded).probabilities)
    assert not np.array_equal(exact, rounded)
    different = exact.argmax(axis=1) != rounded.argmax(axis=1)
    second, first = np.sort(exact, axis=1)[:, -2:].T
    assert (first - second)[different].max(initial=0) < UNDECIDED
    assert different.mean() <= 0.002


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({}, "float32"),
        ({"avx2": True}, "float32"),
        ({"amx_bf16": True}, "bf16"),
        ({"avx512_bf16": True}, "bf16"),
    ],
)
def test_bf16_is_chosen_where_the_processor_has_units_for_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert fastest_arithmetic() == expected


def test_batches_hold_like_lengths_within_the_budget_and_every_window_once(
    encoded: EncodedPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "TOKEN_BUDGET", 1000)
    batches = batch_by_length(encoded.examples)
    assert sorted(map(id, encoded.examples)) == sorted(id(example) for batch in batches for example in batch)
    lengths = [len(example.input_ids) for batch in batches for example in batch]
    assert lengths == sorted(lengths, reverse=True)
    for batch in batches:
        shape = Collator(0)(batch)["input_ids"].shape
        assert shape.numel() <= 1000
        assert shape[1] % 8 == 0
    assert len(batches) < len(encoded.examples) / 2
    monkeypatch.setattr(predict, "TOKEN_BUDGET", 1)
    assert [len(batch) for batch in batch_by_length(encoded.examples)] == [1] * len(encoded.examples)


def test_each_weight_is_cast_to_bf16_once_however_many_batches_there_are(
    labeller: CheckpointLabeller, encoded: EncodedPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "TOKEN_BUDGET", 1000)

    predict_pages(labeller.model, encoded, "bf16")  # whatever torch sets up at first
    weights = sum(module.__class__ is torch.nn.Linear for module in labeller.model.modules())
    with WeightCasts() as casts:  # type: ignore[no-untyped-call]  # torch is untyped here
        predict_pages(labeller.model, encoded, "bf16")
    assert len(batch_by_length(encoded.examples)) > 3
    assert casts.count == weights


class WeightCasts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the matrices of weights that are cast to bf16."""

    count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        cast = func.name() == "aten::_to_copy" and (kwargs or {}).get("dtype") is torch.bfloat16
        self.count += cast and isinstance(args[0], torch.nn.Parameter) and args[0].dim() == 2
        return func(*args, **(kwargs or {}))


class Fixed:
    """A labeller that says what a test wants."""

    def __init__(self, labeller: CheckpointLabeller, rows: Mapping[str, Sequence[float]]) -> None:
        self.tags = ("O", "B-DATE", "I-DATE")
        self.encoder = labeller.encoder
        self.transitions = None
        self._rows = rows

    def predict(self, encoded: EncodedPages) -> Predictions:
        pages: list[Probabilities] = [
            np.array([self._rows[text] for text in page.texts]) for page in encoded.pages
        ]
        return Predictions(tuple(pages), 0.0)


def two_lines() -> Receipt:
    """`12 May` on the upper line, `2026 paid` on the lower, y counted from the bottom as in the table."""
    words = (
        Word(1, 1, "12", (0.1, 0.8, 0.2, 0.85)),
        Word(1, 2, "May", (0.3, 0.8, 0.5, 0.85)),
        Word(2, 1, "2026", (0.1, 0.7, 0.4, 0.76)),
        Word(2, 2, "paid", (0.6, 0.7, 0.8, 0.76)),
    )
    return Receipt("an-image", 1, words)


def test_an_entity_has_its_words_as_printed_their_common_box_and_their_mean_confidence(
    labeller: CheckpointLabeller,
) -> None:
    # The model reads upwards: 2026, paid, 12, May.
    rows = {
        "2026": (0.9, 0.05, 0.05),
        "paid": (0.1, 0.9, 0.0),
        "12": (0.2, 0.1, 0.7),
        "May": (0.4, 0.0, 0.6),
    }
    labelled = label_receipt(Fixed(labeller, rows), two_lines())
    [date] = labelled.entities
    assert (date.label, date.text) == ("DATE", "12 May paid")
    assert date.words == ((1, 1), (1, 2), (2, 2))
    assert date.box == (0.1, 0.7, 0.8, 0.85)
    assert date.confidence == pytest.approx((0.9 + 0.7 + 0.6) / 3)
    assert [(word.text, word.tag) for word in labelled.words] == [
        ("12", "I-DATE"),
        ("May", "I-DATE"),
        ("2026", "O"),
        ("paid", "B-DATE"),
    ]
    assert all(word.clients_tag is None for word in labelled.words)


def test_a_word_whose_tag_is_not_the_clients_says_which_they_show(labeller: CheckpointLabeller) -> None:
    rows = {"2026": (0.3, 0.2, 0.5), "paid": (1, 0, 0), "12": (1, 0, 0), "May": (1, 0, 0)}
    constrained = label_receipt(Fixed(labeller, rows), two_lines())
    assert [(word.tag, word.clients_tag) for word in constrained.words if word.text == "2026"] == [
        ("O", "I-DATE")
    ]
    assert constrained.words[2].confidence == pytest.approx(0.3)
    assert constrained.entities == ()
    plain = label_receipt(Fixed(labeller, rows), two_lines(), "plain")
    assert [(word.tag, word.clients_tag) for word in plain.words if word.text == "2026"] == [("I-DATE", None)]
    assert [entity.text for entity in plain.entities] == ["2026"]


def test_labels_that_a_receipt_has_already_change_nothing(
    labeller: CheckpointLabeller, unseen: list[Receipt]
) -> None:
    bare = [dataclasses.replace(word, label=None) for word in unseen[0].words]
    stripped = dataclasses.replace(unseen[0], words=tuple(bare))
    assert label_receipt(labeller, stripped) == label_receipt(labeller, unseen[0])


def test_the_result_goes_to_json_and_back(labeller: CheckpointLabeller, unseen: list[Receipt]) -> None:
    labelled = label_receipt(labeller, unseen[0])
    assert len(labelled.words) == len(unseen[0].words)
    assert LabelledReceipt.model_validate_json(labelled.model_dump_json()) == labelled
    tags = [labelled.words[index].tag for index in lay_out_all([unseen[0]], LABELS)[0].order]
    assert len(labelled.entities) == len(spans(tags)) > 0


def test_no_receipts_and_a_receipt_without_words_give_nothing(labeller: CheckpointLabeller) -> None:
    assert label_receipts(labeller, []) == ()
    assert label_receipt(labeller, Receipt("i", 1, ())).words == ()


def copied(checkpoint: Path, folder: Path) -> Path:
    return Path(shutil.copytree(checkpoint, folder / "copy"))


def test_a_checkpoint_without_the_runs_facts_is_read_in_the_clients_windows(
    checkpoint: Path, tmp_path: Path, labeller: CheckpointLabeller
) -> None:
    folder = copied(checkpoint, tmp_path)
    (folder / RUN_FACTS).unlink()
    encoder = CheckpointLabeller.open(folder).encoder
    assert (encoder.max_seq_length, encoder.window_size, encoder.window_stride) == (512, 200, 150)
    own = labeller.encoder
    assert (own.max_seq_length, own.window_size, own.window_stride) == (256, 60, 40)


def test_tags_of_another_order_are_taken_from_the_checkpoint(
    checkpoint: Path, tmp_path: Path, labeller: CheckpointLabeller, unseen: list[Receipt]
) -> None:
    folder = copied(checkpoint, tmp_path)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    tags = list(config["id2label"].values())
    order = [*range(1, len(tags)), 0]
    config["id2label"] = {str(number): tags[old] for number, old in enumerate(order)}
    config["label2id"] = {tags[old]: number for number, old in enumerate(order)}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / WEIGHTS)
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = tensors[name][order].contiguous()
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    (folder / RUN_FACTS).unlink()
    reordered = dataclasses.replace(CheckpointLabeller.open(folder, "float32"), encoder=labeller.encoder)
    for one, other in zip(label_receipts(reordered, unseen), label_receipts(labeller, unseen), strict=True):
        assert [word.tag for word in one.words] == [word.tag for word in other.words]


def test_a_model_that_computes_nan_is_refused_with_the_receipt(
    checkpoint: Path, tmp_path: Path, unseen: list[Receipt]
) -> None:
    folder = copied(checkpoint, tmp_path)
    tensors = load_file(folder / WEIGHTS)
    tensors["classifier.weight"][:] = 3e38  # a sum of two is infinite
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"NaN for {unseen[0].key}"):
        label_receipts(CheckpointLabeller.open(folder), unseen)
