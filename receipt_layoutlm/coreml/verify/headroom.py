"""Gate 6, headroom: how far the program's numbers stay below what float16 can hold, 65,504."""

from __future__ import annotations

from torch import Tensor

from messages.export_options import Quantize
from receipt_layoutlm.coreml.evaluator import Operation
from receipt_layoutlm.coreml.verify.record import Gate, Number, require, three_digits

WARNED_ABOVE = 2048.0
"""From here on, hardware that sums squares in float16, as a layer norm needs them, may overflow."""
LIMIT = 16_384.0


class Extremes:
    """Keeps the largest number that a program has computed, and where.

    Only inputs without padding count: with padding, the mask's -1e4 is the largest number by design.

    Attributes:
        largest: magnitude of the largest result.
        where: its operation and input.
        inputs: how many inputs were counted.
    """

    def __init__(self) -> None:
        self.largest = 0.0
        self.where = "no operation"
        self.inputs = 0

    def see(self, step: Operation, result: Tensor, where: str, *, counts: bool) -> float:
        """Look at a result; returns its largest magnitude, NaN or infinity included."""
        low, high = result.aminmax()
        magnitude = float(high.maximum(-low))
        if counts and magnitude > self.largest:
            self.largest, self.where = magnitude, f"{step}, {where}"
        return magnitude


def check_headroom(extremes: Extremes, quantize: Quantize) -> Gate:
    """Hold the largest number to what leaves room in float16; a float32 program has room enough.

    Raises:
        BundleError: it is too large, with the operation.
    """
    limit = None if quantize is None else LIMIT
    number = Number(
        name="largest activation", value=three_digits(extremes.largest), at_most=limit, at=extremes.where
    )
    require(
        number,
        "Other inputs would overflow float16; export as float32, or train with weight decay or a lower rate.",
    )
    warned = quantize is not None and number.value > WARNED_ABOVE
    return Gate(
        name="headroom",
        warned=warned,
        numbers=(number,),
        where=extremes.where,
        sentence=f"The largest of all results without padding is {number.value:g} in {extremes.inputs} inputs"
        + (f", above {WARNED_ABOVE:g}: little room is left in float16." if warned else "."),
    )
