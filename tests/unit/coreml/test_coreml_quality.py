"""The gate that asks for labels: on real receipts of a run, wherever they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from messages.export_options import RANGE, Quantize, Shapes, parse_shapes
from receipt_layoutlm.checkpoint import RunFacts
from receipt_layoutlm.coreml.bundle import PACKAGE
from receipt_layoutlm.coreml.convert import PackageMetadata, convert
from receipt_layoutlm.coreml.evaluator import Operation, Program, load_program
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint, load_checkpoint
from receipt_layoutlm.coreml.verify import Gate, quality
from receipt_layoutlm.coreml.verify.arithmetic import Extremes
from receipt_layoutlm.coreml.verify.quality import Validation, check_quality
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.errors import BundleError
from receipt_layoutlm.evaluation.predict import predict_pages

BundleOf = Callable[[Quantize], Path]
LABELS = ("O", "B-DATE", "I-DATE", "B-TAX", "I-TAX")
FIXED = "fixed:24"
RUN = RunFacts(
    job_id="e1c8f8a2-5b7a-4d43-8a55-0f4b5d6a7c11",
    job_name="a-run",
    label_list=LABELS,
    label_merges={},
    max_seq_length=512,
    window_size=40,
    window_stride=30,
    precision="float32",
    step=10,
    epoch=1.0,
)


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Checkpoint:
    """As a run of this package would have left it."""
    return dataclasses.replace(load_checkpoint(trained), run=RUN)


@pytest.fixture(scope="module")
def program(bundle_of: BundleOf) -> Program:
    return load_program(bundle_of("float16") / PACKAGE)


def make_receipts(count: int, words: int = 70) -> list[Receipt]:
    """Receipts of known words all over the page."""
    generator = torch.Generator().manual_seed(11)

    def make_word(number: int) -> Word:
        token, x, y = (int(one) for one in torch.randint(55, (3,), generator=generator))
        label = "DATE" if number % 9 == 0 else None
        return Word(1, number, f"word{token}", (x / 60, y / 60, x / 60 + 0.1, y / 60 + 0.05), label)

    return [
        Receipt(f"{number:08d}-0000-4000-8000-000000000000", 1, tuple(make_word(one) for one in range(words)))
        for number in range(count)
    ]


def ask_quality(
    program: Any,
    checkpoint: Checkpoint,
    validation: Validation,
    quantize: Quantize = "float16",
    shapes: Shapes = RANGE,
    *,
    trained: bool = True,
) -> Gate:
    return check_quality(
        program, checkpoint, validation, Extremes(), quantize=quantize, shapes=shapes, trained=trained
    )


def test_on_receipts_the_package_labels_as_the_checkpoint_does(
    program: Program, checkpoint: Checkpoint
) -> None:
    gate = ask_quality(program, checkpoint, Validation(make_receipts(8), total=40))
    assert gate.passed is True
    assert gate.sentence.startswith("On 8 of 40 validation receipts, ")
    agreement, drop, receipts = gate.numbers
    assert agreement.value > 0.996
    assert (agreement.at_least, drop.at_most, receipts.value) == (0.999, 0.2, 8)


def test_receipts_are_cut_and_padded_where_the_package_takes_one_length_only(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    metadata = PackageMetadata("x", "run")
    convert(checkpoint.model, "float16", metadata, parse_shapes(FIXED)).save(str(tmp_path / PACKAGE))
    fixed = load_program(tmp_path / PACKAGE)
    gate = ask_quality(fixed, checkpoint, Validation(make_receipts(2), 2), shapes=parse_shapes(FIXED))
    assert gate.numbers[0].value > 0.98


def test_of_a_large_model_only_as_many_receipts_are_evaluated_as_there_is_time_for(
    program: Program, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "WORK", 1)
    gate = ask_quality(program, checkpoint, Validation(make_receipts(3), total=3))
    assert gate.sentence.startswith("On 1 of 3 validation receipts")


@pytest.fixture(scope="module")
def other(checkpoint: Checkpoint, trained: Path) -> Checkpoint:
    """A checkpoint with other weights behind the same labels."""
    changed = load_checkpoint(trained)
    changed.model.classifier.weight.data = changed.model.classifier.weight.data.flip(0)
    return dataclasses.replace(changed, run=checkpoint.run)


def test_too_many_words_with_another_label_are_refused(program: Program, other: Checkpoint) -> None:
    with pytest.raises(BundleError, match=r"share of words with the same label is 0\.\d+ at 140 words of 2"):
        ask_quality(program, other, Validation(make_receipts(2)))


def test_without_trained_weights_labels_are_reported_and_not_gated(
    program: Program, other: Checkpoint
) -> None:
    gate = ask_quality(program, other, Validation(make_receipts(2)), trained=False)
    assert (gate.passed, gate.warned) == (True, False)
    assert "untrained" in gate.sentence
    assert not gate.numbers[0].holds


def test_four_bits_are_only_warned_of_for_their_labels_but_refused_for_lost_f1(
    program: Program, other: Checkpoint
) -> None:
    unlabelled = [
        dataclasses.replace(
            receipt, words=tuple(dataclasses.replace(word, label=None) for word in receipt.words)
        )
        for receipt in make_receipts(2)
    ]
    gate = ask_quality(program, other, Validation(unlabelled), "int4")
    assert (gate.passed, gate.warned) == (True, True)
    labelled = relabel(other, make_receipts(2))
    with pytest.raises(BundleError, match=r"loss of F1 in points is \d"):
        ask_quality(program, other, Validation(labelled), "int4")


def relabel(checkpoint: Checkpoint, receipts: list[Receipt]) -> list[Receipt]:
    """Give every word the label that the checkpoint gives it, so that its F1 is high."""
    encoded = quality._encode(checkpoint, RUN, receipts, 512)  # noqa: SLF001 - the same windows
    said = predict_pages(checkpoint.model, encoded).tags
    relabelled = []
    for receipt, page, tags in zip(receipts, encoded.pages, said, strict=True):
        words = list(receipt.words)
        for index, tag in zip(page.order, tags, strict=True):
            words[index] = dataclasses.replace(words[index], label=LABELS[tag][2:] or None)
        relabelled.append(dataclasses.replace(receipt, words=tuple(words)))
    return relabelled


class SomeWordsOff:
    """The program, but for some first tokens whose logits are turned round."""

    def __init__(self, program: Program, words: int) -> None:
        self.output = program.output
        self._program = program
        self._left = words

    def steps(self, inputs: Any) -> Iterator[tuple[Operation, torch.Tensor]]:
        for step, result in self._program.steps(inputs):
            if step.output == self.output:
                yield (
                    step,
                    torch.cat(
                        [result[:, :1], -result[:, 1 : 1 + self._left], result[:, 1 + self._left :]], dim=1
                    ),
                )
                self._left = 0
            else:
                yield step, result


def test_one_word_proves_nothing_and_two_of_few_do(program: Program, checkpoint: Checkpoint) -> None:
    receipts = Validation(make_receipts(1, words=30))
    gate = ask_quality(SomeWordsOff(program, 1), checkpoint, receipts)
    assert (gate.passed, gate.warned) == (True, True)
    assert "1 words get another label" in gate.sentence
    with pytest.raises(BundleError, match=r"share of words with the same label is 0\.9"):
        ask_quality(SomeWordsOff(program, 2), checkpoint, receipts)


def test_without_receipts_or_their_labels_the_gate_says_why_it_did_not_run(
    program: Program, checkpoint: Checkpoint
) -> None:
    gate = ask_quality(program, checkpoint, Validation(why_none="no run.json lies above s3://x/"))
    assert (gate.passed, gate.sentence) == (None, "Not run: no run.json lies above s3://x/.")
    foreign = dataclasses.replace(checkpoint, run=None)
    gate = ask_quality(program, foreign, Validation(make_receipts(1)))
    assert gate.sentence == "Not run: the checkpoint does not say how it was trained."


def test_a_checkpoint_whose_documents_name_different_labels_is_refused(
    program: Program, checkpoint: Checkpoint
) -> None:
    run = RUN.model_copy(update={"label_list": ("O", "B-TAX", "I-TAX")})
    with pytest.raises(BundleError, match="different labels"):
        ask_quality(program, dataclasses.replace(checkpoint, run=run), Validation(make_receipts(1)))
