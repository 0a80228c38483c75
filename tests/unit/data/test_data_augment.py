"""Each augmentation changes what it says, as often as it says, and nothing else; held-out receipts stay."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.hyperparameters import Hyperparameters
from messages.options.augmentation import AugmentationOptions
from messages.options.encoding import EncodingOptions
from receipt_layoutlm.data.augment import Augmentation, EntitySwaps, find_entities
from receipt_layoutlm.data.encoder import Encoder, Passage
from receipt_layoutlm.data.examples import Example
from receipt_layoutlm.data.page_layout import ModelBox, PageLayout, lay_out_all
from receipt_layoutlm.data.training_set import TrainingSet
from receipt_layoutlm.training.scratch import SIZES, train_tokenizer
from run_records.labels import resolve_labels
from tests.support.small_receipts import make_receipts

LABELS = resolve_labels(Hyperparameters())
MASK = 4
NAMES = sorted(AugmentationOptions.model_fields)


def passage(words: int = 400) -> Passage:
    """Four words a line, of which every second line is labelled."""
    boxes: list[ModelBox] = [
        (100 + n % 4 * 200, n // 4 * 9, 250 + n % 4 * 200, n // 4 * 9 + 8) for n in range(words)
    ]
    tags = [n // 4 % 2 * 3 for n in range(words)]
    return Passage([f"AB{n:04d}" for n in range(words)], boxes, tags, [n // 4 for n in range(words)])


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - what is drawn is no secret


def augmentation(**options: float) -> Augmentation:
    return Augmentation(AugmentationOptions(**options), MASK, EntitySwaps([]))


def change(seed: int = 0, **options: Any) -> tuple[Passage, list[int]]:
    return augmentation(**options).change(passage(), seeded(seed))


def training_set(options: Mapping[str, float] | None = None, seed: int = 1) -> TrainingSet:
    pages = lay_out_all(make_receipts(6), LABELS)
    tokenizer = train_tokenizer({text for page in pages for text in page.texts}, SIZES["tiny"])
    encoder = Encoder.of(tokenizer, EncodingOptions())
    change = Augmentation(AugmentationOptions(**options or {}), tokenizer.mask_token_id, EntitySwaps(pages))
    return TrainingSet(pages, encoder.cut(pages), encoder, change, seed)


def examples(data: TrainingSet) -> list[Example]:
    return [data[number] for number in range(len(data))]


def test_without_probabilities_nothing_changes() -> None:
    assert augmentation().is_off
    assert change()[0] == passage()


@pytest.mark.parametrize("name", NAMES)
def test_each_probability_alone_turns_augmentation_on_and_changes_the_training_set(name: str) -> None:
    plain, changed = training_set(), training_set({name: 1.0})
    assert examples(plain) != examples(changed)
    assert plain.lengths == changed.lengths, "batches are planned before examples are changed"
    assert all(example.has_entity for example in examples(changed)), "no label is lost"


@pytest.mark.parametrize("name", ["augment_shift", "augment_scale", "augment_skew"])
def test_boxes_move_together_within_the_page_and_within_what_is_stated(name: str) -> None:
    before = passage()
    for seed in range(40):
        moved, kept = change(seed, **{name: 1.0})
        assert (moved.texts, moved.tags, moved.lines) == (before.texts, before.tags, before.lines)
        assert kept == list(range(len(before.texts)))
        for old, (x0, y0, x1, y1) in zip(before.boxes, moved.boxes, strict=True):
            assert 0 <= x0 <= x1 <= 1000
            assert 0 <= y0 <= y1 <= 1000
            most = {"augment_shift": 50, "augment_scale": 51, "augment_skew": 18}[name]
            assert max(abs(x0 - old[0]), abs(y0 - old[1]), abs(x1 - old[2]), abs(y1 - old[3])) <= most + 1
    assert change(1, **{name: 1.0})[0].boxes != change(2, **{name: 1.0})[0].boxes


def test_a_box_is_moved_as_often_as_its_probability_says() -> None:
    moved = sum(change(seed, augment_shift=0.3)[0].boxes != passage().boxes for seed in range(400))
    assert 90 < moved < 150


def test_digits_are_replaced_by_digits_and_letters_stay() -> None:
    changed = change(augment_digits=1.0)[0].texts
    assert all(text[:2] == "AB" and text[2:].isdigit() and len(text) == 6 for text in changed)
    assert sum(one != other for one, other in zip(changed, passage().texts, strict=True)) > 390
    half = change(augment_digits=0.5)[0].texts
    assert 150 < sum(one != other for one, other in zip(half, passage().texts, strict=True)) < 250


def test_a_misread_word_differs_in_one_character_and_never_vanishes() -> None:
    before, after = passage().texts, change(augment_characters=1.0)[0].texts
    assert {len(one) - len(other) for one, other in zip(after, before, strict=True)} == {-1, 0, 1}
    single = Passage(["7"], [(0, 0, 9, 9)], [0], [0])
    misread = augmentation(augment_characters=1)
    assert all(misread.change(single, seeded(seed))[0].texts[0] for seed in range(200))


def test_only_lines_without_labels_are_dropped_and_never_all_words() -> None:
    left, kept = change(augment_drop_lines=1.0)
    assert kept == [n for n in range(400) if n // 4 % 2]
    assert list(left.texts) == [passage().texts[n] for n in kept]
    unlabelled = Passage(["a", "b"], [(0, 0, 1, 1)] * 2, [0, 0], [1, 2])
    whole = augmentation(augment_drop_lines=1).change(unlabelled, seeded(1))
    assert whole == (unlabelled, [0, 1])


@given(st.integers(0, 1000))
def test_masking_hides_words_and_leaves_special_tokens_boxes_and_tags(seed: int) -> None:
    example = Example(
        0, 0, [0, 1], [1, 2], [2, 7, 8, 3], [(0,) * 4, (1, 1, 2, 2), (3, 1, 4, 2), (0,) * 4], [1, 2]
    )
    hidden = augmentation(augment_mask_tokens=1).mask(example, seeded(seed))
    assert hidden.input_ids == [2, MASK, MASK, 3]
    assert (hidden.boxes, hidden.firsts, hidden.tags) == (example.boxes, example.firsts, example.tags)


def test_what_an_example_is_follows_from_seed_epoch_and_number_alone() -> None:
    options = dict.fromkeys(NAMES, 0.5)
    first, second = training_set(options), training_set(options)
    second[3]  # what was asked before changes nothing
    assert examples(first) == examples(second)
    first.set_epoch(1)
    assert examples(first) != examples(second)
    second.set_epoch(1)
    assert examples(first) == examples(second)
    assert examples(training_set(options, seed=2)) != examples(training_set(options))


def test_an_example_knows_its_receipt() -> None:
    data = training_set()
    assert data.keys_of([0, 0, 5]) == sorted({make_receipts(6)[0].key, make_receipts(6)[5].key})


def named(*entities: str) -> list[PageLayout]:
    """A page for each MERCHANT_NAME, with a word before it."""
    begin, inside = LABELS.tags.index("B-MERCHANT_NAME"), LABELS.tags.index("I-MERCHANT_NAME")
    pages = []
    for entity in entities:
        texts = ("at", *entity.split())
        tags = (0, begin, *[inside] * (len(texts) - 2))
        pages.append(PageLayout(entity, texts, ((0, 0, 9, 9),) * len(texts), tags, tuple(range(len(texts)))))
    return pages


def test_words_of_names_change_places_as_often_as_they_occur() -> None:
    pages = named(*(f"shop{number} Bhd" for number in range(30)))
    mentions, page = EntitySwaps(pages), pages[0]
    said = [mentions.replace(page.texts, page.tags, 1.0, seeded(seed)) for seed in range(400)]
    assert {texts[0] for texts in said} == {"at"}, "what has no label stays"
    assert {word for texts in said for word in texts[1:]} == {
        "Bhd",
        *(f"shop{number}" for number in range(30)),
    }
    assert 320 < sum(word == "Bhd" for texts in said for word in texts[1:]) < 480, "half of all words"
    assert mentions.replace(page.texts, page.tags, 0.0, seeded(1)) == list(page.texts)


def test_names_of_one_label_never_stand_for_those_of_another() -> None:
    pages = named("alpha", "beta")
    date = LABELS.tags.index("B-DATE")
    other = PageLayout("d", ("2025-01-02",), ((0, 0, 9, 9),), (date,), (0,))
    mentions = EntitySwaps([*pages, other])
    seen = {mentions.replace(pages[0].texts, pages[0].tags, 1.0, seeded(seed))[1] for seed in range(40)}
    assert seen == {"alpha", "beta"}


@given(st.lists(st.integers(0, 4), max_size=30))
def test_entities_are_runs_of_their_tags(tags: list[int]) -> None:
    found = list(find_entities(tags))
    covered = [word for _, start, end in found for word in range(start, end)]
    assert covered == [word for word, tag in enumerate(tags) if tag]
    for label, start, end in found:
        assert {(tag - 1) // 2 for tag in tags[start:end]} == {label}
        assert all(tag == 2 + 2 * label for tag in tags[start + 1 : end])
