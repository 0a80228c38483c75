"""The ladder of `bench train`: each rung trains the same model, and the command shows how they stand."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from layoutlm_cli.main import app
from receipt_layoutlm.training.benchmark import ladder
from receipt_layoutlm.training.benchmark.ladder import (
    RUNGS,
    Measured,
    RungTask,
    climb,
    compare,
    measure_apart,
)
from receipt_layoutlm.training.benchmark.rung import measure
from receipt_layoutlm.training.scratch import SIZES, build_model
from receipt_layoutlm.training.speed.throughput import model_flops, peak_flops
from run_records.errors import ConfigurationError
from tests.support.commands import run_here

TINY = RungTask(rung="ours", model="scratch:tiny", windows=2, steps=2, parity_steps=3)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


def result(rung: str, speed: float, *losses: float, padding: float = 0.0) -> Measured:
    return Measured(
        rung=rung,
        arithmetic="bf16",
        device="2 threads",
        tokens_per_second=speed,
        tokens_per_cpu_second=speed / 2,
        padding=padding,
        utilisation=0.5,
        peak_flops=1e12,
        memory_bytes=3_000_000_000,
        losses=losses,
    )


def test_rungs_train_the_same_model_and_the_last_one_pads_little() -> None:
    found = {name: [measure(TINY.model_copy(update={"rung": name}))] for name in ("naive", "ours")}
    standings = compare(found)
    assert found["naive"][0].padding > 0.3
    assert found["ours"][0].padding < 0.1
    assert all(one.measured[0].tokens_per_second > 0 for one in standings.values())
    assert all(0 < one.measured[0].utilisation < 1 for one in standings.values())
    assert len(found["ours"][0].losses) == 3
    assert standings["ours"].loss_gap < 0.01


def test_rungs_are_measured_in_turn_and_losses_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RungTask] = []

    def measured(task: RungTask) -> Measured:
        asked.append(task)
        return result(task.rung, 100.0 * len(asked), *[2.0] * task.parity_steps)

    monkeypatch.setattr(ladder, "measure_apart", measured)
    standings = climb(TINY.model_copy(update={"steps": 8}), rounds=2)
    assert [task.rung for task in asked] == [*RUNGS, *RUNGS]
    assert [task.steps for task in asked[:4]] == [2, 8, 8, 8]
    assert [task.parity_steps for task in asked] == [3] * 4 + [0] * 4
    assert standings["naive"].tokens_per_second == 300
    assert standings["ours"].times == 2


def test_a_loss_gap_is_the_largest_of_any_step() -> None:
    found = {"naive": [result("naive", 100, 4.0, 2.0)], "ours": [result("ours", 1700, 4.04, 1.9)]}
    assert compare(found)["ours"].loss_gap == pytest.approx(0.05)
    assert compare(found)["ours"].times == 17


def test_a_rung_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, stdout="", stderr="Traceback\nMemoryError: no room\n")

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(ConfigurationError, match="rung ours could not be measured: MemoryError: no room"):
        measure_apart(TINY)


def test_operations_of_a_model_leave_out_embeddings_and_count_attention() -> None:
    model = build_model(SIZES["tiny"], 2000, 0, num_labels=5)
    dense = sum(
        parameter.numel() for name, parameter in model.named_parameters() if "_embeddings." not in name
    )
    assert model_flops(model, [10, 30]) == 6 * dense * 40 + 12 * 2 * 128 * (10**2 + 30**2)
    assert 1e9 < peak_flops(torch.device("cpu"), torch.float32) < 1e15


def test_the_command_prints_the_ladder_as_table_and_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"naive": [result("naive", 100, 4.0, padding=0.6)], "ours": [result("ours", 1750, 4.02)]}
    monkeypatch.setattr(ladder, "climb", lambda *_: compare(found))
    table = CliRunner().invoke(app, ["bench", "train"]).output
    assert "17.5" in table
    assert "0.50% off" in table
    assert "60.0%" in table
    said = json.loads(CliRunner().invoke(app, ["bench", "train", "--json"]).output)
    assert said["ours"]["times"] == 17.5
    assert said["naive"]["rounds"][0]["padding"] == 0.6


def test_data_that_is_not_there_is_refused() -> None:
    done = run_here("bench", "train", "--data", "nowhere.jsonl", environ={})
    assert done.code == 65
    assert "nowhere.jsonl cannot be read" in done.stderr
