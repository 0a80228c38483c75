"""The cases that a bundle carries for the app's own tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from messages.export_options import Quantize
from receipt_layoutlm.checkpoint import build_tokenizer
from receipt_layoutlm.coreml.bundle import PACKAGE, check_bundle
from receipt_layoutlm.coreml.evaluator import load_program
from receipt_layoutlm.coreml.golden import GoldenCase, read_golden, write_golden
from receipt_layoutlm.coreml.manifest import BundleForm
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint, load_checkpoint
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.errors import BundleError

BundleOf = Callable[[Quantize], Path]
NAMES = ["case-1", "case-2", "case-3", "case-4", "case-5", "padded"]


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Checkpoint:
    return load_checkpoint(trained)


@pytest.fixture(scope="module")
def cases(bundle_of: BundleOf) -> dict[str, GoldenCase]:
    return {case.name: case for case in read_golden(bundle_of("float16"))}


def test_there_are_five_cases_as_they_come_and_one_padded_to_the_greatest_length(
    cases: dict[str, GoldenCase],
) -> None:
    assert list(cases) == NAMES
    *natural, padded = cases.values()
    assert all(all(case.attention_mask) for case in natural)
    assert len(padded.input_ids) == 512
    tokens = sum(padded.attention_mask)
    assert tokens == min(len(case.input_ids) for case in natural)
    [same] = [case for case in natural if case.input_ids == padded.input_ids[:tokens]]
    assert padded.labels == same.labels
    assert set(padded.input_ids[tokens:]) == {0}  # [PAD] of this vocabulary
    assert set(padded.bbox[tokens:]) == {(0, 0, 0, 0)}


def test_inputs_are_what_the_words_and_boxes_become(
    cases: dict[str, GoldenCase], checkpoint: Checkpoint
) -> None:
    tokenizer = build_tokenizer(list(checkpoint.vocabulary))
    for case in cases.values():
        pieces = [tokenizer.tokenize(word) for word in case.words]
        ids = [checkpoint.vocabulary.index(token) for word in pieces for token in word]
        tokens = sum(case.attention_mask)
        assert list(case.input_ids[:tokens]) == [2, *ids, 3]
        starts = np.cumsum([1, *(len(word) for word in pieces)])[:-1]
        assert list(case.first_tokens) == starts.tolist()
        assert [case.bbox[first] for first in case.first_tokens] == list(case.boxes)
        assert (case.bbox[0], case.bbox[tokens - 1]) == ((0, 0, 0, 0), (0, 0, 0, 0))
        assert all(0 <= edge <= 1000 for box in case.boxes for edge in box)
        # In the clients' reading order.
        assert list(case.boxes) == sorted(case.boxes, key=lambda box: (box[1], box[0]))


def test_logits_and_labels_are_the_checkpoints(cases: dict[str, GoldenCase], checkpoint: Checkpoint) -> None:
    for case in cases.values():
        inputs = {
            name: torch.tensor([getattr(case, name)])
            for name in ("input_ids", "attention_mask", "token_type_ids", "bbox")
        }
        with torch.no_grad():
            wanted = checkpoint.model(**inputs).logits[0, : sum(case.attention_mask)].numpy()
        logits = case.logits.unpack()
        assert logits.dtype == np.float32
        assert np.abs(logits - wanted).max() <= case.tolerance < 0.05
        best = [checkpoint.config.labels[int(logits[first].argmax())] for first in case.first_tokens]
        assert list(case.labels) == best


def test_cases_are_made_of_real_receipts_where_there_are_any(
    bundle_of: BundleOf, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    def receipt(number: int, *texts: str) -> Receipt:
        words = tuple(
            Word(1, at, text, (at / 10, 0.1, at / 10 + 0.05, 0.2)) for at, text in enumerate(texts, 1)
        )
        return Receipt(f"image-{number}", 1, words)

    program = load_program(bundle_of("float16") / PACKAGE)
    # Not in the order of their keys, and one without a word.
    real = [receipt(2, "word2", "word9"), receipt(1, "word1"), receipt(0)]
    write_golden(tmp_path, checkpoint, BundleForm(), program, real)
    words = {case.name: case.words for case in read_golden(tmp_path)}
    assert words["case-1"] == ("word1",)
    assert words["case-2"] == ("word2", "word9")
    assert len(words["case-3"]) > 5  # made up


def test_a_compressed_package_is_held_to_what_its_own_weights_give(
    bundle_of: BundleOf, cases: dict[str, GoldenCase]
) -> None:
    for case in read_golden(bundle_of("int4")):
        difference = np.abs(case.logits.unpack() - cases[case.name].logits.unpack()).max()
        assert 1e-3 < difference < 5
        assert case.input_ids == cases[case.name].input_ids


def test_float32_is_held_to_the_tolerance_of_float32(
    bundle_of: BundleOf, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    program = load_program(bundle_of("float16") / PACKAGE)  # any will do
    write_golden(tmp_path, checkpoint, BundleForm(None), program)
    assert {case.tolerance for case in read_golden(tmp_path)} == {1e-4}


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("labels", ["O"], "one entry for each word"),
        ("input_ids", [1, 2], "one entry for each word and each token"),
        ("logits", {"shape": [2, 5], "base64": "AAAA"}, "logits"),
        ("schema_version", 2, "schema_version"),
    ],
)
def test_a_case_that_contradicts_itself_is_refused(
    bundle: Path, field: str, value: Any, expected: str
) -> None:
    path = bundle / "golden" / "case-2.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(BundleError, match=rf"case-2\.json: .*{expected}"):
        check_bundle(bundle)
