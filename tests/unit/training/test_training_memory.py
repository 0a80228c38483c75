"""A run's demand for memory, and the detection of a diverged loss."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.data.examples import Example
from receipt_layoutlm.training.scratch import SIZES, build_model
from receipt_layoutlm.training.speed.batch_memory import (
    BatchPlan,
    Demand,
    free_bytes,
    is_out_of_memory,
    plan_batches,
    try_batches,
)
from receipt_layoutlm.training.speed.loss_watch import LossWatch

GIB = 2**30
NEED = Demand(states=2 * GIB, window=GIB // 4, checkpointed_window=GIB // 32)
TAGS = 45


def plan(free: float, **options: Any) -> BatchPlan:
    return plan_batches(Hyperparameters(**options), NEED, int(free * GIB / 0.8) + 1)


def test_an_automatic_batch_takes_what_memory_holds_and_64_at_most() -> None:
    assert plan(100, batch_size="auto") == BatchPlan(64, 1, checkpointing=False)
    assert plan(7, batch_size="auto") == BatchPlan(16, 1, checkpointing=False)


def test_a_small_memory_accumulates_what_a_step_has_otherwise() -> None:
    assert plan(2.6, batch_size="auto", gradient_accumulation_steps=3) == BatchPlan(
        2, 12, checkpointing=False
    )


def test_a_batch_that_was_asked_for_is_kept_and_recomputes_only_where_memory_is_short() -> None:
    assert plan(5, batch_size=16) == BatchPlan(16, 1, checkpointing=True)
    assert plan(6, batch_size=16) == BatchPlan(16, 1, checkpointing=False)
    assert plan(6, batch_size=16, gradient_checkpointing="on").checkpointing
    assert not plan(5, batch_size=16, gradient_checkpointing="off").checkpointing
    assert plan(4, batch_size="auto", gradient_checkpointing="on") == BatchPlan(64, 1, checkpointing=True)


def test_an_interrupted_run_keeps_its_batch_on_a_machine_with_other_memory() -> None:
    options = Hyperparameters(batch_size="auto")
    assert plan_batches(options, NEED, 100 * GIB, before=4) == BatchPlan(4, 2, checkpointing=False)


@pytest.mark.parametrize(
    ("began_with", "goes_on_with", "parts", "at_once"),
    [(1, 1, 1, 8), (2, 2, 1, 8), (4, 1, 4, 8), (1, 4, 1, 2), (8, 3, 3, 8), (3, 2, 2, 6), (1, 16, 1, 1)],
)
def test_a_run_keeps_its_effective_batch_on_a_host_with_other_gpus(
    began_with: int, goes_on_with: int, parts: int, at_once: int
) -> None:
    options = Hyperparameters(batch_size=8, gradient_accumulation_steps=2)
    began = plan_batches(options, NEED, 100 * GIB, devices=began_with)
    assert (began.windows, began.parts, began.passes) == (8 * began_with, 1, 2)
    after = plan_batches(options, NEED, 100 * GIB, before=began.windows, devices=goes_on_with)
    assert (after.windows, after.accumulation) == (began.windows, began.accumulation)
    assert (after.parts, after.passes) == (parts, 2 * parts)
    assert math.ceil(after.windows / (after.parts * goes_on_with)) == at_once <= 8


def test_an_automatic_batch_goes_on_in_passes_where_the_new_gpu_holds_less() -> None:
    options = Hyperparameters(batch_size="auto")
    assert plan_batches(options, NEED, int(2.6 * GIB / 0.8), before=64) == BatchPlan(
        64, 1, checkpointing=False, parts=32
    )


def test_the_demand_of_base_size_is_near_what_was_measured() -> None:
    class Config:
        hidden_size, num_hidden_layers, num_attention_heads = 768, 12, 12

    class Model:
        config = Config()

        def parameters(self) -> list[torch.Tensor]:
            return [torch.empty(113_000_000, device="meta")]

    need = Demand.of(Model(), 208, 2)
    assert 3e9 < need.bytes(16, checkpointing=False) < 6e9
    assert need.bytes(16, checkpointing=True) < 0.8 * need.bytes(16, checkpointing=False)


def test_memory_is_counted_in_bytes_of_this_machine() -> None:
    assert 2**20 < free_bytes(torch.device("cpu")) < 2**50


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_a_shortage_of_memory_is_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_a_trial_finds_what_fits_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    model = build_model(SIZES["tiny"], 200, 0, num_labels=5)
    forward, device = model.forward, torch.device("cpu")

    def forward_in_little_memory(**batch: torch.Tensor) -> Any:
        if len(batch["input_ids"]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(**batch)

    monkeypatch.setattr(model, "forward", forward_in_little_memory)
    longest = Example(0, 0, [0], [1], [2, 7, 3], [(0, 0, 1, 1)] * 3, [1])
    fits = try_batches(model, longest, 0, device, torch.float32)
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    assert plan_batches(Hyperparameters(batch_size="auto"), NEED, GIB, fits).windows == 4
    assert torch.equal(torch.rand(3), expected)
    assert all(parameter.grad is None for parameter in model.parameters())
    monkeypatch.setattr(model, "forward", None)
    with pytest.raises(TypeError):
        fits(1)


def test_a_loss_that_is_no_number_is_a_fault_at_once() -> None:
    watch = LossWatch(TAGS, warmup_steps=100)
    assert watch.fault(math.nan, 1) == "The loss is nan"
    assert watch.fault(math.inf, 1) == "The loss is inf"


def test_a_loss_that_explodes_is_a_fault_after_the_warm_up() -> None:
    watch = LossWatch(TAGS, warmup_steps=60)
    for step in range(1, 61):
        assert watch.fault(3.0 if step % 2 else 2.0, step) is None
    assert watch.fault(24.0, 61) is None  # not ten times as much
    assert watch.fault(31.0, 60) is None  # within the warm-up
    assert watch.fault(31.0, 62) == "The loss has grown from 3 to 31"


def test_a_hard_batch_late_in_a_training_is_no_explosion() -> None:
    watch = LossWatch(TAGS, warmup_steps=0)
    for step in range(1, 200):
        assert watch.fault(0.01, step) is None
    assert watch.fault(4.0, 200) is None
    assert watch.fault(4.1 * math.log(TAGS), 201) is not None


def test_the_first_batches_have_nothing_to_be_compared_with() -> None:
    watch = LossWatch(TAGS, warmup_steps=0)
    assert [watch.fault(loss, 1) for loss in [0.01] * 49 + [1000.0]] == [None] * 50


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings")
def test_memory_that_is_freed_is_kept_for_the_next_step() -> None:
    program = """
import mmap, resource, sys
from receipt_layoutlm.training.speed.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def touch():
    block = bytearray(50_000_000)
    block[:: mmap.PAGESIZE] = bytes(len(range(0, len(block), mmap.PAGESIZE)))
touch()
before = faults()
for _ in range(5):
    touch()
print(faults() - before)
"""
    given_back, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", program, how], capture_output=True, check=True, text=True
            ).stdout
        )
        for how in ("given back", "kept")
    )
    assert kept < given_back / 10
