"""Real conversions of wrong graphs, and good packages spoilt on the disk: each is refused by one gate."""

from __future__ import annotations

import copy
import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from messages.quantize import Quantize
from messages.shapes import RANGE, Shapes, parse_shapes
from receipt_layoutlm.coreml.bundle import PACKAGE
from receipt_layoutlm.coreml.checkpoint import Checkpoint, load_checkpoint
from receipt_layoutlm.coreml.convert import to_program
from receipt_layoutlm.coreml.model import ExportableLayoutLM, clamp_boxes, make_inputs
from receipt_layoutlm.coreml.toolkit import ct, quiet
from receipt_layoutlm.coreml.verify import verify_package
from receipt_layoutlm.coreml.verify.static import check_interface
from receipt_layoutlm.errors import BundleError

BundleOf = Callable[[Quantize], Path]
MODEL = Path("Data") / "com.apple.CoreML" / "model.mlmodel"
SHORT = parse_shapes("fixed:24")
"""What converts and runs soonest; most mistakes have nothing to do with lengths."""
WEIGHTS = Path("Data") / "com.apple.CoreML" / "weights" / "weight.bin"


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


def refusal(
    package: Path,
    checkpoint: Checkpoint,
    quantize: Quantize = "float16",
    shapes: Shapes = RANGE,
    documents: Path | None = None,
) -> str:
    with pytest.raises(BundleError) as caught:
        verify_package(
            package, checkpoint, quantize=quantize, shapes=shapes, trained=False, documents=documents
        )
    return str(caught.value)


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


def zero_bytes(package: Path) -> None:
    """A kilobyte of zeros in the middle of the weights, as a bad disk or a broken download leaves it."""
    path = package / WEIGHTS
    body = bytearray(path.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 1024] = bytes(1024)
    path.write_bytes(body)


def set_bytes_to_nan(package: Path) -> None:
    path = package / WEIGHTS
    body = bytearray(path.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(body)


def truncate_weights(package: Path) -> None:
    path = package / WEIGHTS
    path.write_bytes(path.read_bytes()[:-20_000])


def truncate_program(package: Path) -> None:
    path = package / MODEL
    path.write_bytes(path.read_bytes()[:-2000])


def lose_weights(package: Path) -> None:
    (package / WEIGHTS).unlink()


def edit_spec(package: Path, edit: Callable[[Any], None]) -> None:
    spec = ct.proto.Model_pb2.Model.FromString((package / MODEL).read_bytes())
    edit(spec)
    (package / MODEL).write_bytes(spec.SerializeToString())


def operations(spec: Any) -> Any:
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset].operations


def use_an_unknown_operation(package: Path) -> None:
    def edit(spec: Any) -> None:
        softmax = next(one for one in operations(spec) if one.type == "softmax")
        softmax.type = "sigmoid"
        del softmax.inputs["axis"]

    edit_spec(package, edit)


def name_other_labels(package: Path) -> None:
    def edit(spec: Any) -> None:
        spec.description.metadata.userDefined["labels"] = '["O", "I-DATE", "B-DATE", "B-TAX", "I-TAX"]'

    edit_spec(package, edit)


def swap_inputs_of_a_subtraction(package: Path) -> None:
    """The height of a box becomes y0 - y1, which is no row of the table."""

    def edit(spec: Any) -> None:
        height = next(
            one for one in operations(spec) if one.type == "sub" and one.outputs[0].name == "input_11"
        )
        x, y = height.inputs["x"].arguments[0].name, height.inputs["y"].arguments[0].name
        height.inputs["x"].arguments[0].name, height.inputs["y"].arguments[0].name = y, x

    edit_spec(package, edit)


@pytest.mark.parametrize(
    ("spoil", "gate", "told"),
    [
        (zero_bytes, "weights", "relative L2 error of a parameter is"),
        (set_bytes_to_nan, "static", "holds nan"),
        (truncate_weights, "static", "cannot be read back"),
        (truncate_program, "static", "cannot be read back"),
        (lose_weights, "static", "cannot be read back"),
        (use_an_unknown_operation, "static", r"\(sigmoid\) is not known"),
        (name_other_labels, "static", r'the checkpoint \["O", "B-DATE"'),
        (swap_inputs_of_a_subtraction, "structure", r"\(gather\) cannot be evaluated: index out of range"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_spoilt_package_is_refused_by_its_gate(
    bundle_of: BundleOf,
    checkpoint: Checkpoint,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    gate: str,
    told: str,
) -> None:
    package = Path(shutil.copytree(bundle_of("float16") / PACKAGE, tmp_path / PACKAGE))
    spoil(package)
    message = refusal(package, checkpoint)
    assert message.startswith(f"The gate {gate} refuses the package: ")
    assert re.search(told, message), message


def test_another_vocabulary_is_refused_by_the_gate_static(bundle: Path, checkpoint: Checkpoint) -> None:
    path = bundle / "vocab.txt"
    path.write_text(path.read_text().replace("word7\nword8\n", "word8\nword7\n"))
    message = refusal(bundle / PACKAGE, checkpoint, documents=bundle)
    assert message.startswith("The gate static refuses the package: Line 13 of vocab.txt is 'word8'")


@pytest.mark.parametrize(
    ("made", "asked", "gate"),
    [
        ("int8", "float16", "static"),
        ("int4", "int8", "static"),
        ("int4", None, "static"),
        (None, "int4", "static"),
    ],
)
def test_a_package_in_another_format_than_asked_is_refused(
    bundle_of: BundleOf, checkpoint: Checkpoint, made: Quantize, asked: Quantize, gate: str
) -> None:
    message = refusal(bundle_of(made) / PACKAGE, checkpoint, asked)
    assert message.startswith(f"The gate {gate} refuses the package: ")


@pytest.mark.parametrize("quantize", ["float16", "int8", "int4"])
def test_a_package_of_another_checkpoint_is_refused_by_the_gate_weights(
    bundle_of: BundleOf, trained: Path, quantize: Quantize
) -> None:
    other = load_checkpoint(trained)
    other.model.classifier.weight.data = other.model.classifier.weight.data.flip(0)
    message = refusal(bundle_of(quantize) / PACKAGE, other, quantize)
    assert message.startswith("The gate weights refuses the package: ")
    assert "classifier.weight" in message


def test_float32_weights_are_the_checkpoints_to_the_last_bit(bundle_of: BundleOf, trained: Path) -> None:
    other = load_checkpoint(trained)
    weight = other.model.classifier.weight.data
    weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(torch.inf))
    message = refusal(bundle_of(None) / PACKAGE, other, None)
    assert re.search(r"gate weights .* at classifier\.weight, stored as .*, allowed is at most 0\.", message)


def test_another_opset_is_refused(bundle_of: BundleOf) -> None:
    spec = ct.utils.load_spec(str(bundle_of("float16") / PACKAGE))
    check_interface(spec)
    spec.mlProgram.functions["main"].opset = "CoreML7"
    with pytest.raises(BundleError, match=r"opset is \['CoreML7'\]; asked for is CoreML6"):
        check_interface(spec)
