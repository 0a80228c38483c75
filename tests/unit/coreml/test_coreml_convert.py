from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from messages.export_options import Quantize
from receipt_layoutlm.coreml.bundle import PACKAGE, package_bytes
from receipt_layoutlm.coreml.convert import PackageMetadata, convert, to_program
from receipt_layoutlm.coreml.coremltools_import import ct, quiet
from receipt_layoutlm.coreml.evaluator import constants, load_function
from receipt_layoutlm.coreml.model import make_inputs
from receipt_layoutlm.coreml.source_checkpoint import load_checkpoint
from receipt_layoutlm.coreml.verify.static import check_interface, check_package
from receipt_layoutlm.errors import BundleError

BundleOf = Callable[[Quantize], Path]
FORMATS: list[Quantize] = [None, "float16", "int8", "int4"]


def spec_of(bundle: Path) -> Any:
    return ct.utils.load_spec(str(bundle / PACKAGE))


@pytest.mark.parametrize("quantize", FORMATS)
def test_the_saved_package_declares_the_clients_inputs_and_output(
    bundle_of: BundleOf, quantize: Quantize
) -> None:
    description = spec_of(bundle_of(quantize)).description
    array = ct.proto.FeatureTypes_pb2.ArrayFeatureType
    shapes = {}
    for feature in description.input:
        declared = feature.type.multiArrayType
        assert declared.dataType == array.INT32
        ranges = [(size.lowerBound, size.upperBound) for size in declared.shapeRange.sizeRanges]
        shapes[feature.name] = (list(declared.shape), ranges)
    one = ([1, 512], [(1, 1), (1, 512)])
    assert shapes == {
        "input_ids": one,
        "attention_mask": one,
        "token_type_ids": one,
        "bbox": ([1, 512, 4], [(1, 1), (1, 512), (4, 4)]),
    }
    assert [(out.name, out.type.multiArrayType.dataType) for out in description.output] == [
        ("logits", array.FLOAT32)
    ]


@pytest.mark.parametrize("quantize", FORMATS)
def test_no_constant_of_the_saved_program_is_infinite_or_nan(bundle_of: BundleOf, quantize: Quantize) -> None:
    bundle = bundle_of(quantize)
    values = [value for _, value in constants(load_function(bundle / PACKAGE, spec_of(bundle)))]
    floats = [value for value in values if value.dtype.kind == "f"]
    assert len(floats) > 20
    assert all(np.isfinite(value).all() for value in floats)
    assert min(float(value.min()) for value in floats) == -1e4  # the mask


def test_compressed_packages_are_smaller(bundle_of: BundleOf) -> None:
    sizes = {quantize: package_bytes(bundle_of(quantize)) for quantize in FORMATS}
    assert sizes[None] > 1.7 * sizes["float16"]
    assert sizes["float16"] > 1.5 * sizes["int8"]
    assert sizes["int8"] > 1.05 * sizes["int4"]


def test_the_package_says_where_it_came_from(bundle_of: BundleOf, trained: Path) -> None:
    metadata = spec_of(bundle_of("float16")).description.metadata
    said = dict(metadata.userDefined)
    assert json.loads(said["labels"]) == ["O", "B-DATE", "I-DATE", "B-TAX", "I-TAX"]
    assert said["source_checkpoint"] == trained.as_uri()
    assert said["run_name"] == "a-run"
    assert said["quantize"] == "float16"
    assert set(json.loads(said["versions"])) == {"receipt-layoutlm", "torch", "transformers", "coremltools"}
    assert metadata.author == "receipt-layoutlm"
    assert metadata.license.startswith("MIT")
    assert metadata.versionString


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_the_plain_model_whose_mask_overflows_float16_is_refused(trained: Path, tmp_path: Path) -> None:
    model = load_checkpoint(trained).model

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor, boxes: torch.Tensor
        ) -> Any:
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types, bbox=boxes).logits

    with quiet(), torch.no_grad():
        traced = torch.jit.trace(Plain().eval(), make_inputs(model, 16, seed=0), check_trace=False)  # type: ignore[no-untyped-call]
        package = tmp_path / PACKAGE
        to_program(traced, ct.precision.FLOAT16).save(str(package))
    with pytest.raises(BundleError, match=r"operation attention_mask_cast_fp16 \(mul\) holds -inf"):
        check_package(package, num_labels=5, quantize="float16")


def test_a_weight_too_large_for_float16_is_refused_by_name(trained: Path, tmp_path: Path) -> None:
    model = load_checkpoint(trained).model
    with torch.no_grad():
        model.layoutlm.encoder.layer[1].output.dense.weight[3, 5] = 1e5
    package = tmp_path / PACKAGE
    convert(model, "float16", PackageMetadata("file:///x", "run")).save(str(package))
    with pytest.raises(BundleError, match="encoder_layer_1_output_dense_weight is float32 but float16"):
        check_package(package, num_labels=5, quantize="float16")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, "but float32 was asked"), ("int8", "was not compressed to int8"), ("int4", "to int4")],
)
def test_a_package_in_another_weight_format_is_refused(
    bundle_of: BundleOf, asked: Quantize, expected: str
) -> None:
    with pytest.raises(BundleError, match=expected):
        check_package(bundle_of("float16") / PACKAGE, num_labels=5, quantize=asked)


def test_another_number_of_labels_is_refused(bundle_of: BundleOf) -> None:
    with pytest.raises(BundleError, match="the checkpoint has 7 labels"):
        check_package(bundle_of("float16") / PACKAGE, num_labels=7, quantize="float16")


def test_a_fixed_length_is_refused(bundle_of: BundleOf) -> None:
    spec = spec_of(bundle_of("float16"))
    spec.description.input[3].type.multiArrayType.shapeRange.sizeRanges[1].lowerBound = 512
    with pytest.raises(BundleError, match="The inputs bbox are not"):
        check_interface(spec)


def test_another_output_or_target_is_refused(bundle_of: BundleOf) -> None:
    spec = spec_of(bundle_of("float16"))
    spec.description.output[0].name = "scores"
    with pytest.raises(BundleError, match=r"\['scores'\]"):
        check_interface(spec)
    spec.specificationVersion = 9
    with pytest.raises(BundleError, match="version 9"):
        check_interface(spec)


def test_a_damaged_package_is_refused(bundle: Path) -> None:
    (bundle / PACKAGE / "Manifest.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read back"):
        check_package(bundle / PACKAGE, num_labels=5, quantize="float16")
