"""Records the graph and converts it to CoreML."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import LayoutLMForTokenClassification

from messages.export_options import MAX_TOKENS, RANGE, Quantize, Shapes
from receipt_layoutlm.coreml.coremltools_import import compression, ct, quiet
from receipt_layoutlm.coreml.evaluator import constants, load_function
from receipt_layoutlm.coreml.interface import input_types, output_types, target_of
from receipt_layoutlm.coreml.model import ExportableLayoutLM, Forward, check_parity, make_inputs, trace_model

log = logging.getLogger(__name__)

_EXAMPLE_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Graph:
    """A recorded graph: `source` is what the converter takes, `run` gives its logits."""

    source: Any
    run: Forward


def record_graph(model: LayoutLMForTokenClassification) -> Graph:
    """Record the graph of the exportable model for every length of 1..512."""
    try:
        traced = trace_model(model)
    except Exception as error:  # noqa: BLE001 - torch announces the end of tracing, and not how it will refuse
        log.warning("torch.jit.trace failed (%s); the graph is recorded by torch.export", error)
        return export_graph(model)
    return Graph(traced, traced)


def export_graph(model: LayoutLMForTokenClassification) -> Graph:
    """Record the graph by torch.export, which analyses the Python code instead of tracing one run."""
    length = {1: torch.export.Dim("n", min=1, max=MAX_TOKENS)}
    example = make_inputs(model, _EXAMPLE_TOKENS, seed=0)
    with torch.no_grad(), warnings.catch_warnings():
        # transformers and torch announce to each other what they will rename.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        exported = torch.export.export(
            ExportableLayoutLM(model).eval(), example, dynamic_shapes=(length,) * len(example)
        )
        exported = exported.run_decompositions({})
    return Graph(exported, exported.module())


DEFAULT_LICENSE = "MIT; the base weights are Microsoft's LayoutLM, MIT"
_AUTHOR = "receipt-layoutlm"
_MATRIX = 2
_INT8 = compression.OpLinearQuantizerConfig(mode="linear_symmetric", granularity="per_channel")
_PALETTE = compression.OpPalettizerConfig(mode="kmeans", nbits=4)
_LIBRARIES = ("receipt-layoutlm", "torch", "transformers", "coremltools")


@dataclass(frozen=True, slots=True)
class PackageMetadata:
    """Descriptive texts of the package, shown in Xcode."""

    source_checkpoint: str
    run_name: str
    license_text: str = DEFAULT_LICENSE


def convert(
    model: LayoutLMForTokenClassification,
    quantize: Quantize,
    metadata: PackageMetadata,
    shapes: Shapes = RANGE,
) -> Any:
    """Convert a model in float32 and evaluation mode.

    Args:
        model: the checkpoint's model.
        quantize: format of the weights: None is float32; int8 and int4 compress the float16 program.
        metadata: where the model came from.
        shapes: the lengths n that it takes; several that are enumerated need iOS 18.

    Returns:
        A coremltools MLModel with int32 inputs [1, n] (bbox [1, n, 4]) and the output logits
        [1, n, num_labels] in float32.

    Raises:
        BundleError: the graph to convert does not give the checkpoint's logits.
    """
    graph = record_graph(model)
    difference = check_parity(graph.run, model)
    log.info("the recorded graph equals the checkpoint to %.1e", difference)
    with quiet():
        precision = ct.precision.FLOAT32 if quantize is None else ct.precision.FLOAT16
        package = to_program(graph.source, precision, shapes)
        if quantize in _COMPRESS:
            package = _COMPRESS[quantize](package)
    _describe(package, model, quantize, metadata)
    package.user_defined_metadata["shapes"] = str(shapes)
    return package


def to_program(graph: Any, precision: Any, shapes: Shapes = RANGE) -> Any:
    """Convert a recorded graph with the clients' inputs and output, for the oldest systems that load it."""
    return ct.convert(
        graph,
        inputs=input_types(shapes),
        outputs=output_types(),
        convert_to="mlprogram",
        minimum_deployment_target=target_of(shapes).deployment,
        compute_precision=precision,
        skip_model_load=True,  # compiling it for this host would prove nothing about the clients'
    )


def _to_int8(package: Any) -> Any:
    return compression.linear_quantize_weights(
        package, _only_weights_of({"linear", "gather"}, package, _INT8)
    )


def _to_int4(package: Any) -> Any:
    # A matrix averages the errors of its sixteen values over its inputs; a row that is looked up keeps them.
    package = compression.palettize_weights(package, _only_weights_of({"linear"}, package, _PALETTE))
    return compression.linear_quantize_weights(package, _only_weights_of({"gather"}, package, _INT8))


def _only_weights_of(op_types: set[str], package: Any, setting: Any) -> Any:
    # By name: equal biases are stored once, and coremltools refuses one that two kinds of operation share.
    function = load_function(Path(package.package_path), package.get_spec())
    names = [
        operation.name
        for operation, value in constants(function)
        if value.ndim == _MATRIX
        and value.dtype.kind == "f"
        and any(user.op_type in op_types for user in operation.outputs[0].child_ops)
    ]
    return compression.OptimizationConfig(op_name_configs=dict.fromkeys(names, setting))


_COMPRESS: dict[str | None, Callable[[Any], Any]] = {"int8": _to_int8, "int4": _to_int4}


def _describe(
    package: Any, model: LayoutLMForTokenClassification, quantize: Quantize, metadata: PackageMetadata
) -> None:
    labels = [model.config.id2label[number] for number in range(model.config.num_labels)]
    package.author = _AUTHOR
    package.license = metadata.license_text
    package.version = version(_AUTHOR)
    package.short_description = "LayoutLM that labels the words of a receipt (logits per token)."
    package.user_defined_metadata.update(
        {
            "labels": json.dumps(labels),
            "source_checkpoint": metadata.source_checkpoint,
            "run_name": metadata.run_name,
            "quantize": quantize or "float32",
            "versions": json.dumps({name: version(name) for name in _LIBRARIES}),
        }
    )
