"""The synthetic receipts: the same for the same seed, with all labels, and with sums that are right."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from hashlib import sha256

import pytest

from receipt_layoutlm.data.receipt_draft import DraftLine, DraftReceipt
from receipt_layoutlm.data.synthetic import SyntheticReceipt, generate, make_receipt
from receipt_layoutlm.data.synthetic.rendering import SKEW_DEGREES_LIMIT
from receipt_layoutlm.data.synthetic.templates import TEMPLATES
from run_records.labels import CORE_LABELS

FINGERPRINT = (
    "from hashlib import sha256; from receipt_layoutlm.data.synthetic import generate;"
    "print(sha256(repr(list(generate(30, 5))).encode()).hexdigest())"
)


@pytest.fixture(scope="module")
def receipts() -> list[SyntheticReceipt]:
    return [make_receipt(11, index) for index in range(400)]


@pytest.fixture(scope="module")
def drafts(receipts: list[SyntheticReceipt]) -> list[DraftReceipt]:
    return [receipt.draft for receipt in receipts]


def test_the_same_seed_gives_the_same_receipts() -> None:
    assert pickle.dumps(list(generate(20, 3))) == pickle.dumps(list(generate(20, 3)))


def test_another_seed_gives_other_receipts() -> None:
    assert list(generate(5, 3)) != list(generate(5, 4))


def test_a_longer_run_begins_with_the_shorter_one() -> None:
    assert list(generate(30, 3))[:10] == list(generate(10, 3))


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_every_process_makes_the_same_receipts(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", FINGERPRINT]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == sha256(repr(list(generate(30, 5))).encode()).hexdigest()


@pytest.mark.parametrize("seed", [1, 2, 42])
def test_two_hundred_receipts_have_all_core_labels_and_no_other(seed: int) -> None:
    labels = {word.label for draft in generate(200, seed) for word in draft.words}
    assert labels == {None, *CORE_LABELS}


def test_every_template_is_used_and_there_are_at_least_ten(receipts: list[SyntheticReceipt]) -> None:
    used = {receipt.sale.template.name for receipt in receipts}
    assert used == {template.name for template in TEMPLATES}
    assert len(used) >= 10


def test_every_template_occurs_with_several_merchants(receipts: list[SyntheticReceipt]) -> None:
    for template in TEMPLATES:
        names = {r.draft.merchant for r in receipts if r.sale.template is template}
        assert len(names) >= 3


def test_keys_are_unique(drafts: list[DraftReceipt]) -> None:
    assert len({draft.key for draft in drafts}) == len(drafts)


def test_the_sums_are_right(receipts: list[SyntheticReceipt]) -> None:
    for receipt in receipts:
        bought = receipt.sale.purchase
        gross = sum(item.total_cents for item in bought.items)
        assert bought.subtotal == gross - sum(bought.discounts) - bought.coupon - bought.refund > 0
        assert bought.total == bought.subtotal + bought.tax + bought.tip
        assert bought.paid == bought.total + bought.cash_back + bought.change
        assert bought.change >= 0
        assert not (bought.card and bought.change)
        assert bought.card == "DEBIT" or not bought.cash_back


def printed_amounts(receipt: SyntheticReceipt, label: str) -> list[int]:
    """Cents as a receipt prints them, leaving out what the simulated OCR misread."""
    texts = [word.text for word in receipt.draft.words if word.label == label and word.confidence >= 0.95]
    return [int(text.replace("$", "").replace(".", "")) for text in texts]


def test_the_printed_amounts_are_those_of_the_purchase(receipts: list[SyntheticReceipt]) -> None:
    for receipt in receipts:
        bought = receipt.sale.purchase
        for label, cents in [
            ("SUBTOTAL", [bought.subtotal]),
            ("TAX", [bought.tax]),
            ("TIP", [bought.tip]),
            ("GRAND_TOTAL", [bought.total]),
            ("CHANGE", [bought.change]),
            ("CASH_BACK", [bought.cash_back]),
            ("COUPON", [-bought.coupon]),
            ("REFUND", [-bought.refund]),
            ("DISCOUNT", [-amount for amount in bought.discounts]),
            ("LINE_TOTAL", [item.total_cents for item in bought.items]),
        ]:
            assert set(printed_amounts(receipt, label)) <= set(cents)


def test_boxes_lie_on_the_page_and_have_an_area(drafts: list[DraftReceipt]) -> None:
    for draft in drafts:
        for x0, y0, x1, y1 in [*(line.box for line in draft.lines), *(word.box for word in draft.words)]:
            assert 0 <= x0 < x1 <= draft.width
            assert 0 <= y0 < y1 <= draft.height


def test_corners_lie_in_their_boxes(drafts: list[DraftReceipt]) -> None:
    for draft in drafts[:100]:
        for word in draft.words:
            assert word.quad is not None
            assert all(
                word.box[0] <= x <= word.box[2] and word.box[1] <= y <= word.box[3] for x, y in word.quad
            )


def test_words_of_a_line_stand_side_by_side(drafts: list[DraftReceipt]) -> None:
    for draft in drafts:
        for line in draft.lines:
            pairs = zip(line.words, line.words[1:], strict=False)
            assert all(word.box[2] < following.box[0] for word, following in pairs), line.text


def rise(line: DraftLine) -> float:
    return abs(line.words[0].box[1] - line.words[-1].box[1])


def test_words_of_a_line_differ_in_height_by_the_skew_alone(drafts: list[DraftReceipt]) -> None:
    for draft in drafts:
        for line in draft.lines:
            width = line.box[2] - line.box[0]
            assert rise(line) <= width * SKEW_DEGREES_LIMIT * 3.15 / 180 + 0.02


def test_lines_stand_below_each_other(drafts: list[DraftReceipt]) -> None:
    for draft in drafts:
        for line, following in zip(draft.lines, draft.lines[1:], strict=False):
            assert line.words[0].box[1] < following.words[0].box[1]
            if rise(line) < 3:
                assert line.box[3] < following.box[1]


def test_some_receipts_have_long_tables(drafts: list[DraftReceipt]) -> None:
    counts = sorted(sum(1 for _ in draft.words) for draft in drafts)
    assert 40 <= counts[len(counts) // 2] <= 150
    assert counts[-1] > 300


def test_few_characters_are_misread(drafts: list[DraftReceipt]) -> None:
    words = [word for draft in drafts for word in draft.words]
    misread = sum(word.confidence < 0.95 for word in words)
    assert 0.03 < misread / len(words) < 0.12


def test_no_word_is_empty_or_has_a_space(drafts: list[DraftReceipt]) -> None:
    assert all(
        word.text and not word.text.isspace() and " " not in word.text for d in drafts for word in d.words
    )
