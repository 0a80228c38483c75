from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from receipt_layoutlm.coreml.model import (
    PARITY_TOLERANCE,
    ExportableLayoutLM,
    check_parity,
    clamp_boxes,
    make_inputs,
    trace_model,
)
from receipt_layoutlm.coreml.source_checkpoint import load_checkpoint
from receipt_layoutlm.errors import BundleError


@pytest.fixture(scope="module")
def model(trained: Path) -> torch.nn.Module:
    loaded: torch.nn.Module = load_checkpoint(trained).model
    return loaded


def test_the_traced_graph_gives_the_checkpoints_logits_at_every_length(model: torch.nn.Module) -> None:
    assert check_parity(trace_model(model), model) <= PARITY_TOLERANCE


def test_what_stands_in_the_padding_changes_nothing(model: torch.nn.Module) -> None:
    ids, mask, types, boxes = make_inputs(model, 30, seed=1)
    exportable = ExportableLayoutLM(model).eval()
    with torch.no_grad():
        before = exportable(ids, mask, types, boxes)
        after = exportable(torch.where(mask == 0, 9, ids), mask, types, boxes)
        alone = exportable(ids[:, :20], mask[:, :20], types[:, :20], boxes[:, :20])
    torch.testing.assert_close(before[:, :20], after[:, :20], rtol=0, atol=0)
    torch.testing.assert_close(before[:, :20], alone, rtol=0, atol=1e-5)


def test_the_inputs_of_the_comparison_hold_padding_and_ordered_boxes(model: torch.nn.Module) -> None:
    ids, mask, types, boxes = make_inputs(model, 128, seed=3)
    assert mask.sum() == 128 - 128 // 3
    assert {tensor.dtype for tensor in (ids, mask, types, boxes)} == {torch.int32}
    assert boxes.shape == (1, 128, 4)
    assert torch.equal(clamp_boxes(boxes), boxes)
    assert not boxes[:, mask[0] == 0].any()


def test_boxes_are_brought_into_range_and_order() -> None:
    boxes = torch.tensor([[[-5, 20, 2000, 10], [700, 0, 300, 1001], [1, 2, 3, 4]]], dtype=torch.int32)
    assert clamp_boxes(boxes).tolist() == [[[0, 20, 1000, 20], [700, 0, 700, 1000], [1, 2, 3, 4]]]


def test_boxes_out_of_range_give_the_logits_of_the_boxes_at_the_edge(model: torch.nn.Module) -> None:
    ids, mask, types, boxes = make_inputs(model, 4, seed=5)
    wild = boxes.clone()
    wild[0, 0] = torch.tensor([-100, 50, 5000, 20])
    tame = boxes.clone()
    tame[0, 0] = torch.tensor([0, 50, 1000, 50])
    graph = trace_model(model)
    with torch.no_grad():
        assert torch.equal(graph(ids, mask, types, wild), graph(ids, mask, types, tame))


@pytest.mark.parametrize("wrong", [0.01, float("nan")])
def test_another_result_is_refused_with_the_numbers(model: torch.nn.Module, wrong: float) -> None:
    exportable = ExportableLayoutLM(model).eval()

    def candidate(ids: Tensor, mask: Tensor, types: Tensor, boxes: Tensor) -> Tensor:
        logits: Tensor = exportable(ids, mask, types, boxes)
        return logits + wrong if ids.shape[1] == 128 else logits

    with pytest.raises(BundleError, match=rf"({wrong:.2e}) at 128 tokens.*allowed are 1e-04"):
        check_parity(candidate, model)


def test_logits_of_another_shape_are_refused(model: torch.nn.Module) -> None:
    with pytest.raises(BundleError, match="inf at 1 tokens"):
        check_parity(lambda ids, *_: torch.zeros(1, ids.shape[1], 2), model)
