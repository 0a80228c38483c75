"""Plans the batch size of a run from the memory of this machine."""

from __future__ import annotations

import json
import logging

import torch

from receipt_layoutlm.training.config import RunConfig, choose_device
from receipt_layoutlm.training.prepare import Prepared
from receipt_layoutlm.training.run_state import Resumed
from receipt_layoutlm.training.speed.batch_memory import (
    BatchPlan,
    Demand,
    free_bytes,
    plan_batches,
    try_batches,
)

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_TRAINER_STATE = "trainer_state.json"
log = logging.getLogger(__name__)


def plan_batches_of_run(
    config: RunConfig, prepared: Prepared, resumed: Resumed | None, devices: int
) -> BatchPlan:
    """Plan how the batches of a run are computed by so many devices, as this process's machine has them."""
    train, model = prepared.train, prepared.start.model
    dtype, device = DTYPES[config.precision], choose_device()
    longest = max(range(len(train)), key=lambda number: train.lengths[number])
    demand = Demand.of(model, train.lengths[longest], dtype.itemsize)
    pad_token_id = prepared.start.tokenizer.pad_token_id
    plan = plan_batches(
        config.hyperparameters,
        demand,
        free_bytes(device),
        None if device.type == "cpu" else try_batches(model, train[longest], pad_token_id, device, dtype),
        before=_batch_before(resumed),
        devices=devices,
    )
    log.info(
        "batches of %d windows on %d devices in %d passes, %d batches to a step%s",
        plan.windows,
        devices,
        plan.parts,
        plan.accumulation,
        ", with gradient checkpointing" if plan.checkpointing else "",
    )
    return plan


def _batch_before(resumed: Resumed | None) -> int | None:
    """The windows of a batch so far, where this continues a run of its own."""
    if resumed is None or not resumed.own:
        return None
    state = json.loads((resumed.folder / _TRAINER_STATE).read_bytes())
    return int(state["train_batch_size"]) if state.get("train_batch_size") else None
