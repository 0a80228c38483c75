"""Good packages spoilt on the disk: each is refused by one gate."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from messages.export_options import Quantize
from receipt_layoutlm.coreml.bundle import PACKAGE
from receipt_layoutlm.coreml.coremltools_import import ct
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint, load_checkpoint
from receipt_layoutlm.coreml.verify.static import check_interface
from receipt_layoutlm.errors import BundleError
from tests.support.refused import refusal

BundleOf = Callable[[Quantize], Path]
MODEL = Path("Data") / "com.apple.CoreML" / "model.mlmodel"
WEIGHTS = Path("Data") / "com.apple.CoreML" / "weights" / "weight.bin"


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Checkpoint:
    return load_checkpoint(trained)


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
