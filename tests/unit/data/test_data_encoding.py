"""Examples and their tokens, in each unit and with each option."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.hyperparameters import Hyperparameters
from messages.options.encoding import EncodingOptions
from receipt_layoutlm.checkpoint import build_tokenizer
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import Collator, EncodedPages, Example
from receipt_layoutlm.data.page_layout import PageLayout, lay_out, lines_by_height
from receipt_layoutlm.data.receipts import Box, Receipt, Word
from receipt_layoutlm.evaluation.predict import average_windows
from run_records.labels import resolve_labels

_VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcd", *(f"##{letter}" for letter in "abcd")]
LABELS = resolve_labels(Hyperparameters())
UNITS = st.sampled_from(["receipt", "line", "lines:2", "lines:5", "receipt,lines:3", "line,receipt,lines:4"])


def encoder(**options: Any) -> Encoder:
    defaults = {"max_seq_length": 16, "window_size": 4, "window_stride": 3}
    return Encoder.of(build_tokenizer(_VOCABULARY), EncodingOptions(**(defaults | options)))


def box_at(x: float, y: float) -> Box:
    return x, y, x + 0.015, y + 0.01


def page_of(lines: list[list[str]], label: str | None = None) -> PageLayout:
    """Lines from bottom to top, so that they are read in this order."""
    words = [
        Word(
            line_id,
            word_id,
            text,
            (word_id / 50, line_id / 50, word_id / 50 + 0.015, line_id / 50 + 0.01),
            label,
        )
        for line_id, line in enumerate(lines)
        for word_id, text in enumerate(line)
    ]
    return lay_out(Receipt("i", 1, tuple(words)), LABELS)


def texts(page: PageLayout, example: Example) -> list[str]:
    return [page.texts[word] for word in example.words]


TEXT_LINES = st.lists(
    st.lists(st.text("abcd", min_size=1, max_size=30), min_size=1, max_size=4), min_size=1, max_size=12
)


@settings(max_examples=60)
@given(
    TEXT_LINES,
    UNITS,
    st.booleans(),
    st.sampled_from(["global", "line_local"]),
    st.sampled_from(["word", "segment"]),
)
def test_in_every_unit_no_word_is_lost_and_offsets_round_trip(
    lines: list[list[str]], unit: str, separators: bool, positions: str, boxes: str
) -> None:
    page = page_of(lines, "DATE")
    one = encoder(example_unit=unit, line_separators=separators, positions=positions, boxes=boxes)
    encoded = one.encode([page])
    for number in range(len(unit.split(","))):
        seen = [word for example in encoded.examples if example.unit == number for word in example.words]
        assert set(seen) == set(range(len(page.texts)))
        if unit == "line":
            assert len(seen) == len(page.texts), "a line's word is in one example"
    for example in encoded.examples:
        assert len(example.input_ids) == len(example.boxes) <= 16
        assert len(example.firsts) == len(example.words) == len(example.tags)
        assert example.tags == [page.tags[word] for word in example.words]
        for word, first in zip(example.words, example.firsts, strict=True):
            assert one.tokenizer.convert_ids_to_tokens(example.input_ids[first]) == page.texts[word][0]


def test_a_line_is_read_from_left_to_right_even_where_its_words_do_not_stand_level() -> None:
    words = (
        Word(1, 1, "a", (0.1, 0.502, 0.2, 0.55)),
        Word(1, 2, "b", (0.3, 0.500, 0.4, 0.55)),
        Word(2, 1, "c", (0.1, 0.501, 0.2, 0.60)),
    )
    page = lay_out(Receipt("i", 1, words), LABELS)
    assert list(page.texts) == ["b", "c", "a"], "the clients read by y0 first"
    examples = encoder(example_unit="line").encode([page]).examples
    assert [texts(page, example) for example in examples] == [["a", "b"], ["c"]]


def test_lines_together_overlap_by_half() -> None:
    page = page_of([["a"], ["b"], ["c"], ["d"], ["aa"]])
    examples = encoder(example_unit="lines:4").encode([page]).examples
    assert [texts(page, example) for example in examples] == [["a", "b", "c", "d"], ["b", "c", "d", "aa"]]


def test_line_local_positions_begin_anew_with_each_line_and_reach_the_model() -> None:
    page = page_of([["a", "bc"], ["d"]])
    counted = encoder().encode([page])
    anew = encoder(positions="line_local").encode([page])
    assert counted.examples[0].positions is None
    assert anew.examples[0].positions == [0, 1, 2, 3, 1, 2]
    assert "position_ids" not in Collator(0)(counted.examples)
    assert Collator(0)(anew.examples)["position_ids"][0].tolist() == [0, 1, 2, 3, 1, 2, 0, 0]


def test_a_segment_is_the_hull_of_its_line() -> None:
    page = page_of([["a", "b"], ["c"]])
    words, segments = (encoder(boxes=boxes).encode([page]).examples[0].boxes for boxes in ("word", "segment"))
    assert segments[1] == segments[2] == (0, words[1][1], words[2][2], words[2][3])
    assert words[1] != words[2]
    assert segments[3] == words[3]
    assert segments[0] == segments[-1] == (0, 0, 0, 0)


def test_separators_stand_between_lines_only_and_carry_no_box() -> None:
    page = page_of([["a", "b"], ["c"]])
    one = encoder(line_separators=True)
    example = one.encode([page]).examples[0]
    assert one.tokenizer.convert_ids_to_tokens(example.input_ids) == [
        "[CLS]",
        "a",
        "b",
        "[SEP]",
        "c",
        "[SEP]",
    ]
    assert example.firsts == [1, 2, 4]
    assert example.boxes[3] == (0, 0, 0, 0)


def test_lines_are_found_by_geometry_where_a_source_knows_none() -> None:
    level = [(100, 500, 150, 520), (200, 503, 250, 523), (300, 495, 350, 515)]
    below = [(100, 460, 150, 480), (220, 462, 250, 481)]
    assert lines_by_height([*level, *below]) == [1, 1, 1, 0, 0]
    words = tuple(
        Word(1, n, "a", (b[0] / 1e3, b[1] / 1e3, b[2] / 1e3, b[3] / 1e3)) for n, b in enumerate(level + below)
    )
    assert sorted(lay_out(Receipt("i", 1, words), LABELS).lines) == [0, 0, 1, 1, 1]


def test_units_weigh_alike_however_many_examples_each_has() -> None:
    page = page_of([["a"], ["b"], ["c"]])
    encoded: EncodedPages = encoder(example_unit="receipt,line", window_size=2, window_stride=1).encode(
        [page]
    )

    def forward(batch: Any) -> torch.Tensor:
        # The receipt's windows are sure of the first tag, the lines of the second.
        return torch.stack([torch.tensor([[9.0, 0.0], [0.0, 9.0]])[e.unit].expand(16, 2) for e in batch])

    said = average_windows(forward, encoded, 2, [[example] for example in encoded.examples])
    assert np.allclose(said.probabilities[0], 0.5)


@pytest.mark.parametrize(
    "options",
    [{"example_unit": "line"}, {"positions": "line_local"}, {"boxes": "segment"}, {"line_separators": True}],
)
def test_what_no_client_feeds_is_named(options: dict[str, Any]) -> None:
    assert len(EncodingOptions(**options).unlike_clients) == 1
    assert EncodingOptions(window_size=100, window_stride=50).unlike_clients == []
