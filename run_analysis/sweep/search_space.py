"""The search space of a sweep."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from messages.errors import shorten
from run_analysis.comparison.setting_differences import find_option, read_option, text_of
from run_records.errors import ConfigurationError, DataError
from run_records.lenient_model import LenientModel
from run_records.user_files import read_text

Scalar = bool | int | float | str | None

_RANGE = re.compile(r"([^:|]+):([^:|]+?)(:log)?")
_HOW = "write option=low:high, option=low:high:log or option=a|b|c, with commas between, or name a JSON file"


class Choices(LenientModel):
    """Some values of an option; a list or mapping stands as its JSON text, which a message reads as well."""

    choices: tuple[Scalar, ...]


class Range(LenientModel):
    """The numbers of an option from `low` to `high`, both included; with `log`, evenly over magnitudes."""

    low: int | float
    high: int | float
    log: bool = False


Dimension = Choices | Range
Space = dict[str, Dimension]


def read_space(text: str) -> Space:
    """Read a space from a JSON file of that name, or else from the text itself.

    The file holds an object: option to a list of values, or to a text such as `1e-5:1e-4:log`.

    Raises:
        ConfigurationError: an option does not exist, or cannot have one of the values.
    """
    try:
        named = Path(text).exists() if text and "=" not in text else Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        named = False
    if not named:
        return parse_space(text)
    try:
        entries = json.loads(read_text(Path(text)))
    except DataError as error:
        raise ConfigurationError(str(error)) from error
    except ValueError as error:
        raise ConfigurationError(f"{text} is no JSON file: {error}.") from error
    if not isinstance(entries, dict) or not entries:
        raise ConfigurationError(f"{text} names no options: write a JSON object of option to values.")
    return _read_all(list(entries.items()))


def parse_space(text: str) -> Space:
    """Read `learning_rate=1e-5:1e-4:log,batch_size=4|8|16`; commas or line ends stand between options.

    Raises:
        ConfigurationError: as for `read_space`.
    """
    parts = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    pairs = [part.partition("=") for part in parts]
    wrong = next((name for name, equals, values in pairs if not (name and equals and values.strip())), None)
    if wrong is not None or not pairs:
        raise ConfigurationError(f"The space {shorten(wrong or text)} is not understood: {_HOW}.")
    return _read_all([(name.strip(), values.strip()) for name, _, values in pairs])


def grid_of(space: Mapping[str, Dimension]) -> list[dict[str, Scalar]]:
    """Every combination of the choices, the last option changing fastest.

    Raises:
        ConfigurationError: an option has a range instead of choices.
    """
    ranges = [name for name, dimension in space.items() if isinstance(dimension, Range)]
    if ranges:
        raise ConfigurationError(
            f"A grid needs the values of {', '.join(ranges)} one by one: write {ranges[0]}=a|b|c, or take "
            "the method optuna."
        )
    lists = [dimension.choices for dimension in space.values() if isinstance(dimension, Choices)]
    return [dict(zip(space, values, strict=True)) for values in product(*lists)]


def _read_all(entries: list[tuple[str, Any]]) -> Space:
    space: Space = {}
    for given, values in entries:
        name = find_option(given)
        if name in space:
            raise ConfigurationError(f"The space names {name} twice: give all its values at once.")
        space[name] = _read_dimension(name, values)
    return space


def _read_dimension(name: str, values: Any) -> Dimension:
    if not isinstance(values, str):
        if not isinstance(values, list) or not values:
            raise ConfigurationError(f"{name}: write a list of values, or a text such as 1:8.")
        return _read_choices(name, values)
    bounds = _RANGE.fullmatch(values)
    if bounds and _is_number(bounds[1]) and _is_number(bounds[2]):
        return _read_range(name, bounds[1], bounds[2], log=bool(bounds[3]))
    return _read_choices(
        name, [None if part.strip() == "null" else part.strip() for part in values.split("|")]
    )


def _read_range(name: str, low: str, high: str, *, log: bool) -> Range:
    first, last = read_option(name, low), read_option(name, high)
    if not all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in (first, last)):
        raise ConfigurationError(f"{name} is no number, and has no range: write {name}=a|b|c.")
    if first >= last:
        raise ConfigurationError(
            f"{name}: the range from {low} to {high} is empty; the lower bound is first."
        )
    if log and first <= 0:
        raise ConfigurationError(f"{name}: a logarithmic range begins above 0, not at {low}.")
    return Range(low=first, high=last, log=log)


def _read_choices(name: str, values: list[Any]) -> Choices:
    read = [read_option(name, value) for value in values]
    if len({text_of(value) for value in read}) < len(read):
        raise ConfigurationError(f"{name}: a value is named twice; name each once.")
    return Choices(choices=tuple(one if isinstance(one, Scalar) else text_of(one) for one in read))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
