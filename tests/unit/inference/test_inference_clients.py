"""This package's path from words to tokens to labels against the clients' rules, on every real receipt."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from receipt_layoutlm.checkpoint import build_tokenizer
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import EncodedPages, Example
from receipt_layoutlm.data.importers.field_alignment import import_sroie
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.data.table_writer import receipt_of
from receipt_layoutlm.evaluation.predict import average_windows, batch_by_length
from receipt_layoutlm.tokenizer_files import read_tokenizer
from receipt_layoutlm.training.scratch import SIZES, train_tokenizer
from run_records.errors import CheckpointError
from run_records.labels import LabelSet
from tests.conftest import SROIE
from tests.support.clients import (
    MOST_TOKENS,
    STRIDE,
    WINDOW,
    ClientWindow,
    ClientWord,
    average,
    basic_tokens,
    cut,
    nearest,
    pieces,
    read_order,
)

pytestmark = pytest.mark.skipif(not SROIE.exists(), reason="the SROIE receipts are not beside the repository")
Note = Callable[[str, object], None]
NO_LABELS = LabelSet((), {})
TAGS = 5


@pytest.fixture(scope="module")
def real() -> list[Receipt]:
    drafts, _ = import_sroie(SROIE)
    return [receipt_of(draft) for draft in drafts]


@pytest.fixture(scope="module")
def vocabulary(real: list[Receipt]) -> list[str]:
    """Learned from a third of the receipts and thinned out, so that others fall into many pieces or none."""
    texts = {word.text for receipt in real[::3] for word in receipt.words}
    tokenizer = train_tokenizer(texts, SIZES["tiny"])
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])]
    return [token for number, token in enumerate(tokens) if number < 5 or number % 11]


@pytest.fixture(scope="module")
def encoder(vocabulary: list[str]) -> Encoder:
    return Encoder(build_tokenizer(vocabulary), MOST_TOKENS, WINDOW, STRIDE)


@pytest.fixture(scope="module")
def encoded(real: list[Receipt], encoder: Encoder) -> EncodedPages:
    return encoder.encode(lay_out_all(real, NO_LABELS))


@pytest.fixture(scope="module")
def clients(real: list[Receipt], vocabulary: list[str]) -> list[list[ClientWindow]]:
    ids = {token: number for number, token in enumerate(vocabulary)}
    return [cut(client_words(receipt), ids) for receipt in real]


def client_words(receipt: Receipt) -> list[ClientWord]:
    return [ClientWord(word.text, word.box, (word.line_id, word.word_id)) for word in receipt.words]


def of_page(encoded: EncodedPages, page: int) -> list[Example]:
    return [example for example in encoded.examples if example.page == page]


def test_every_word_of_every_real_receipt_has_the_clients_tokens(
    real: list[Receipt], encoder: Encoder, vocabulary: list[str], record_property: Note
) -> None:
    ids = {token: number for number, token in enumerate(vocabulary)}
    texts = [word.text for receipt in real for word in receipt.words]
    distinct = sorted(set(texts))
    # Word by word, before windows hide where they differ.
    ours = dict(zip(distinct, encoder.words.of(distinct), strict=True))
    theirs = {text: pieces(text, ids) for text in set(texts)}
    different = Counter(text for text in texts if ours[text] != theirs[text])
    assert not different
    unknown = sum(ids["[UNK]"] in theirs[text] for text in texts)
    several = sum(len(theirs[text]) > 1 for text in texts)
    assert unknown > 1000
    assert several > 10_000
    record_property("words of real receipts tokenised as the clients do", len(texts))


def test_every_real_receipt_is_read_in_the_clients_order_with_the_clients_boxes(
    real: list[Receipt], encoded: EncodedPages
) -> None:
    for receipt, page in zip(real, encoded.pages, strict=True):
        order, boxes = read_order(client_words(receipt))
        assert list(page.order) == order, receipt.key
        assert list(page.boxes) == [boxes[at] for at in order], receipt.key


def test_windows_differ_from_the_clients_only_where_those_cut_words_off(
    real: list[Receipt],
    encoded: EncodedPages,
    clients: list[list[ClientWindow]],
    record_property: Note,
) -> None:
    lossy = {page for page, windows in enumerate(clients) if any(window.cut_off for window in windows)}
    for page, windows in enumerate(clients):
        ours = of_page(encoded, page)
        same = [window.input_ids for window in windows] == [example.input_ids for example in ours]
        assert same != (page in lossy), real[page].key
        if same:
            assert [window.boxes for window in windows] == [example.boxes for example in ours]
            assert [list(window.first.values()) for window in windows] == [one.firsts for one in ours]
    assert sum(len(windows) > 1 for windows in clients) >= 5, "no receipt has several windows"
    assert len(lossy) <= len(real) // 100
    record_property("real receipts in the clients' own windows", len(real) - len(lossy))


def test_of_a_window_with_too_many_tokens_the_clients_lose_words_and_this_package_none(
    encoder: Encoder, vocabulary: list[str]
) -> None:
    ids = {token: number for number, token in enumerate(vocabulary)}
    words = tuple(Word(1, number, "1.2.3", (0, 0, number / 200, 0.1)) for number in range(120))
    receipt = Receipt("i", 1, words)
    [window] = cut(client_words(receipt), ids)
    assert len(window.input_ids) == MOST_TOKENS
    assert len(window.first) < 120
    examples = encoder.encode(lay_out_all([receipt], NO_LABELS)).examples
    assert sorted(word for example in examples for word in example.words) == list(range(120))
    assert examples[0].input_ids[:-1] == window.input_ids[: len(examples[0].input_ids) - 1]


def test_probabilities_are_the_clients_to_the_last_bits(
    encoded: EncodedPages, clients: list[list[ClientWindow]], vocabulary: list[str]
) -> None:
    table = np.random.default_rng(0).normal(size=(len(vocabulary), TAGS)) * 3
    chosen = [page for page, windows in enumerate(clients) if len(windows) > 1]
    chosen += [page for page in range(20) if page not in chosen]

    def logits(ids: Sequence[int]) -> list[list[float]]:
        return [[float(value) for value in np.roll(table[one], at % TAGS)] for at, one in enumerate(ids)]

    def forward(batch: Sequence[Example]) -> torch.Tensor:
        longest = max(len(example.input_ids) for example in batch)
        padded = [[*example.input_ids, *[0] * (longest - len(example.input_ids))] for example in batch]
        return torch.tensor([logits(ids) for ids in padded], dtype=torch.float64)

    said = average_windows(forward, encoded, TAGS, batch_by_length(encoded.examples))
    for page in chosen:
        theirs = average(clients[page], lambda window: logits(window.input_ids))
        order = encoded.pages[page].order
        cut_off = [at for at in order if at not in theirs]
        assert not cut_off or any(window.cut_off for window in clients[page])
        if not cut_off:
            wanted = np.array([theirs[at] for at in order])
            np.testing.assert_allclose(said.probabilities[page], wanted, rtol=0, atol=1e-12)


def is_settled(char: str) -> bool:
    """Whether a character is as old as Unicode 3.2 and has been the same kind of character since.

    The tokenizer's library knows Unicode as it was ten years ago, a phone's as of its last update.
    """
    kind = unicodedata.category(char)
    return kind not in {"Cn", "Co", "Cs"} and unicodedata.ucd_3_2_0.category(char) == kind


def test_every_settled_character_is_cleaned_folded_and_split_as_by_the_clients(
    encoder: Encoder, record_property: Note
) -> None:
    backend = encoder.tokenizer.backend_tokenizer

    def ours(text: str) -> list[str]:
        normal = backend.normalizer.normalize_str(text)
        return [token for token, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]

    settled = [char for char in map(chr, range(sys.maxunicode + 1)) if is_settled(char)]
    different = [char for char in settled if ours(f"a{char}b") != basic_tokens(f"a{char}b")]
    assert different == []
    record_property("characters cleaned, folded and split as the clients do", len(settled))


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=0x2FFF).filter(is_settled), max_size=12))
def test_any_text_has_the_clients_tokens(text: str) -> None:
    letters = [*"abcdeioußñ0123.,-$", *(f"##{letter}" for letter in "abcdeiou0123ß")]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[", "]", *letters]
    ids = {token: number for number, token in enumerate(vocabulary)}
    encoder = Encoder(build_tokenizer(vocabulary), MOST_TOKENS, WINDOW, STRIDE)
    assert encoder.words.of([text]) == [pieces(text, ids) or [ids["[UNK]"]]]


@pytest.mark.parametrize("text", ["[SEP]", "[MASK]", "a[CLS]b", "[PAD]", "[UNK]"])
def test_the_name_of_a_special_token_on_a_receipt_is_text(
    text: str, encoder: Encoder, vocabulary: list[str]
) -> None:
    ids = {token: number for number, token in enumerate(vocabulary)}
    (ours,) = encoder.words.of([text])
    assert ours == pieces(text, ids)
    assert not {ids[name] for name in ("[SEP]", "[MASK]", "[CLS]", "[PAD]")} & set(ours)


def test_a_word_of_control_characters_alone_is_unknown_here_and_left_out_by_the_clients(
    encoder: Encoder, vocabulary: list[str]
) -> None:
    ids = {token: number for number, token in enumerate(vocabulary)}
    words = (Word(1, 1, "total", (0, 0, 0.1, 0.1)), Word(1, 2, "\x01", (0.2, 0, 0.3, 0.1)))
    receipt = Receipt("i", 1, words)
    [window] = cut(client_words(receipt), ids)
    [example] = encoder.encode(lay_out_all([receipt], NO_LABELS)).examples
    assert window.cut_off == [1]
    assert example.input_ids == [*window.input_ids[:-1], ids["[UNK]"], ids["[SEP]"]]


def test_only_a_newline_ends_a_vocabularys_line(tmp_path: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "odd\u2028one", "odd\x85two", "total"]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8", newline="\n")
    files = read_tokenizer(tmp_path, len(tokens), CheckpointError)
    assert files.vocabulary == tuple(tokens)
    assert build_tokenizer(tokens).convert_tokens_to_ids("total") == tokens.index("total")


@given(st.floats(-2000, 2000))
def test_the_clients_rounding_is_written_down_right(value: float) -> None:
    rounded = nearest(value)
    assert abs(rounded - value) <= 0.5
    if abs(rounded - value) == 0.5:
        assert abs(rounded) > abs(value)
