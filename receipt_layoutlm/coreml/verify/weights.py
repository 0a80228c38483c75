"""Gate 3, weights: what the package stores is the checkpoint's, as closely as its format allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from messages.export_options import Quantize
from receipt_layoutlm.coreml.verify.match import Match
from receipt_layoutlm.coreml.verify.record import Gate, Number, require, three_digits

LIMITS: Mapping[Quantize, float] = {None: 0.0, "float16": 1e-3, "int8": 1.5e-2, "int4": 0.15}
"""Largest relative L2 error of a parameter."""


def check_weights(matches: Sequence[Match], quantize: Quantize) -> Gate:
    """Hold each matched constant to its parameter.

    Raises:
        BundleError: with the parameter, the constant and the error.
    """
    worst = max(matches, key=lambda match: match.error if match.error == match.error else float("inf"))
    where = f"{worst.parameter}, stored as {worst.constant}"
    number = Number(
        name="relative L2 error of a parameter",
        value=three_digits(worst.error),
        at_most=LIMITS[quantize],
        at=where,
    )
    require(number, "The package holds other weights than the checkpoint; convert it again.")
    return Gate(
        name="weights",
        numbers=(Number(name="parameters", value=len(matches)), number),
        where=where,
        sentence=f"Each of {len(matches)} parameters is stored; the largest relative error is "
        f"{number.value:g}, of {worst.parameter}.",
    )
