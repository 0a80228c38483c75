"""The lengths that a model takes: as people write them, and as the package declares and keeps them."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from messages.errors import InvalidMessage
from messages.export_options import RANGE, Quantize, Shapes, parse_shapes
from receipt_layoutlm.coreml import convert as graphs
from receipt_layoutlm.coreml.bundle import PACKAGE, check_bundle
from receipt_layoutlm.coreml.convert import Graph, to_program
from receipt_layoutlm.coreml.coremltools_import import ct, quiet
from receipt_layoutlm.coreml.evaluator import load_program
from receipt_layoutlm.coreml.export import export_local
from receipt_layoutlm.coreml.golden import read_golden
from receipt_layoutlm.coreml.manifest import read_manifest
from receipt_layoutlm.coreml.model import check_parity, make_inputs
from receipt_layoutlm.coreml.source_checkpoint import load_checkpoint

ENUM = "enum:16,64"
FIXED = "fixed:32"


@pytest.mark.parametrize(
    ("text", "kind", "lengths"),
    [
        ("range", "range", (1, 512)),
        ("fixed:128", "fixed", (128,)),
        ("enum:512,64,128,64", "enum", (64, 128, 512)),
        ("enum:64,64", "fixed", (64,)),
    ],
)
def test_shapes_are_read_as_people_write_them(text: str, kind: str, lengths: tuple[int, ...]) -> None:
    shapes = parse_shapes(text)
    assert (shapes.kind, shapes.lengths) == (kind, lengths)
    assert parse_shapes(str(shapes)) == shapes


@pytest.mark.parametrize(
    "text",
    ["", "RANGE", "range\n", "fixed", "fixed:", "fixed:2", "fixed:513", "fixed:1e2", "enum:64", "enum:64,"],
)
def test_other_words_are_refused_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(InvalidMessage, match=r"shapes: must be range, fixed:N or enum:N,N.*such as"):
        parse_shapes(text)


def test_a_length_is_padded_to_the_next_that_the_model_takes() -> None:
    assert [RANGE.fit(length) for length in (1, 70, 512)] == [1, 70, 512]
    some = parse_shapes("enum:64,128")
    assert [some.fit(length) for length in (3, 64, 65, 128)] == [64, 64, 128, 128]
    assert [some.accepts(length) for length in (63, 64, 128)] == [False, True, True]
    assert some.slug == "enum-64-128"


@pytest.fixture(scope="module")
def of_shapes(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("shapes")

    def export_once(text: str) -> Path:
        shapes = parse_shapes(text)
        out = folder / shapes.slug
        return out if out.exists() else export_local(trained, out, shapes=shapes)

    return export_once


def declared(bundle: Path) -> dict[str, Any]:
    spec = ct.utils.load_spec(str(bundle / PACKAGE))
    inputs = {feature.name: feature.type.multiArrayType for feature in spec.description.input}
    return {"version": spec.specificationVersion, **inputs}


def test_a_fixed_length_is_the_only_one_and_needs_no_newer_system(of_shapes: Callable[[str], Path]) -> None:
    found = declared(of_shapes(FIXED))
    assert found["version"] == 7
    assert list(found["input_ids"].shape) == [1, 32]
    assert list(found["bbox"].shape) == [1, 32, 4]
    assert not found["bbox"].HasField("shapeRange")


def test_enumerated_lengths_are_declared_for_each_input_and_need_ios_18(
    of_shapes: Callable[[str], Path],
) -> None:
    found = declared(of_shapes(ENUM))
    assert found["version"] == 9
    for name, rest in (("attention_mask", []), ("bbox", [4])):
        listed = {tuple(one.shape) for one in found[name].enumeratedShapes.shapes}
        assert listed == {(1, 16, *rest), (1, 64, *rest)}
        assert list(found[name].shape) == [1, 64, *rest]  # the default
    manifest = read_manifest(of_shapes(ENUM) / "manifest.json")
    assert (manifest.target.ios, manifest.target.macos, str(manifest.shapes)) == ("18", "15", ENUM)


@pytest.mark.parametrize("text", [FIXED, ENUM])
def test_a_bundle_of_other_lengths_passes_its_check_with_cases_of_those_lengths(
    of_shapes: Callable[[str], Path], text: str
) -> None:
    bundle, shapes = of_shapes(text), parse_shapes(text)
    check_bundle(bundle)
    cases = read_golden(bundle)
    assert {len(case.input_ids) for case in cases} <= set(shapes.lengths)
    assert {case.name: len(case.input_ids) for case in cases}["padded"] == shapes.longest
    program = load_program(bundle / PACKAGE)
    for case in cases:
        expected = case.logits.unpack()
        inputs = (case.input_ids, case.attention_mask, case.token_type_ids, case.bbox)
        found = program.predict(*(np.array([value]) for value in inputs))[0, : len(expected)]
        assert np.abs(found.numpy() - expected).max() <= case.tolerance


@pytest.fixture(scope="module")
def untraced(trained: Path) -> tuple[Any, Graph, str]:
    """A model, its graph as it is recorded where tracing fails, and what was logged."""

    def refuse(_: Any) -> Any:
        raise RuntimeError("tracing is no more")

    model, said = load_checkpoint(trained).model, io.StringIO()
    handler = logging.StreamHandler(said)
    graphs.log.addHandler(handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "trace_model", refuse)
        recorded = graphs.record_graph(model)
    graphs.log.removeHandler(handler)
    return model, recorded, said.getvalue()


def test_a_graph_that_cannot_be_traced_is_exported(untraced: tuple[Any, Graph, str]) -> None:
    model, recorded, said = untraced
    assert "tracing is no more" in said
    assert isinstance(recorded.source, torch.export.ExportedProgram)
    assert check_parity(recorded.run, model) <= 1e-4


def test_both_ways_to_record_the_graph_give_packages_of_the_same_logits(
    untraced: tuple[Any, Graph, str], bundle_of: Callable[[Quantize], Path], tmp_path: Path
) -> None:
    model, recorded, _ = untraced
    with quiet():
        to_program(recorded.source, ct.precision.FLOAT16).save(str(tmp_path / PACKAGE))
    traced, exported = load_program(bundle_of("float16") / PACKAGE), load_program(tmp_path / PACKAGE)
    for length in (1, 7, 128):
        inputs = make_inputs(model, length, seed=length)
        torch.testing.assert_close(
            traced.predict(*inputs, rounded=False),
            exported.predict(*inputs, rounded=False),
            rtol=0,
            atol=1e-5,
        )


def test_shapes_are_one_word_in_a_message_and_one_value_in_a_program() -> None:
    assert str(Shapes("enum", (64, 128))) == "enum:64,128"
    assert Shapes() == RANGE == parse_shapes("range")
