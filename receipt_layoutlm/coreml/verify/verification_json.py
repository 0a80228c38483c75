"""The model of `verification.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from messages.export_options import Quantize, ShapesText
from messages.fields import Message
from receipt_layoutlm.errors import BundleError

GateName = Literal["static", "structure", "weights", "arithmetic", "quality", "headroom"]
GATES: tuple[GateName, ...] = ("static", "structure", "weights", "arithmetic", "quality", "headroom")


def three_digits(value: float) -> float:
    """Round a measurement: further digits say nothing, and differ from one machine to the next."""
    return float(f"{value:.3g}")


class Number(Message):
    """One measurement.

    Attributes:
        name: what was measured, with its unit.
        value: NaN or infinite only in a gate that fails.
        at_most, at_least: the limit, where there is one.
        at: where it was measured: an operation, a parameter, an input.
    """

    model_config = ConfigDict(allow_inf_nan=True)

    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None
    at: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the value is within the limit; NaN never is."""
        # Not `value > at_most`, which NaN would pass.
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    def __str__(self) -> str:
        limits = (("at most", self.at_most), ("at least", self.at_least))
        allowed = "".join(f", allowed is {word} {limit:g}" for word, limit in limits if limit is not None)
        return f"{self.name} is {self.value:g}{f' at {self.at}' if self.at else ''}{allowed}"


class Gate(Message):
    """The result of one gate.

    Attributes:
        passed: None where the gate could not run; `sentence` gives the reason.
        warned: passed, with something that a person should look at.
        where: the operation, parameter or input that the number belongs to.
        sentence: for people.
    """

    name: GateName
    passed: bool | None = True
    warned: bool = False
    numbers: tuple[Number, ...] = ()
    where: str | None = None
    sentence: str


class Verification(Message):
    """All gates of one package, in the order of `GATES`."""

    schema_version: Literal[1] = 1
    quantize: Quantize
    shapes: ShapesText
    gates: tuple[Gate, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences of the gates that warned."""
        return tuple(f"{gate.name}: {gate.sentence}" for gate in self.gates if gate.warned)


def require(number: Number, advice: str) -> Number:
    """Hand a number back that is within its limit.

    Raises:
        BundleError: it is not; with the number, its limit and place, and what to do.
    """
    if not number.holds:
        raise BundleError(f"{number}. {advice}")
    return number
