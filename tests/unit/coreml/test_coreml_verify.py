from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from messages.export_options import RANGE, Quantize, Shapes, parse_shapes
from receipt_layoutlm.checkpoint import RunFacts
from receipt_layoutlm.coreml.build import ExportSteps
from receipt_layoutlm.coreml.bundle import PACKAGE
from receipt_layoutlm.coreml.convert import PackageMetadata, convert, export_graph, to_program
from receipt_layoutlm.coreml.coremltools_import import ct, quiet
from receipt_layoutlm.coreml.evaluator import Operation, Program, load_program
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint, load_checkpoint
from receipt_layoutlm.coreml.verify import Gate, Number, Verification, verify_package
from receipt_layoutlm.coreml.verify.arithmetic import Extremes, check_arithmetic, check_headroom
from receipt_layoutlm.coreml.verify.sample_inputs import draw_cases, with_other_padding
from receipt_layoutlm.coreml.verify.weights import match_parameters, relative_error
from receipt_layoutlm.errors import BundleError
from run_records.job_process.child_main import Reporter, Stopped, StopRequested

BundleOf = Callable[[Quantize], Path]
PackageOf = Callable[[Quantize, str], Path]
VerificationOf = Callable[[Quantize, str], Verification]
FORMATS: list[Quantize] = [None, "float16", "int8", "int4"]
FIXED, ENUM = "fixed:128", "enum:64,128,256,512"
NAMES = ["static", "structure", "weights", "arithmetic", "quality", "headroom"]
LABELS = ("O", "B-DATE", "I-DATE", "B-TAX", "I-TAX")


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Checkpoint:
    """As a run of this package would have left it."""
    run = RunFacts(
        job_id="e1c8f8a2-5b7a-4d43-8a55-0f4b5d6a7c11",
        job_name="a-run",
        label_list=LABELS,
        label_merges={},
        max_seq_length=512,
        window_size=40,
        window_stride=30,
        precision="float32",
        step=10,
        epoch=1.0,
    )
    return dataclasses.replace(load_checkpoint(trained), run=run)


@pytest.fixture(scope="module")
def package_of(
    checkpoint: Checkpoint, bundle_of: BundleOf, tmp_path_factory: pytest.TempPathFactory
) -> PackageOf:
    """The checkpoint's package in a format and in shapes, converted when first asked for."""
    folder = tmp_path_factory.mktemp("packages")

    def convert_once(quantize: Quantize, shapes: str) -> Path:
        if shapes == "range":
            return bundle_of(quantize) / PACKAGE
        package = folder / f"{quantize}-{shapes.partition(':')[0]}.mlpackage"
        if not package.exists():
            metadata = PackageMetadata("file:///x", "run")
            convert(checkpoint.model, quantize, metadata, parse_shapes(shapes)).save(str(package))
        return package

    return convert_once


@pytest.fixture(scope="module")
def program(package_of: PackageOf) -> Program:
    return load_program(package_of("float16", "range"))


def verify(package: Path, checkpoint: Checkpoint, quantize: Quantize, shapes: Shapes = RANGE) -> Verification:
    return verify_package(package, checkpoint, quantize=quantize, shapes=shapes, trained=True)


@pytest.fixture(scope="module")
def verification_of(package_of: PackageOf, checkpoint: Checkpoint) -> VerificationOf:
    """What the gates say about a package, asked once."""

    @functools.cache
    def verify_once(quantize: Quantize, shapes: str) -> Verification:
        return verify(package_of(quantize, shapes), checkpoint, quantize, parse_shapes(shapes))

    return verify_once


def number_of(verification: Verification, gate: str, name: str) -> Number:
    numbers = [one for each in verification.gates if each.name == gate for one in each.numbers]
    return next(number for number in numbers if number.name == name)


@pytest.mark.parametrize("shapes", ["range", FIXED, ENUM])
@pytest.mark.parametrize("quantize", FORMATS)
def test_a_right_package_passes_every_gate(
    verification_of: VerificationOf, quantize: Quantize, shapes: str
) -> None:
    verification = verification_of(quantize, shapes)
    assert [gate.name for gate in verification.gates] == NAMES
    assert [gate.passed for gate in verification.gates] == [True, True, True, True, None, True]
    assert verification.warnings == ()
    assert number_of(verification, "structure", "difference of logits").value < 1e-5
    assert number_of(verification, "weights", "parameters").value == 43
    assert number_of(verification, "arithmetic", "change by other padding").value == 0


def test_the_numbers_follow_the_format(verification_of: VerificationOf) -> None:
    name = "relative L2 error of a parameter"
    found = {one: verification_of(one, "range") for one in FORMATS}
    errors = [number_of(found[one], "weights", name).value for one in FORMATS]
    assert errors[0] == 0
    assert 1e-4 < errors[1] < 1e-3 < errors[2] < 1.5e-2 < errors[3] < 0.15
    assert number_of(found[None], "arithmetic", "difference of logits").at_most == 1e-4
    rounded = number_of(found["float16"], "arithmetic", "difference of logits")
    assert 1e-4 < rounded.value < 0.01 < (rounded.at_most or 0)
    assert number_of(found["float16"], "arithmetic", "PSNR in dB").value > 60


def test_a_graph_recorded_by_torch_export_passes_too(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with quiet():
        converted = to_program(export_graph(checkpoint.model).source, ct.precision.FLOAT16)
    converted.user_defined_metadata["labels"] = '["O", "B-DATE", "I-DATE", "B-TAX", "I-TAX"]'
    converted.save(str(tmp_path / PACKAGE))
    verification = verify(tmp_path / PACKAGE, checkpoint, "float16")
    assert number_of(verification, "structure", "difference of logits").value < 1e-5


def test_the_same_package_gives_the_same_record_and_it_reads_back(
    package_of: PackageOf, checkpoint: Checkpoint
) -> None:
    first, second = (
        verify(package_of("float16", FIXED), checkpoint, "float16", parse_shapes(FIXED)) for _ in "12"
    )
    assert first.model_dump_json() == second.model_dump_json()
    assert Verification.model_validate_json(first.model_dump_json()) == first


def test_each_gate_is_told_before_it_begins(package_of: PackageOf, checkpoint: Checkpoint) -> None:
    told: list[str] = []
    verify_package(
        package_of("float16", FIXED),
        checkpoint,
        quantize="float16",
        shapes=parse_shapes(FIXED),
        trained=True,
        on_gate=told.append,
    )
    assert sorted(told) == sorted(NAMES)


@pytest.mark.parametrize(
    ("given", "asked"),
    [("range", FIXED), (FIXED, "range"), (FIXED, "fixed:64"), ("range", ENUM), (ENUM, "range")],
)
def test_other_shapes_than_asked_are_refused(
    package_of: PackageOf, checkpoint: Checkpoint, given: str, asked: str
) -> None:
    with pytest.raises(BundleError, match=r"The gate static refuses the package: The (inputs|package is)"):
        verify(package_of("float16", given), checkpoint, "float16", parse_shapes(asked))


def test_the_inputs_are_those_that_the_shapes_allow(checkpoint: Checkpoint) -> None:
    def lengths(shapes: str) -> list[tuple[int, int]]:
        cases = draw_cases(checkpoint.model, parse_shapes(shapes))
        return [(case.inputs[0].shape[1], case.real) for case in cases]

    assert lengths("range") == [(1, 1), (7, 7), (7, 5), (128, 128), (128, 86), (512, 512), (512, 342), (7, 7)]
    assert lengths(ENUM) == [(128, 128), (128, 86), (512, 512), (512, 342), (128, 128)]
    assert lengths("fixed:100") == [(100, 100), (100, 67), (100, 100)]


def test_other_padding_is_other_in_all_but_the_mask_and_the_tokens(checkpoint: Checkpoint) -> None:
    case = next(case for case in draw_cases(checkpoint.model, RANGE) if case.is_padded)
    for name, before, after in zip("imtb", case.inputs, with_other_padding(case), strict=True):
        assert torch.equal(before[:, : case.real], after[:, : case.real])
        assert torch.equal(before, after) is (name == "m")


def test_equal_constants_and_folded_tables_are_found_by_their_content(
    package_of: PackageOf, checkpoint: Checkpoint, program: Program
) -> None:
    found = {match.parameter: match for match in match_parameters(program, checkpoint.model)}
    shared = "encoder.layer.{}.intermediate.dense.bias"
    assert found[shared.format(1)].constant == found[shared.format(0)].constant
    folded = match_parameters(load_program(package_of("float16", FIXED)), checkpoint.model)
    position = next(match for match in folded if match.parameter == "embeddings.position_embeddings.weight")
    assert position.value.shape == (128, 64)
    assert position.error < 1e-3


def test_numbers_too_small_for_float16_are_no_error_of_a_weight() -> None:
    bias = torch.full((64,), 3e-7)
    assert relative_error(bias.half().float(), bias) < 1e-3
    assert relative_error(torch.zeros(64), torch.full((64,), 1e-3)) == pytest.approx(1)


class Disturbed:
    """A program some of whose results are off."""

    def __init__(self, program: Program, off: Callable[[Operation, torch.Tensor], torch.Tensor]) -> None:
        self.output = program.output
        self._program = program
        self._off = off

    def steps(self, inputs: Any, *, rounded: bool = True) -> Iterator[tuple[Operation, torch.Tensor]]:
        for step, result in self._program.steps(inputs, rounded=rounded):
            yield step, self._off(step, result) if rounded else result


def ask_arithmetic(program: Any, checkpoint: Checkpoint) -> Gate:
    cases = [case for case in draw_cases(checkpoint.model, RANGE) if case.inputs[0].shape[1] == 7]
    wanted = [case.reference(checkpoint.model) for case in cases]
    return check_arithmetic(program, cases, wanted, "float16", Extremes())


def test_logits_that_are_far_off_are_refused_with_the_operation_that_rounds_worst(
    program: Program, checkpoint: Checkpoint
) -> None:
    def off(step: Operation, result: torch.Tensor) -> torch.Tensor:
        return result + 0.5 if step.name == "linear_4_cast_fp16" or step.output == "logits" else result

    assert ask_arithmetic(program, checkpoint).passed
    with pytest.raises(
        BundleError, match=r"difference of logits is 0\.5\d* at linear_4_cast_fp16 \(linear\), 7 tokens"
    ):
        ask_arithmetic(Disturbed(program, off), checkpoint)


def test_logits_that_are_all_a_little_off_are_refused_for_their_noise(
    program: Program, checkpoint: Checkpoint
) -> None:
    def off(step: Operation, result: torch.Tensor) -> torch.Tensor:
        return result + 0.009 if step.output == "logits" else result

    with pytest.raises(BundleError, match=r"PSNR in dB is 5\d\.?\d* at 7 tokens, allowed is at least 55"):
        ask_arithmetic(Disturbed(program, off), checkpoint)


@pytest.fixture(scope="module")
def wide_heads(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Checkpoint:
    """Four heads of 16 become two of 32, whose scale, 1/sqrt(32), float16 cannot hold exactly."""
    opened = load_checkpoint(trained)
    config = opened.config.model_copy(update={"num_attention_heads": 2})
    model = type(opened.model)(config.for_transformers(0)).eval()
    model.load_state_dict(opened.model.state_dict())
    return dataclasses.replace(opened, model=model, config=config)


def test_a_scale_that_float16_must_round_is_no_other_graph(wide_heads: Checkpoint, tmp_path: Path) -> None:
    shapes = parse_shapes("fixed:24")
    convert(wide_heads.model, "float16", PackageMetadata("x", "run"), shapes).save(str(tmp_path / PACKAGE))
    verification = verify(tmp_path / PACKAGE, wide_heads, "float16", shapes)
    assert number_of(verification, "structure", "difference of logits").value < 1e-5


def enlarge(trained: Path, magnitude: float) -> Checkpoint:
    """A checkpoint whose second feed-forward layer works with numbers about that large."""
    opened = load_checkpoint(trained)
    opened.model.layoutlm.encoder.layer[1].intermediate.dense.bias.data[3] = magnitude
    return opened


@pytest.mark.parametrize(("magnitude", "refused"), [(5000.0, False), (20_000.0, True)])
def test_large_activations_are_warned_of_and_larger_ones_refused(
    trained: Path, tmp_path: Path, magnitude: float, refused: bool
) -> None:
    large = enlarge(trained, magnitude)
    shapes = parse_shapes("fixed:24")
    convert(large.model, "float16", PackageMetadata("x", "run"), shapes).save(str(tmp_path / PACKAGE))
    if refused:
        with pytest.raises(BundleError, match=r"gate headroom refuses.*\(linear\), .* at most 16384"):
            verify(tmp_path / PACKAGE, large, "float16", shapes)
        return
    headroom = verify(tmp_path / PACKAGE, large, "float16", shapes).gates[-1]
    assert (headroom.passed, headroom.warned) == (True, True)
    assert "linear_10_cast_fp16 (linear)" in (headroom.where or "")


def test_float32_has_room_for_everything() -> None:
    extremes = Extremes()
    step = Operation("big", "mul", {}, "big", "FLOAT32")
    assert extremes.see(step, torch.tensor([-1e6, 3.0]), "a case", counts=True) == 1e6
    gate = check_headroom(extremes, None)
    assert (gate.passed, gate.warned, gate.where) == (True, False, "big (mul), a case")
    with pytest.raises(BundleError, match=r"largest activation is 1e\+06 at big \(mul\), a case"):
        check_headroom(extremes, "float16")


def test_the_masks_own_number_is_no_activation(program: Program, checkpoint: Checkpoint) -> None:
    extremes = Extremes()
    for case in draw_cases(checkpoint.model, RANGE):
        for step, result in program.steps(case.inputs):
            if result.is_floating_point():
                extremes.see(step, result, case.name, counts=not case.is_padded)
    assert 1 < extremes.largest < 1000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2.0])
def test_a_number_that_is_no_number_is_never_within_a_limit(value: float) -> None:
    assert not Number(name="x", value=value, at_most=1.0).holds
    assert not Number(name="x", value=-value, at_least=1.0).holds
    assert Number(name="x", value=1.0, at_most=1.0, at_least=1.0).holds


def test_a_stop_is_heard_between_the_gates(package_of: PackageOf, checkpoint: Checkpoint) -> None:
    stop = StopRequested()
    stages = ExportSteps(Reporter(None), stop)
    told: list[str] = []

    def stop_at_weights(gate: str) -> None:
        told.append(gate)
        if gate == "weights":
            stop._event.set()  # noqa: SLF001 - what the signal does
        stages.part("checking", gate)

    with pytest.raises(Stopped):
        verify_package(
            package_of("float16", "range"),
            checkpoint,
            quantize="float16",
            shapes=RANGE,
            trained=True,
            on_gate=stop_at_weights,
        )
    assert told == ["static", "weights"]
