"""A saved program as a list of steps, run one after the other with what each declares about its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from receipt_layoutlm.coreml.evaluator.number_types import DECOMPRESSIONS, EXACT, ROUNDINGS
from receipt_layoutlm.coreml.evaluator.operations import MOVES, OPERATIONS, to_tensor
from receipt_layoutlm.coreml.evaluator.saved_package import SavedPackage, declared_types, read_package
from receipt_layoutlm.coreml.model import INPUT_NAMES
from receipt_layoutlm.errors import BundleError

Value = Tensor | str
Names = str | tuple[str, ...]
_ADVICE = "Export the model with the versions of torch and coremltools that the tests have passed with."


@dataclass(frozen=True, slots=True)
class Operation:
    """One step.

    Attributes:
        name: as coremltools named it.
        kind: its type, a key of OPERATIONS.
        inputs: names of the values that it takes, by MIL's names for them.
        output: name of its result.
        declared: type of the result, such as FLOAT16.
        dying: values that no later step needs.
    """

    name: str
    kind: str
    inputs: Mapping[str, Names]
    output: str
    declared: str
    dying: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


class Program:
    """A saved program that can be run anywhere.

    Attributes:
        constants: by name, weights decompressed; float32 where the program has float16.
        operations: in the order in which they run.
        output: name of the logits.

    Raises:
        BundleError: it contains an operation that is not known here, or one with unknown inputs.
    """

    def __init__(self, package: SavedPackage) -> None:
        declared = declared_types(package.spec)
        self.constants: dict[str, Value] = {}
        steps: list[Operation] = []
        for operation in package.function.operations:
            kind, output = operation.op_type, _only_output(operation)
            if kind in DECOMPRESSIONS:
                numbers = torch.from_numpy(_decompress(operation))
                self.constants[output.name] = ROUNDINGS[declared[output.name]](numbers)
            elif kind != "const":
                steps.append(_read_step(operation, output.name, declared[output.name]))
            elif _is_computed_with(output):
                self.constants[output.name] = to_tensor(output.val)
        self.output: str = package.function.outputs[0].name
        self.operations = _with_deaths(steps, self.output, self.constants)
        if all(step.output != self.output for step in steps):
            raise BundleError(f"No operation of {package.name} computes {self.output}. Convert it again.")

    def predict(
        self,
        input_ids: Any,
        attention_mask: Any,
        token_type_ids: Any,
        bbox: Any,
        *,
        rounded: bool = True,
    ) -> Tensor:
        """Run the program.

        Args:
            input_ids: integers [1, n], of numpy or torch.
            attention_mask: as above; 0 for padding.
            token_type_ids: as above.
            bbox: integers [1, n, 4].
            rounded: as for `steps`.

        Returns:
            Logits float32 [1, n, num_labels].

        Raises:
            BundleError: an operation cannot be evaluated; named with the reason.
        """
        inputs = (input_ids, attention_mask, token_type_ids, bbox)
        results = (
            result for step, result in self.steps(inputs, rounded=rounded) if step.output == self.output
        )
        return next(results)

    @torch.no_grad()
    def steps(self, inputs: Sequence[Any], *, rounded: bool = True) -> Iterator[tuple[Operation, Tensor]]:
        """Run the program and show the result of each operation.

        Args:
            inputs: as `predict` takes them.
            rounded: whether each result is rounded to its declared type, as on a phone; without it, every
                number is float32.

        Raises:
            BundleError: an operation cannot be evaluated; named with the reason.
        """
        roundings = ROUNDINGS if rounded else EXACT
        given = zip(INPUT_NAMES, inputs, strict=True)
        values: dict[str, Value] = {name: torch.as_tensor(value).long() for name, value in given}
        for operation in self.operations:
            result = self._run(operation, values, roundings[operation.declared])
            yield operation, result
            values[operation.output] = result
            for name in operation.dying:
                del values[name]

    def _run(
        self, operation: Operation, values: Mapping[str, Value], fit: Callable[[Tensor], Tensor]
    ) -> Tensor:
        def find(name: str) -> Value:
            return values[name] if name in values else self.constants[name]

        arguments = {
            key: find(names) if isinstance(names, str) else [find(name) for name in names]
            for key, names in operation.inputs.items()
        }
        try:
            result = OPERATIONS[operation.kind](**arguments)
            return result if operation.kind in MOVES else fit(result)
        except (ValueError, IndexError, RuntimeError, OverflowError) as error:
            raise BundleError(
                f"The operation {operation} cannot be evaluated: {error}. Convert the model again."
            ) from error


def load_program(package: Path) -> Program:
    """Load a saved package for running.

    Raises:
        BundleError: it cannot be read, or contains an operation that is not known here.
    """
    return Program(read_package(package))


def _decompress(operation: Any) -> Any:
    inputs = {key: var.val for key, var in operation.inputs.items() if var is not None}
    try:
        return DECOMPRESSIONS[operation.op_type](**inputs)
    except (ValueError, IndexError, TypeError) as error:
        raise BundleError(
            f"The weight {operation.name} ({operation.op_type}) cannot be decompressed: {error}. Convert the "
            "model again."
        ) from error


def _is_computed_with(constant: Any) -> bool:
    """Whether it is more than a part of compressed weights, which are kept decompressed alone."""
    return any(user.op_type not in DECOMPRESSIONS for user in constant.child_ops)


def _only_output(operation: Any) -> Any:
    if len(operation.outputs) != 1 or operation.blocks:
        raise BundleError(
            f"The operation {operation.name} ({operation.op_type}) has several outputs or inner blocks, "
            f"which the evaluator does not know. {_ADVICE}"
        )
    return operation.outputs[0]


def _read_step(operation: Any, output: str, declared: str) -> Operation:
    inputs: dict[str, Names] = {
        key: tuple(var.name for var in given) if isinstance(given, list | tuple) else given.name
        for key, given in operation.inputs.items()
        if given is not None
    }
    step = Operation(operation.name, operation.op_type, inputs, output, declared)
    unknown = _find_unknown(step)
    if unknown:
        raise BundleError(
            f"The operation {step} is not known to the evaluator ({unknown}), so nothing can be said of the "
            f"program. {_ADVICE}"
        )
    return step


def _find_unknown(step: Operation) -> str | None:
    if step.kind not in OPERATIONS:
        return f"no {step.kind}"
    if step.declared not in ROUNDINGS:
        return f"no type {step.declared}"
    try:
        inspect.signature(OPERATIONS[step.kind]).bind(**step.inputs)
    except TypeError as error:
        return str(error)
    return None


def _with_deaths(steps: list[Operation], output: str, constants: Iterable[str]) -> tuple[Operation, ...]:
    """Note with each step which values die there, so that a run holds few of them at a time."""
    alive = {output, *constants}
    noted: list[Operation] = []
    for step in reversed(steps):
        used = [
            name for names in step.inputs.values() for name in ([names] if isinstance(names, str) else names)
        ]
        dying = tuple(sorted({*used, step.output} - alive))
        alive.update(used, [step.output])
        noted.append(Operation(step.name, step.kind, step.inputs, step.output, step.declared, dying))
    return tuple(reversed(noted))
