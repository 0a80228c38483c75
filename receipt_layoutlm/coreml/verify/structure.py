"""Gate 2, structure: without rounding and with the same weights, the program is the model.

Rounding and compression hide what is wrong with a graph. With both taken away, what is left of a correct
program is the noise of float32, about 3e-6; the smallest mistake tried gives a hundred times the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from transformers import LayoutLMForTokenClassification

from receipt_layoutlm.coreml.evaluator import Operation, Program
from receipt_layoutlm.coreml.verify.sample_inputs import SampleInput
from receipt_layoutlm.coreml.verify.verification_json import Gate, Number, require, three_digits

LIMIT = 1e-4
_COUNTERPARTS = {"linear": nn.Linear, "layer_norm": nn.LayerNorm}


def check_structure(
    program: Program,
    model: LayoutLMForTokenClassification,
    cases: Sequence[SampleInput],
    wanted: Sequence[Tensor],
) -> Gate:
    """Compare a program that does not round with a model of the same weights.

    Args:
        program: the package's.
        model: the checkpoint's model with the package's weights.
        cases: what both are given.
        wanted: the model's logits in each case.

    Raises:
        BundleError: with the largest difference and the operation where it begins.
    """
    differences = [
        Number(
            name="difference of logits", value=_difference(program, case, logits), at_most=LIMIT, at=case.name
        )
        for case, logits in zip(cases, wanted, strict=True)
    ]
    for number, case in zip(differences, cases, strict=True):
        if not number.holds:
            begins = find_first_difference(program, model, case)
            at = f"{begins}, {number.at}" if begins else number.at
            require(number.model_copy(update={"at": at}), _ADVICE)
    largest = max(differences, key=lambda number: number.value)
    return Gate(
        name="structure",
        numbers=(largest,),
        where=largest.at,
        sentence=f"With the package's own weights and no rounding, the program gives the model's logits to "
        f"{largest.value:g} in {len(cases)} cases.",
    )


_ADVICE = "The graph is another one than the model's; run the tests against the installed versions."


def find_first_difference(
    program: Program, model: LayoutLMForTokenClassification, case: SampleInput
) -> Operation | None:
    """The first linear or layer norm that gives other numbers than the model's; both go in order."""
    steps = program.steps(case.inputs, rounded=False)
    ours = ((step, result) for step, result in steps if step.kind in _COUNTERPARTS)
    for (step, result), (kind, expected) in zip(ours, _record(model, case), strict=False):
        got = result[:, : case.real]
        if kind != step.kind or got.shape != expected.shape:
            return step
        if not torch.allclose(got, expected, rtol=LIMIT, atol=LIMIT):
            return step
    return None


def _difference(program: Program, case: SampleInput, wanted: Tensor) -> float:
    got = program.predict(*case.inputs, rounded=False)[:, : case.real]
    return three_digits(float((got - wanted).abs().max())) if got.shape == wanted.shape else float("inf")


def _record(model: LayoutLMForTokenClassification, case: SampleInput) -> Iterator[tuple[str, Tensor]]:
    """Kind and result of each linear and layer norm of a model, in the order in which they are called."""
    results: list[tuple[str, Tensor]] = []
    handles = [
        module.register_forward_hook(lambda *call, kind=kind: results.append((kind, call[-1])))
        for module in nn.Module.modules(model)
        for kind, counterpart in _COUNTERPARTS.items()
        if isinstance(module, counterpart)
    ]
    try:
        case.reference(model)
    finally:
        for handle in handles:
            handle.remove()
    return iter(results)
