"""Reads a saved CoreML package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from receipt_layoutlm.coreml.coremltools_import import ct, load_milproto, quiet
from receipt_layoutlm.errors import BundleError

_MAIN = "main"
_WEIGHTS = Path("Data") / "com.apple.CoreML" / "weights"


@dataclass(frozen=True, slots=True)
class SavedPackage:
    """A package as saved on disk.

    Attributes:
        name: its folder's.
        spec: CoreML's description of it, a protobuf message.
        function: its one function in coremltools' own representation, weights included.
    """

    name: str
    spec: Any
    function: Any


def read_package(package: Path) -> SavedPackage:
    """Read a package with its weights.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        spec = ct.utils.load_spec(str(package))
        return SavedPackage(package.name, spec, load_function(package, spec))
    except Exception as error:  # coremltools raises bare RuntimeErrors and others for a damaged package
        raise BundleError(f"{package.name} cannot be read back: {error}. Convert it again.") from error


def load_function(package: Path, spec: Any) -> Any:
    """The function of a package whose spec is at hand."""
    with quiet():
        program = load_milproto(spec, spec.specificationVersion, str(package / _WEIGHTS))
    return program.functions[_MAIN]


def constants(block: Any) -> Iterator[tuple[Any, npt.NDArray[Any]]]:
    """Every constant of a function or block with the operation that holds it, inner blocks included."""
    for operation in block.operations:
        if operation.op_type == "const":
            yield operation, np.asarray(operation.outputs[0].val)
        for inner in operation.blocks:
            yield from constants(inner)


def declared_types(spec: Any) -> dict[str, str]:
    """The type that the program declares for each value, such as FLOAT16, by the value's name.

    What coremltools holds in memory says what it infers; what a phone goes by is what the file declares.
    """
    function = spec.mlProgram.functions[_MAIN]
    block = function.block_specializations[function.opset]
    name_of = ct.proto.MIL_pb2.DataType.Name
    outputs = [output for operation in block.operations for output in operation.outputs]
    return {output.name: name_of(output.type.tensorType.dataType) for output in outputs}
