"""Real conversions of wrong graphs: each is refused by one gate."""

from __future__ import annotations

import copy
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from messages.export_options import RANGE, Shapes, parse_shapes
from receipt_layoutlm.coreml.bundle import PACKAGE
from receipt_layoutlm.coreml.convert import to_program
from receipt_layoutlm.coreml.coremltools_import import ct, quiet
from receipt_layoutlm.coreml.model import ExportableLayoutLM, clamp_boxes, make_inputs
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint, load_checkpoint
from receipt_layoutlm.coreml.verify import verify_package
from tests.support.refused import refusal

SHORT = parse_shapes("fixed:24")
"""What converts and runs soonest; most mistakes have nothing to do with lengths."""


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Checkpoint:
    return load_checkpoint(trained)


class Graph(ExportableLayoutLM):
    """The exported graph in steps, each for a mistake to replace."""

    def mask(self, attention_mask: Tensor) -> Tensor:
        return (1.0 - attention_mask[:, None, None, :].float()) * -1e4

    def boxes(self, bbox: Tensor) -> Tensor:
        return clamp_boxes(bbox)

    def embed(self, ids: Tensor, boxes: Tensor, types: Tensor) -> Tensor:
        embedded: Tensor = self.embeddings(input_ids=ids, bbox=boxes, token_type_ids=types)
        return embedded

    def finish(self, logits: Tensor) -> Tensor:
        return logits

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, bbox: Tensor
    ) -> Tensor:
        hidden = self.embed(input_ids, self.boxes(bbox), token_type_ids)
        encoded = self.encoder(hidden, self.mask(attention_mask)).last_hidden_state
        return self.finish(self.classifier(encoded))


class UnsafeMask(Graph):
    def mask(self, attention_mask: Tensor) -> Tensor:
        return (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min


class WeakMask(Graph):
    def mask(self, attention_mask: Tensor) -> Tensor:
        return (1.0 - attention_mask[:, None, None, :].float()) * -4.0


class FaintMask(Graph):
    """Too strong for logits to show it beyond the noise, too weak to hide the padding."""

    def mask(self, attention_mask: Tensor) -> Tensor:
        return (1.0 - attention_mask[:, None, None, :].float()) * -15.0


class XAndYSwapped(Graph):
    def boxes(self, bbox: Tensor) -> Tensor:
        return clamp_boxes(bbox)[:, :, [1, 0, 3, 2]]


class BoxesAsTheyCome(Graph):
    def boxes(self, bbox: Tensor) -> Tensor:
        return bbox


class BoxesOutOfOrder(Graph):
    def boxes(self, bbox: Tensor) -> Tensor:
        corners = bbox.clamp(0, 1000)
        return torch.cat([torch.minimum(corners[:, :, :2], corners[:, :, 2:]), corners[:, :, 2:]], dim=-1)


class TypesIgnored(Graph):
    def embed(self, ids: Tensor, boxes: Tensor, types: Tensor) -> Tensor:
        return super().embed(ids, boxes, types * 0)


class LabelsTurned(Graph):
    def finish(self, logits: Tensor) -> Tensor:
        return torch.cat([logits[:, :, :1], logits[:, :, 2:3], logits[:, :, 1:2], logits[:, :, 3:]], dim=-1)


class TablesTurned(Graph):
    """Width looked up in the table of heights and the other way round, under the right names."""

    def embed(self, ids: Tensor, boxes: Tensor, types: Tensor) -> Tensor:
        tables = self.embeddings
        x0, y0, x1, y1 = (boxes[:, :, corner] for corner in range(4))
        looked_up = (
            tables.word_embeddings(ids)
            + tables.position_embeddings(tables.position_ids[:, : ids.shape[1]])
            + tables.x_position_embeddings(x0)
            + tables.y_position_embeddings(y0)
            + tables.x_position_embeddings(x1)
            + tables.y_position_embeddings(y1)
            + tables.h_position_embeddings(x1 - x0)
            + tables.w_position_embeddings(y1 - y0)
            + tables.token_type_embeddings(types)
        )
        normed: Tensor = tables.LayerNorm(looked_up)
        return normed


def use_tanh_gelu(graph: Graph) -> None:
    for layer in graph.encoder.layer:
        layer.intermediate.intermediate_act_fn = nn.GELU(approximate="tanh")


def use_another_epsilon(graph: Graph) -> None:
    graph.embeddings.LayerNorm.eps = 1e-5


def count_positions_from_one(graph: Graph) -> None:
    graph.embeddings.position_ids = graph.embeddings.position_ids.roll(-1)


def swap_tables(graph: Graph) -> None:
    tables = graph.embeddings
    tables.h_position_embeddings, tables.w_position_embeddings = (
        tables.w_position_embeddings,
        tables.h_position_embeddings,
    )


def drop_a_layer(graph: Graph) -> None:
    graph.encoder.layer = graph.encoder.layer[:1]


def swap_labels(graph: Graph) -> None:
    for parameter in (graph.classifier.weight, graph.classifier.bias):
        parameter.data = parameter.data[[0, 2, 1, 3, 4]]


def scale_attention_wrongly(graph: Graph) -> None:
    for layer in graph.encoder.layer:
        layer.attention.self.scaling = 0.2


def convert_graph(
    checkpoint: Checkpoint,
    graph: type[Graph],
    spoil: Callable[[Graph], None] | None,
    shapes: Shapes,
    package: Path,
) -> Path:
    wrong = graph(copy.deepcopy(checkpoint.model)).eval()
    if spoil:
        spoil(wrong)
    example = make_inputs(checkpoint.model, 16, seed=0)
    with quiet(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", TracerWarning)
        traced = torch.jit.trace(wrong, example, check_trace=False)  # type: ignore[no-untyped-call]
        converted = to_program(traced, ct.precision.FLOAT16, shapes)
    converted.user_defined_metadata["labels"] = json.dumps(checkpoint.config.labels)
    converted.save(str(package))
    return package


@pytest.mark.parametrize("shapes", [SHORT, RANGE], ids=str)
def test_the_same_graph_in_steps_is_no_wrong_one(
    checkpoint: Checkpoint, tmp_path: Path, shapes: Shapes
) -> None:
    package = convert_graph(checkpoint, Graph, None, shapes, tmp_path / PACKAGE)
    verification = verify_package(package, checkpoint, quantize="float16", shapes=shapes, trained=False)
    assert [gate.passed for gate in verification.gates] == [True, True, True, True, None, True]


@pytest.mark.parametrize(
    ("graph", "spoil", "shapes", "gate", "told"),
    [
        (UnsafeMask, None, SHORT, "static", r"\(mul\) holds -inf"),
        (Graph, use_tanh_gelu, SHORT, "structure", r"at linear_5_cast_fp16 \(linear\)"),
        (Graph, use_another_epsilon, SHORT, "structure", r"at input_17_cast_fp16 \(layer_norm\)"),
        (Graph, count_positions_from_one, RANGE, "structure", r"\(layer_norm\)"),
        (Graph, count_positions_from_one, SHORT, "weights", r"embeddings\.position_embeddings"),
        (XAndYSwapped, None, SHORT, "structure", r"\(layer_norm\)"),
        (TablesTurned, None, RANGE, "structure", r"\(layer_norm\)"),
        (Graph, swap_tables, SHORT, "weights", "[hw]_position_embeddings"),
        (Graph, drop_a_layer, SHORT, "weights", r"encoder\.layer\.1\."),
        (Graph, swap_labels, SHORT, "weights", r"classifier\.weight"),
        (LabelsTurned, None, SHORT, "structure", "difference of logits"),
        (WeakMask, None, SHORT, "structure", "padded to"),
        (FaintMask, None, SHORT, "arithmetic", "change by other padding is"),
        (BoxesAsTheyCome, None, SHORT, "structure", r"\(gather\) cannot be evaluated"),
        (BoxesOutOfOrder, None, SHORT, "structure", "out of range and order"),
        (TypesIgnored, None, SHORT, "structure", r"\(layer_norm\)"),
        (Graph, scale_attention_wrongly, SHORT, "structure", r"\(linear\)"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_wrong_graph_is_refused_by_its_gate(
    checkpoint: Checkpoint,
    tmp_path: Path,
    graph: type[Graph],
    spoil: Callable[[Graph], None] | None,
    shapes: Shapes,
    gate: str,
    told: str,
) -> None:
    package = convert_graph(checkpoint, graph, spoil, shapes, tmp_path / PACKAGE)
    message = refusal(package, checkpoint, shapes=shapes)
    assert message.startswith(f"The gate {gate} refuses the package: ")
    assert re.search(told, message), message


def test_numbers_beyond_float16_are_refused_where_they_arise(trained: Path, tmp_path: Path) -> None:
    """The checkpoint itself is so; float32 would hold it."""
    large = load_checkpoint(trained)
    weight = large.model.layoutlm.encoder.layer[1].intermediate.dense.weight
    weight.data *= 20_000 / weight.data.abs().max()
    package = convert_graph(large, Graph, None, SHORT, tmp_path / PACKAGE)
    message = refusal(package, large, shapes=SHORT)
    assert message.startswith("The gate arithmetic refuses the package: ")
    assert re.search(r"linear_10_cast_fp16 \(linear\) gives NaN or infinity at 24 tokens", message)
