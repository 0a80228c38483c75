"""The label vocabulary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.hyperparameters import Hyperparameters
from run_records.errors import ConfigurationError
from run_records.labels import CORE_LABELS, label_set_of_tags, resolve_labels

_LABELS = st.lists(st.one_of(st.none(), st.sampled_from(list(CORE_LABELS))), max_size=30)


def resolve(**options: object) -> tuple[str, ...]:
    return resolve_labels(Hyperparameters.model_validate(options)).names


def test_without_options_the_core_labels_are_learned_in_the_contracts_order() -> None:
    labels = resolve_labels(Hyperparameters())
    assert labels.names == tuple(CORE_LABELS)
    assert len(CORE_LABELS) == 22
    assert labels.tags[:4] == ("O", "B-MERCHANT_NAME", "I-MERCHANT_NAME", "B-STORE_HOURS")


def test_explicit_merges_win_over_a_preset_and_a_preset_over_flags() -> None:
    assert "AMOUNT" in resolve(merge_amounts=True)
    by_preset = resolve(merge_amounts=True, merge_preset="date_time")
    assert "TIME" not in by_preset
    assert "AMOUNT" not in by_preset
    explicit = resolve(merge_preset="sroie", label_merges={"MONEY": ["TAX", "TIP"]})
    assert "MONEY" in explicit
    assert "AMOUNT" not in explicit


def test_the_sroie_preset_is_all_three_merges() -> None:
    names = resolve(merge_preset="sroie")
    assert {"AMOUNT", "DATE", "ADDRESS"} <= set(names)
    assert not {"LINE_TOTAL", "SUBTOTAL", "TAX", "GRAND_TOTAL", "TIME", "PHONE_NUMBER", "ADDRESS_LINE"} & set(
        names
    )


def test_an_unknown_label_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"TOTALS.*Known labels: MERCHANT_NAME"):
        resolve(allowed_labels=["TOTALS"])
    with pytest.raises(ConfigurationError, match="label_merges names NOPE"):
        resolve(label_merges={"AMOUNT": ["NOPE"]})


def test_a_label_that_was_merged_away_cannot_be_allowed() -> None:
    with pytest.raises(ConfigurationError, match="TAX"):
        resolve(allowed_labels=["TAX"], merge_amounts=True)


def test_a_label_set_without_labels_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="leaves no label"):
        resolve(allowed_labels=[])


def test_neighbours_that_merging_makes_equal_are_one_entity() -> None:
    labels = resolve_labels(Hyperparameters(merge_date_time=True))
    tags = [labels.tags[tag] for tag in labels.tag_ids(["DATE", "TIME", None, "TIME"])]
    assert tags == ["B-DATE", "I-DATE", "O", "B-DATE"]


@given(_LABELS)
def test_tags_give_back_the_labels_and_an_inside_tag_never_begins_an_entity(names: list[str | None]) -> None:
    labels = resolve_labels(Hyperparameters(merge_preset="amounts"))
    tags = [labels.tags[tag] for tag in labels.tag_ids(names)]
    assert [None if tag == "O" else tag[2:] for tag in tags] == [labels.learned(name) for name in names]
    for before, tag in zip(["O", *tags], tags, strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:]


def test_the_tags_of_a_checkpoint_give_its_label_set_back() -> None:
    labels = resolve_labels(Hyperparameters(merge_preset="sroie"))
    assert label_set_of_tags(labels.tags, labels.merges) == labels
    with pytest.raises(ConfigurationError, match="not O, B-X, I-X pairs"):
        label_set_of_tags(["B-DATE", "O"], {})
