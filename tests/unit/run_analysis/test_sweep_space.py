"""The syntax of a search space: every value in it can be trained with, and faults are refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.hyperparameters import Hyperparameters
from run_analysis.sweep.search_space import Choices, Range, grid_of, parse_space, read_space
from run_records.errors import ConfigurationError

RATES = st.floats(1e-8, 1, exclude_min=True)
SIZES = st.integers(1, 1024)


def test_a_space_is_read_from_one_line() -> None:
    assert parse_space("learning_rate=1e-5:1e-4:log, batch-size=4|8|auto,\nepochs=3:7") == {
        "learning_rate": Range(low=1e-5, high=1e-4, log=True),
        "batch_size": Choices(choices=(4, 8, "auto")),
        "epochs": Range(low=3, high=7),
    }


def test_a_space_is_read_from_a_file_with_values_that_a_line_has_no_form_for(tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    path.write_text(
        json.dumps(
            {
                "epochs": "3:7",
                "allowed_labels": [["DATE", "TAX"], None],
                "example_unit": ["receipt,lines:5"],
                "packing": [True, False],
            }
        ),
        encoding="utf-8",
    )
    assert read_space(str(path)) == {
        "epochs": Range(low=3, high=7),
        "allowed_labels": Choices(choices=('["DATE", "TAX"]', None)),
        "example_unit": Choices(choices=("receipt,lines:5",)),
        "packing": Choices(choices=(True, False)),
    }


def test_a_colon_in_a_name_is_no_range() -> None:
    assert parse_space("pretrained_model=scratch:tiny|scratch:small,example_unit=lines:3|lines:5") == {
        "pretrained_model": Choices(choices=("scratch:tiny", "scratch:small")),
        "example_unit": Choices(choices=("lines:3", "lines:5")),
    }


@given(bounds=st.tuples(RATES, RATES).filter(lambda two: two[0] != two[1]), log=st.booleans())
def test_every_range_is_read_as_it_was_written_and_its_ends_can_be_trained_with(
    bounds: tuple[float, float], log: bool
) -> None:
    low, high = sorted(bounds)
    [(name, read)] = parse_space(f"learning_rate={low!r}:{high!r}{':log' if log else ''}").items()
    assert (name, read) == ("learning_rate", Range(low=low, high=high, log=log))
    assert Hyperparameters(learning_rate=low).learning_rate == low
    assert Hyperparameters(learning_rate=high).learning_rate == high


@given(st.lists(SIZES, min_size=1, max_size=6, unique=True))
def test_every_list_is_read_as_it_was_written(sizes: list[int]) -> None:
    text = "batch_size=" + " | ".join(map(str, sizes))
    assert parse_space(text) == {"batch_size": Choices(choices=tuple(sizes))}


@given(st.text(max_size=60))
def test_no_text_does_more_than_make_a_space_or_one_clear_error(text: str) -> None:
    with suppress(ConfigurationError):
        assert read_space(text).keys() <= Hyperparameters.model_fields.keys()


NAMES = st.sampled_from(sorted(Hyperparameters.model_fields))
VALUES = st.text("0123456789.e-:|logauto", min_size=1, max_size=12)


@given(NAMES, VALUES)
def test_whatever_is_read_of_an_option_is_a_value_that_the_option_takes(name: str, value: str) -> None:
    try:
        dimension = parse_space(f"{name}={value}")[name]
    except ConfigurationError:
        return
    ends: Any = dimension.choices if isinstance(dimension, Choices) else (dimension.low, dimension.high)
    field = {"window_size": 500} if name == "window_stride" else {}
    field |= {"window_stride": 1} if name == "window_size" else {}
    for one in ends:
        Hyperparameters.model_validate({**field, name: one})


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ("", "is not understood"),
        ("learning_rate", "is not understood"),
        ("=3", "is not understood"),
        ("learning_rate=", "is not understood"),
        ("learning_rat=1e-5|1e-4", "Did you mean learning_rate"),
        ("epochs=0:5", "epochs: Input should be greater than or equal to 1"),
        ("epochs=3:5000", "epochs: Input should be less than or equal to 1000"),
        ("epochs=5:3", "is empty"),
        ("epochs=3:3", "is empty"),
        ("epochs=1.5:3", "epochs: Input should be a valid integer"),
        ("weight_decay=0:0.1:log", "begins above 0"),
        ("learning_rate=nan:1", "finite number"),
        ("learning_rate=1e-5:1e-4:lin", "valid number"),
        ("packing=0:1", "is no number"),
        ("batch_size=4|many", "batch_size: Input should be"),
        ("batch_size=4|04", "named twice"),
        ("epochs=3|4,epochs=5|6", "names epochs twice"),
        ("tags=1|2", "no option 'tags'"),
    ],
)
def test_what_cannot_be_a_space_is_one_clear_error(space: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_space(space)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "{}", "nonsense", '{"epochs": 3}', '{"epochs": []}'])
def test_a_file_that_is_no_space_is_one_clear_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "space.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError):
        read_space(str(path))


def test_a_grid_is_every_combination_in_order() -> None:
    assert grid_of(parse_space("epochs=3|5,batch_size=4|8")) == [
        {"epochs": 3, "batch_size": 4},
        {"epochs": 3, "batch_size": 8},
        {"epochs": 5, "batch_size": 4},
        {"epochs": 5, "batch_size": 8},
    ]


def test_a_grid_of_a_range_says_what_to_write() -> None:
    with pytest.raises(ConfigurationError, match="learning_rate=a"):
        grid_of(parse_space("batch_size=4|8,learning_rate=1e-5:1e-4"))
