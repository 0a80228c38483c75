"""The hyperparameters of a run, whoever recorded them: with numbers as text, unknown names, wrong values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic

from messages.hyperparameters import Hyperparameters


def read_options(config: Mapping[str, Any]) -> Hyperparameters:
    """The hyperparameters among a run's configuration; those of a wrong value are left at their defaults."""
    known = {name: value for name, value in config.items() if name in Hyperparameters.model_fields}
    try:
        return Hyperparameters.model_validate(known)
    except pydantic.ValidationError as error:
        wrong = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        if not wrong:  # fields that contradict each other: none of them can be told to be the wrong one
            return Hyperparameters()
        return read_options({name: value for name, value in known.items() if name not in wrong})
