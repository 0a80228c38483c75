"""Compares outputs with the reference; checks numeric headroom."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from messages.export_options import Quantize
from receipt_layoutlm.coreml.evaluator import Operation, Program
from receipt_layoutlm.coreml.verify.sample_inputs import SampleInput, with_other_padding
from receipt_layoutlm.coreml.verify.verification_json import Gate, Number, require, three_digits
from receipt_layoutlm.errors import BundleError

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
        """Observe a result; returns its largest magnitude, NaN or infinity included."""
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


FLOAT32_LIMIT = 1e-4
FLOAT16_LIMIT = 0.005
"""Largest difference of a logit, as a share of the largest logit, or of 1 if that is smaller than 1."""
LEAST_PSNR = 55.0
_NO_NOISE = 200.0
_ADVICE = "A phone would compute other labels; export as float32, or find what made the numbers so large."


def check_arithmetic(
    program: Program,
    cases: Sequence[SampleInput],
    wanted: Sequence[Tensor],
    quantize: Quantize,
    extremes: Extremes,
) -> Gate:
    """Compare a program that rounds with what the model says.

    Args:
        program: the package's.
        cases: what it is given.
        wanted: logits in each case: the checkpoint's or, for compressed weights, of a model with these.
        quantize: the package's format.
        extremes: told every result.

    Raises:
        BundleError: with the number, or with the operation whose result is no finite number.
    """
    peak = max(float(logits.abs().max()) for logits in wanted)
    limit = FLOAT32_LIMIT if quantize is None else three_digits(FLOAT16_LIMIT * max(1.0, peak))
    differences, ratios, changes = [], [], []
    for case, logits in zip(cases, wanted, strict=True):
        got = run_finite(program, case.inputs, case.name, extremes)[:, : case.real]
        differences.append(_require_close(program, case, got - logits, limit))
        if quantize is not None:
            ratios.append(_require_ratio(case, got - logits, peak))
        if case.is_padded:
            changes.append(_require_same(program, case, got, extremes))
    worst = max(differences, key=lambda number: number.value)
    least = sorted(ratios, key=lambda number: number.value)[:1]
    return Gate(
        name="arithmetic",
        numbers=(worst, *least, *changes[-1:]),
        where=worst.at,
        sentence=f"Rounded as on a phone, the logits are off by at most {worst.value:g} where {limit:g} is "
        f"allowed; in {len(cases)} cases every result is finite, and padding changes nothing.",
    )


def run_finite(program: Program, inputs: Sequence[Tensor], where: str, extremes: Extremes) -> Tensor:
    """Run a program as on a phone and show each result to `extremes`.

    Returns:
        Logits [1, n, num_labels].

    Raises:
        BundleError: an operation gives something that is no finite number.
    """
    counts = bool(inputs[1].all())
    extremes.inputs += counts
    logits = torch.empty(0)
    for step, result in program.steps(inputs):
        if result.is_floating_point() and not math.isfinite(extremes.see(step, result, where, counts=counts)):
            raise BundleError(f"The operation {step} gives NaN or infinity at {where}. {_ADVICE}")
        if step.output == program.output:
            logits = result
    return logits


def find_rounding(program: Program, case: SampleInput) -> Operation | None:
    """The first operation that rounding takes further from its exact result than logits may be."""
    both = zip(program.steps(case.inputs), program.steps(case.inputs, rounded=False), strict=True)
    for (step, rounded), (_, exact) in both:
        if exact.is_floating_point():
            allowed = FLOAT16_LIMIT * max(1.0, float(exact.abs().max()))
            if not float((rounded - exact).abs().max()) <= allowed:
                return step
    return None


def _require_close(program: Program, case: SampleInput, difference: Tensor, limit: float) -> Number:
    largest = Number(
        name="difference of logits",
        value=three_digits(float(difference.abs().max())),
        at_most=limit,
        at=case.name,
    )
    if not largest.holds:
        step = find_rounding(program, case)
        largest = largest.model_copy(update={"at": f"{step}, {case.name}" if step else case.name})
    return require(largest, _ADVICE)


def _require_ratio(case: SampleInput, difference: Tensor, peak: float) -> Number:
    """The peak signal-to-noise ratio, 20 log10(peak / root mean square), as image codecs are measured."""
    noise = float(difference.square().mean().sqrt())
    value = 20 * math.log10(peak / noise) if noise and peak else _NO_NOISE
    return require(
        Number(name="PSNR in dB", value=three_digits(value), at_least=LEAST_PSNR, at=case.name), _ADVICE
    )


def _require_same(program: Program, case: SampleInput, before: Tensor, extremes: Extremes) -> Number:
    other = f"{case.name} with other padding"
    after = run_finite(program, with_other_padding(case), other, extremes)[:, : case.real]
    change = Number(
        name="change by other padding",
        value=three_digits(float((after - before).abs().max())),
        at_most=0.0,
        at=case.name,
    )
    return require(change, "The attention mask does not hide the padding; convert again.")
