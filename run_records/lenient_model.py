"""Base of models that read foreign or older documents.

Unknown fields are ignored, malformed optional fields dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import pydantic
from pydantic import BaseModel, ConfigDict


class LenientModel(BaseModel):
    """Base of what is read from records, ours and those of other software: unknown fields are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)

    @classmethod
    def lenient(cls, values: Mapping[str, Any]) -> Self:
        """Read what can be read; an optional field of a wrong type is left out.

        Raises:
            pydantic.ValidationError: a field that is needed is missing or wrong.
        """
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            wrong = {fault["loc"][0] for fault in error.errors() if fault["loc"]}
            return cls.model_validate({name: value for name, value in values.items() if name not in wrong})
