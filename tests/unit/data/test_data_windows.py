"""Windows over a whole receipt, and what becomes of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from messages.hyperparameters import Hyperparameters
from messages.options.encoding import EncodingOptions
from receipt_layoutlm.checkpoint import build_tokenizer
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import IGNORED, Collator, drop_empty_windows, outside_ratio
from receipt_layoutlm.data.page_layout import lay_out
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.data.windows import cut_windows
from run_records.labels import resolve_labels
from tests.support.small_receipts import make_receipts

_COUNTS = st.lists(st.integers(1, 40), max_size=120)
_VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcd", *(f"##{letter}" for letter in "abcd")]
LABELS = resolve_labels(Hyperparameters())


@given(_COUNTS, st.integers(1, 50), st.data())
def test_no_word_is_lost_and_every_window_fits(counts: list[int], size: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, size))
    windows = cut_windows(counts, size=size, stride=stride, max_tokens=30)
    assert sorted({word for start, end in windows for word in range(start, end)}) == list(range(len(counts)))
    for start, end in windows:
        assert 0 < end - start <= size
        assert end - start == 1 or sum(counts[start:end]) <= 30
    if counts:
        assert windows[-1][1] == len(counts)


def test_windows_begin_a_stride_apart_and_stop_at_the_last_word() -> None:
    assert cut_windows([1] * 420, size=200, stride=150, max_tokens=510) == [(0, 200), (150, 350), (300, 420)]
    assert cut_windows([1] * 200, size=200, stride=150, max_tokens=510) == [(0, 200)]


def test_a_window_with_too_many_tokens_becomes_several() -> None:
    assert cut_windows([4, 4, 4, 4, 4], size=5, stride=5, max_tokens=10) == [(0, 2), (2, 4), (4, 5)]


def _encoder(**options: Any) -> Encoder:
    settings = {"max_seq_length": 16, "window_size": 4, "window_stride": 3, **options}
    return Encoder.of(build_tokenizer(_VOCABULARY), EncodingOptions(**settings))


@given(st.lists(st.text("abcd", min_size=1, max_size=30), min_size=1, max_size=20))
def test_each_word_of_each_window_has_one_supervised_token_and_it_is_its_first(texts: list[str]) -> None:
    words = [Word(1, index, text, (0.0, 0.0, 0.1, 0.1), "DATE") for index, text in enumerate(texts)]
    encoder = _encoder()
    encoded = encoder.encode([lay_out(Receipt("i", 1, tuple(words)), LABELS)])
    seen = set()
    assert encoded.pages[0].texts == tuple(texts)
    for example in encoded.examples:
        batch = Collator(encoded.pad_token_id)([example])
        supervised = (batch["labels"][0] != IGNORED).nonzero().flatten().tolist()
        assert supervised == example.firsts
        for word, position in zip(example.words, supervised, strict=True):
            seen.add(word)
            token = encoder.tokenizer.convert_ids_to_tokens(example.input_ids[position])
            assert token == encoded.pages[0].texts[word][0]
        assert len(example.input_ids) <= 16
    assert seen == set(range(len(texts)))


def test_special_tokens_have_boxes_of_zeros_and_padding_is_masked() -> None:
    words = [Word(1, index, "abc", (0.5, 0.5, 0.6, 0.6)) for index in range(3)]
    encoded = _encoder().encode([lay_out(Receipt("i", 1, tuple(words)), LABELS)])
    batch = Collator(encoded.pad_token_id)(encoded.examples)
    assert batch["input_ids"].shape == (1, 16)
    assert batch["bbox"][0, 0].tolist() == [0, 0, 0, 0]
    assert batch["bbox"][0, 1].tolist() == [500, 500, 600, 600]
    assert batch["bbox"][0, 10:].sum() == 0
    assert batch["attention_mask"][0].tolist() == [1] * 11 + [0] * 5
    assert batch["labels"][0, 11:].tolist() == [IGNORED] * 5


def test_a_word_without_any_sub_token_keeps_its_place_as_unknown() -> None:
    words = (Word(1, 1, "a", (0, 0, 0.1, 0.1)), Word(1, 2, "\x01", (0.2, 0, 0.3, 0.1), "DATE"))
    example = _encoder().encode([lay_out(Receipt("i", 1, words), LABELS)]).examples[0]
    assert example.input_ids[example.firsts[1]] == _VOCABULARY.index("[UNK]")
    assert LABELS.tags[example.tags[1]] == "B-DATE"


def test_empty_windows_are_dropped_until_the_ratio_holds_and_entities_always_stay() -> None:
    pages = [lay_out(receipt, LABELS) for receipt in make_receipts(6)]
    examples = _encoder(window_size=2, window_stride=2).encode(pages).examples
    kept = drop_empty_windows(examples, 0.1, seed=1)
    assert kept == drop_empty_windows(examples, 0.1, seed=1)
    assert outside_ratio(kept) < outside_ratio(examples)
    assert [one for one in examples if one.has_entity] == [one for one in kept if one.has_entity]
    assert drop_empty_windows(examples, 1000, seed=1) == list(examples)
