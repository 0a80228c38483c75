"""Initial weights of a model built from scratch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.checkpoint import save_tokenizer
from receipt_layoutlm.training.position_init import FIXED
from receipt_layoutlm.training.pretrained import ModelSource
from receipt_layoutlm.training.scratch import SIZES
from run_records.labels import resolve_labels
from run_records.s3_store import S3Store

_TABLES = ("position", "x_position", "y_position", "w_position", "h_position")


def _load(name: str, work_dir: Path) -> ModelSource:
    return ModelSource(name, resolve_labels(Hyperparameters()), 1, 512, work_dir)


def _trained(model: torch.nn.Module) -> set[str]:
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_the_tables_of_positions_are_fixed_and_stay_so_in_a_loaded_checkpoint(tmp_path: Path) -> None:
    start = _load("scratch:tiny", tmp_path).load({"Milk"}, S3Store([]))
    start.model.save_pretrained(tmp_path / "model")
    save_tokenizer(start.tokenizer, tmp_path / "model")
    loaded = _load(str(tmp_path / "model"), tmp_path).load(set(), S3Store([]))
    assert getattr(loaded.model.config, FIXED) is True
    fixed = {f"layoutlm.embeddings.{table}_embeddings.weight" for table in _TABLES}
    for model in (start.model, loaded.model):
        assert {name for name, _ in model.named_parameters()} - _trained(model) == fixed


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_the_first_heads_look_at_the_tokens_around_and_another_at_the_line(size: str, tmp_path: Path) -> None:
    model = _load(f"scratch:{size}", tmp_path).load({"Milk"}, S3Store([])).model
    model.set_attn_implementation("eager")
    tokens, middle = 40, 20
    rows = torch.arange(tokens) // 10 * 60
    left = torch.arange(tokens) % 10 * 90
    boxes = torch.stack([left, rows, left + 50, rows + 20], dim=-1).unsqueeze(0)
    seen = model.eval()(input_ids=torch.full((1, tokens), 5), bbox=boxes, output_attentions=True).attentions[
        0
    ][0, :, middle]
    assert [int(head.argmax()) - middle for head in seen[:6]] == [-1, 1, -2, 2, -3, 3]
    assert seen[6][rows == rows[middle]].sum() > 0.5
    assert SIZES[size].heads == seen.shape[0]
