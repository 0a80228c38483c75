"""Batches that fit into memory without changing what an optimisation step sees."""

from __future__ import annotations

from collections.abc import Iterator

from receipt_layoutlm.analysis.advice.proposal import Change
from receipt_layoutlm.analysis.advice.situation import Situation

_FULL = 0.9
"""Share of the memory above which the next longer receipt may not fit."""
# As the trainer's own choice of a batch leaves free.
_ROOM = 0.8
_OUT_OF_MEMORY = "memory"
_MOST_WINDOWS = 64
_TIMES = (8, 4, 2)


def propose_batch(situation: Situation) -> Iterator[Change]:
    """Fewer windows a batch where memory is short; more where batches are accumulated in spite of room.

    What a run took is scaled in proportion to its windows: weights do not grow with them, so that this is too
    much rather than too little.
    """
    options = situation.options
    if situation.run is None or options.batch_size == "auto" or options.batch_tokens:
        return
    failed = [one for one in situation.run.failures if one.error_class == _OUT_OF_MEMORY]
    if failed:
        reason = f"Attempt {failed[-1].attempt} ran out of memory with {options.batch_size} windows."
        yield situation.change("batch_size", "auto", reason, "this run")
        return
    share = _share_of_memory(situation)
    if share is None:
        return
    windows, batches = options.batch_size, options.gradient_accumulation_steps
    if share > _FULL and windows > 1:
        reason = f"The run took {share:.0%} of the memory; a step sees as many windows as before."
        yield situation.change("batch_size", windows // 2, reason, "this run")
        yield situation.change("gradient_accumulation_steps", batches * 2, reason, "this run")
        return
    for times in _TIMES:
        if batches % times == 0 and share * times <= _ROOM and windows * times <= _MOST_WINDOWS:
            reason = f"The run took {share:.0%} of the memory; a step sees as many windows, in less time."
            yield situation.change("batch_size", windows * times, reason, "this run")
            yield situation.change("gradient_accumulation_steps", batches // times, reason, "this run")
            return


def _share_of_memory(situation: Situation) -> float | None:
    """Peak of the run's memory over that of the machine for the next one."""
    machine, run = situation.machine, situation.run
    if machine is None or not machine.capacity or run is None:
        return None
    name = "gpu_memory_used" if machine.device == "cuda" else "memory_used"
    peak = max((getattr(one, name) or 0 for one in run.epochs), default=0) or getattr(run.run, name) or 0
    return peak / machine.capacity if peak else None
