"""Settings that differ between runs, or from the defaults (the only implementation)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

import pydantic

from messages.errors import shorten
from messages.hyperparameters import Hyperparameters
from run_records.errors import ConfigurationError
from run_records.lenient_model import LenientModel

OPTIONS = tuple(Hyperparameters.model_fields)


class Setting(LenientModel):
    """One option and its value in each run, in the order of the runs; None where a run has none."""

    option: str
    values: tuple[Any, ...]


def find_option(name: str, tags: Iterable[str] | None = None) -> str:
    """The option, or tag where there are some, that is meant; a dash is as good as an underscore.

    Raises:
        ConfigurationError: there is none of this name; near ones are named.
    """
    known = {**dict.fromkeys(tags or ()), **dict.fromkeys(OPTIONS)}
    for spelling in (name, name.replace("-", "_")):
        if spelling in known:
            return spelling
    near = get_close_matches(name.replace("-", "_"), known, n=3)
    meant = f" Did you mean {' or '.join(near)}?" if near else " `layoutlm-cli train --help` lists them."
    kind = "option" if tags is None else "option or tag"
    raise ConfigurationError(f"There is no {kind} {shorten(name)}.{meant}")


def read_option(name: str, value: Any) -> Any:
    """Read one value as a message reads it: `"8"` becomes 8.

    Raises:
        ConfigurationError: the value cannot be one of this option.
    """
    try:
        return _reader(name).validate_python(value)
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name}: {fault} (got {shorten(value)}).") from error


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Each option as a run with this record used it, and what else the record holds.

    An option that is not recorded was left at its default.
    """
    used = {name: _as_read(name, config[name]) if name in config else _default(name) for name in OPTIONS}
    return {**used, **{name: value for name, value in config.items() if name not in used}}


def compare_settings(settings: Sequence[Mapping[str, Any]]) -> tuple[tuple[Setting, ...], int]:
    """The settings that are not the same in all, and how many are."""
    names = dict.fromkeys(name for one in settings for name in one)
    rows = [Setting(option=name, values=tuple(one.get(name) for one in settings)) for name in names]
    differing = tuple(row for row in rows if len(set(map(text_of, row.values))) > 1)
    return differing, len(rows) - len(differing)


def text_of(value: Any) -> str:
    """A value as people write it; equal values have equal texts."""
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _as_read(name: str, value: Any) -> Any:
    try:
        return read_option(name, value)
    except ConfigurationError:  # other software recorded it; what it says is still what was used
        return value


def _default(name: str) -> Any:
    return Hyperparameters.model_fields[name].get_default(call_default_factory=True)


@cache
def _reader(name: str) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(
        Hyperparameters.model_fields[name].rebuild_annotation(),
        config=pydantic.ConfigDict(allow_inf_nan=False, hide_input_in_errors=True),
    )


def changed_options(config: Mapping[str, Any], always: Collection[str] = ()) -> dict[str, Any]:
    """The hyperparameters of a run that are not at their defaults, and those that are always to be named."""
    used = settings_of(config)
    defaults = Hyperparameters().model_dump()
    return {name: used[name] for name, value in defaults.items() if name in always or used[name] != value}
