from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from messages.export_options import Quantize
from receipt_layoutlm.coreml.bundle import PACKAGE
from receipt_layoutlm.coreml.coremltools_import import ct, quiet
from receipt_layoutlm.coreml.evaluator import Program, load_on_mac, load_program, read_package
from receipt_layoutlm.coreml.evaluator.number_types import DECOMPRESSIONS, ROUNDINGS
from receipt_layoutlm.coreml.evaluator.operations import OPERATIONS
from receipt_layoutlm.coreml.model import make_inputs
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint, load_checkpoint
from receipt_layoutlm.errors import BundleError
from run_records.errors import ConfigurationError

BundleOf = Callable[[Quantize], Path]
ROWS = [[1, 2, 3], [4, 5, 6]]


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Checkpoint:
    return load_checkpoint(trained)


@pytest.fixture(scope="module")
def program(bundle_of: BundleOf) -> Program:
    return load_program(bundle_of("float16") / PACKAGE)


def ints(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def bools(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        ("slice_by_index", {"begin": ints(0, 1), "end": ints(2, 3)}, [[2, 3], [5, 6]]),
        ("slice_by_index", {"begin": ints(0, -2), "end": ints(2, -1)}, [[2], [5]]),
        ("slice_by_index", {"begin": ints(1, 1), "end": ints(0, 0), "end_mask": bools(1, 1)}, [[5, 6]]),
        ("slice_by_index", {"begin": ints(1, 9), "end": ints(2, 2), "begin_mask": bools(0, 1)}, [[4, 5]]),
        (
            "slice_by_index",
            {"begin": ints(0, 2), "end": ints(2, 3), "end_mask": bools(1, 0), "squeeze_mask": bools(0, 1)},
            [3, 6],
        ),
        ("transpose", {"perm": ints(-1, 0)}, [[1, 4], [2, 5], [3, 6]]),
        ("reshape", {"shape": ints(3, -1)}, [[1, 2], [3, 4], [5, 6]]),
        ("expand_dims", {"axes": ints(-1)}, [[[1], [2], [3]], [[4], [5], [6]]]),
        ("expand_dims", {"axes": ints(0, 2)}, [[[[1, 2, 3]], [[4, 5, 6]]]]),
        ("shape", {}, [2, 3]),
        (
            "gather",
            {"indices": ints(1, 1), "axis": torch.tensor(0), "batch_dims": torch.tensor(0)},
            [[4, 5, 6], [4, 5, 6]],
        ),
        (
            "gather",
            {"indices": torch.tensor(2), "axis": torch.tensor(-1), "batch_dims": torch.tensor(0)},
            [3, 6],
        ),
    ],
)
def test_an_operation_moves_numbers_as_mil_says(kind: str, arguments: dict[str, Any], expected: Any) -> None:
    assert OPERATIONS[kind](x=torch.tensor(ROWS), **arguments).tolist() == expected


def test_scalars_are_joined_to_a_list() -> None:
    joined = OPERATIONS["concat"](
        values=[torch.tensor(1), torch.tensor(7)], axis=torch.tensor(0), interleave=torch.tensor(False)
    )
    assert joined.tolist() == [1, 7]


@pytest.mark.parametrize(
    ("kind", "arguments", "told"),
    [
        (
            "concat",
            {"values": [], "axis": torch.tensor(0), "interleave": torch.tensor(True)},
            "interleave",
        ),
        ("gelu", {"x": torch.ones(1), "mode": "SIGMOID_APPROXIMATION"}, "SIGMOID"),
        ("cast", {"x": torch.ones(1), "dtype": "int32"}, "to int32"),
        ("cast", {"x": torch.ones(1), "dtype": "string"}, "to string"),
        ("reshape", {"x": torch.ones(2), "shape": ints(0, 2)}, "size of 0"),
        (
            "gather",
            {"x": torch.ones(2), "indices": ints(0), "axis": torch.tensor(0), "batch_dims": torch.tensor(1)},
            "batch_dims",
        ),
        (
            "layer_norm",
            {
                "x": torch.ones(2, 2),
                "axes": ints(0),
                "gamma": torch.ones(2),
                "beta": torch.ones(2),
                "epsilon": torch.tensor(0.1),
            },
            "axes",
        ),
    ],
)
def test_a_form_of_an_operation_that_is_not_known_is_refused(
    kind: str, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        OPERATIONS[kind](**arguments)


def test_results_become_what_their_type_can_hold() -> None:
    third = torch.tensor([1 / 3, 70_000.0, 1e-9])
    assert ROUNDINGS["FLOAT16"](third).tolist() == [float(np.float16(1 / 3)), float("inf"), 0.0]
    assert ROUNDINGS["FLOAT32"](third) is third
    assert ROUNDINGS["UINT16"](ints(0, 65_535)).tolist() == [0, 65_535]
    with pytest.raises(OverflowError, match="uint16"):
        ROUNDINGS["UINT16"](ints(65_536))
    with pytest.raises(OverflowError, match="int16"):
        ROUNDINGS["INT16"](ints(-40_000))


@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_weights_are_decompressed_as_coremltools_itself_does_it(
    bundle_of: BundleOf, quantize: Quantize
) -> None:
    package = read_package(bundle_of(quantize) / PACKAGE)
    constants = Program(package).constants
    compressed = [one for one in package.function.operations if one.op_type in DECOMPRESSIONS]
    assert len(compressed) == 18
    for operation in compressed:
        expected = operation.materialized_val_inference().astype(np.float32)
        found = constants[operation.outputs[0].name]
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found, expected, rtol=2**-10, atol=0)


def test_the_forms_of_ios_18_are_decompressed_too() -> None:
    data = np.array([[1, -2, 3, 4], [5, 6, 7, 8]], dtype=np.int8)
    scale = np.array([[0.5, 2.0], [1.0, 0.25]], dtype=np.float16)
    shifted = DECOMPRESSIONS["constexpr_blockwise_shift_scale"](data=data, scale=scale)
    assert shifted.tolist() == [[0.5, -1.0, 6.0, 8.0], [5.0, 6.0, 1.75, 2.0]]
    offset = np.ones((2, 2), dtype=np.int8)
    shifted = DECOMPRESSIONS["constexpr_blockwise_shift_scale"](data=data, scale=scale, offset=offset)
    assert shifted.tolist() == [[0.0, -1.5, 4.0, 6.0], [4.0, 5.0, 1.5, 1.75]]
    table = np.array([0.5, 1.5, 2.5, 3.5], dtype=np.float16).reshape(1, 1, 4, 1)
    dense = DECOMPRESSIONS["constexpr_lut_to_dense"](indices=np.array([[3, 0], [1, 2]]), lut=table)
    assert dense.tolist() == [[3.5, 0.5], [1.5, 2.5]]
    with pytest.raises(ValueError, match="several tables"):
        DECOMPRESSIONS["constexpr_lut_to_dense"](indices=np.zeros((2, 2)), lut=table.repeat(2, 0))


def test_the_program_runs_on_numpy_and_on_torch_alike(program: Program, checkpoint: Checkpoint) -> None:
    inputs = make_inputs(checkpoint.model, 9, seed=2)
    logits = program.predict(*inputs)
    assert logits.shape == (1, 9, 5)
    assert logits.dtype == torch.float32
    again = program.predict(*(tensor.numpy() for tensor in inputs))
    assert torch.equal(logits, again)


def test_each_result_is_in_its_declared_type_and_without_rounding_it_is_not(
    program: Program, checkpoint: Checkpoint
) -> None:
    inputs = make_inputs(checkpoint.model, 9, seed=2)

    def finer_than_declared(*, rounded: bool) -> set[str]:
        return {
            step.kind
            for step, result in program.steps(inputs, rounded=rounded)
            if step.declared == "FLOAT16" and not torch.equal(result, result.half().float())
        }

    assert finer_than_declared(rounded=True) == set()
    assert {"linear", "softmax", "layer_norm", "gelu", "matmul"} <= finer_than_declared(rounded=False)


def test_a_value_lives_until_its_last_use_and_no_longer(program: Program) -> None:
    used: dict[str, int] = {}
    for number, step in enumerate(program.operations):
        for names in step.inputs.values():
            used |= dict.fromkeys([names] if isinstance(names, str) else names, number)
    freed = {name: number for number, step in enumerate(program.operations) for name in step.dying}
    expected = {name: number for name, number in used.items() if name not in program.constants}
    assert freed == expected
    assert program.output not in freed


def test_an_index_out_of_range_names_the_operation(program: Program, checkpoint: Checkpoint) -> None:
    ids, mask, types, boxes = make_inputs(checkpoint.model, 4, seed=2)
    with pytest.raises(BundleError, match=r"inputs_embeds_cast_fp16 \(gather\) cannot be evaluated"):
        program.predict(ids + 1000, mask, types, boxes)


def make_package(folder: Path, build: Callable[[Any], Any]) -> Path:
    mb = ct.converters.mil.Builder

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4))], opset_version=ct.target.iOS16)  # type: ignore[untyped-decorator]
    def main(x: Any) -> Any:
        return build(mb)(x)

    with quiet():
        model = ct.convert(
            main, minimum_deployment_target=ct.target.iOS16, skip_model_load=True, convert_to="mlprogram"
        )
    package = folder / PACKAGE
    model.save(str(package))
    return package


def test_an_operation_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    package = make_package(tmp_path, lambda mb: lambda x: mb.erf(x=x, name="wave"))
    with pytest.raises(BundleError, match=r"wave\S* \(erf\) is not known to the evaluator \(no erf\)"):
        load_program(package)


def test_an_operation_of_several_results_is_refused_by_name(tmp_path: Path) -> None:
    package = make_package(
        tmp_path, lambda mb: lambda x: mb.split(x=x, num_splits=2, axis=1, name="parts")[0]
    )
    with pytest.raises(BundleError, match=r"parts\S* \(split\) has several outputs"):
        load_program(package)


def test_an_input_of_an_operation_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    package = make_package(
        tmp_path,
        lambda mb: (
            lambda x: mb.slice_by_index(x=x, begin=[0, 0], end=[1, 4], stride=[1, 2], name="every_other")
        ),
    )
    with pytest.raises(BundleError, match=r"every_other\S* \(slice_by_index\).*'stride'"):
        load_program(package)


def test_a_package_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read back"):
        load_program(tmp_path / PACKAGE)


def test_elsewhere_than_on_a_mac_coreml_is_refused(
    bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receipt_layoutlm.coreml.evaluator.mac.sys.platform", "linux")
    with pytest.raises(ConfigurationError, match="only on macOS"):
        load_on_mac(bundle_of("float16") / PACKAGE)


def test_on_a_mac_coreml_is_asked_in_the_evaluators_words(
    tmp_path: Path, checkpoint: Checkpoint, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CoreML itself is stood in for by the evaluator: what is tested is the interface."""
    asked: list[tuple[str, Any]] = []

    class Model:
        def __init__(self, path: str, compute_units: Any) -> None:
            asked.append((path, compute_units))

        def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
            assert {value.dtype for value in inputs.values()} == {np.dtype(np.int32)}
            return {"logits": program.predict(**inputs).numpy()}

    monkeypatch.setattr("receipt_layoutlm.coreml.evaluator.mac.sys.platform", "darwin")
    monkeypatch.setattr("receipt_layoutlm.coreml.evaluator.mac.ct.models.MLModel", Model)
    inputs = make_inputs(checkpoint.model, 5, seed=1)
    logits = load_on_mac(tmp_path / PACKAGE, "CPU_AND_NE").predict(*inputs)
    assert asked == [(str(tmp_path / PACKAGE), ct.ComputeUnit.CPU_AND_NE)]
    assert torch.equal(logits, program.predict(*inputs))


def test_a_damaged_package_is_refused(bundle_of: BundleOf, tmp_path: Path) -> None:
    package = Path(shutil.copytree(bundle_of("float16") / PACKAGE, tmp_path / PACKAGE))
    (package / "Manifest.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read back"):
        load_program(package)
