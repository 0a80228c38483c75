"""Advice on batch size, memory and speed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean

from run_analysis.advice.proposal import AdviceContext, SettingChange
from run_records.epoch_record import EpochFacts

# Epochs to see that it was the best; fewer than a third saved are not worth another schedule.
_AFTER_BEST = 3
_EARLY = 0.7
# Every second of fewer would leave too few evaluations to choose from.
_LEAST_EPOCHS = 8
# Shares of the time below which there is little to gain.
_MUCH_EVALUATION = 0.2
_MUCH_WAITING = 0.1
_LEAST_TOKENS, _MOST_TOKENS, _ROUND_TOKENS = 64, 1_048_576, 256


def propose_speed(situation: AdviceContext) -> Iterator[SettingChange]:
    """The fast path wherever the run was off it, and less of what took much time and brought little."""
    options = situation.options
    if not situation.faster:
        return
    plain = {
        "precision": (
            "float32",
            "auto",
            "auto takes bf16 where the hardware has it, at about twice the speed.",
        ),
        "gradient_checkpointing": (
            "on",
            "auto",
            "It computes activations twice; auto does so only where it must.",
        ),
        "vocabulary_subset": (False, True, "Embeddings of tokens that the data lacks need no training."),
        "attention": ("eager", "auto", "auto takes the kernel that is faster on this hardware."),
    }
    for option, (slow, fast, reason) in plain.items():
        if getattr(options, option) == slow:
            yield situation.change(option, fast, reason, "general practice")
    yield from _fewer_epochs(situation)
    yield from _even_batches(situation)
    yield from _fewer_evaluations(situation)
    yield from _more_workers(situation)


def _fewer_epochs(situation: AdviceContext) -> Iterator[SettingChange]:
    best = situation.run.best if situation.run else None
    if best is None or situation.finding("underfitting"):
        return
    enough = math.ceil(best.epoch) + _AFTER_BEST
    if enough < _EARLY * situation.options.epochs:
        reason = f"The best evaluation came at epoch {best.epoch:g} of {situation.options.epochs}."
        yield situation.change("epochs", enough, reason, "this run")


def _even_batches(situation: AdviceContext) -> Iterator[SettingChange]:
    options = situation.options
    lengths = [
        one.tokens_per_second / one.samples_per_second
        for one in _evaluations(situation)
        if one.tokens_per_second and one.samples_per_second
    ]
    if not lengths or options.batch_tokens or options.packing or options.batch_size == "auto":
        return
    tokens = math.ceil(options.batch_size * fmean(lengths) / _ROUND_TOKENS) * _ROUND_TOKENS
    reason = (
        f"Windows have {fmean(lengths):.0f} tokens on average: batches of equal cost instead of "
        f"{options.batch_size} windows of any length."
    )
    yield situation.change("batch_tokens", min(max(tokens, _LEAST_TOKENS), _MOST_TOKENS), reason, "this run")


def _fewer_evaluations(situation: AdviceContext) -> Iterator[SettingChange]:
    options, case = situation.options, situation.case
    evaluating = sum(one.eval_seconds or 0.0 for one in _evaluations(situation))
    training = sum(one.train_seconds or 0.0 for one in _evaluations(situation))
    if case is None or not case.steps_per_epoch or not training or options.epochs < _LEAST_EPOCHS:
        return
    share = evaluating / (evaluating + training)
    every = 2 * round(case.steps_per_epoch)
    if share > _MUCH_EVALUATION and (options.eval_steps or 0) < every:
        per_epoch = case.steps_per_epoch / (options.eval_steps or case.steps_per_epoch)
        patience = max(2, math.ceil(options.early_stopping_patience / (2 * per_epoch)))
        reason = f"Scoring took {share:.0%} of the time; this is every second epoch."
        yield situation.change("eval_steps", every, reason, "this run")
        if options.early_stopping_patience:
            reason = "Patience counts evaluations, which now come more rarely."
            yield situation.change("early_stopping_patience", patience, reason, "this run")


def _more_workers(situation: AdviceContext) -> Iterator[SettingChange]:
    evaluations = _evaluations(situation)
    waiting = sum(one.data_seconds or 0.0 for one in evaluations)
    training = sum(one.train_seconds or 0.0 for one in evaluations)
    if training and waiting > _MUCH_WAITING * training and not situation.options.dataloader_workers:
        reason = f"The training waited {waiting / training:.0%} of its time for batches."
        yield situation.change("dataloader_workers", 2, reason, "this run")


def _evaluations(situation: AdviceContext) -> tuple[EpochFacts, ...]:
    return situation.run.epochs if situation.run else ()


_FULL = 0.9
"""Share of the memory above which the next longer receipt may not fit."""
# As the trainer's own choice of a batch leaves free.
_ROOM = 0.8
_OUT_OF_MEMORY = "memory"
_MOST_WINDOWS = 64
_TIMES = (8, 4, 2)


def propose_batch(situation: AdviceContext) -> Iterator[SettingChange]:
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


def _share_of_memory(situation: AdviceContext) -> float | None:
    """Peak of the run's memory over that of the machine for the next one."""
    machine, run = situation.machine, situation.run
    if machine is None or not machine.capacity or run is None:
        return None
    name = "gpu_memory_used" if machine.device == "cuda" else "memory_used"
    peak = max((getattr(one, name) or 0 for one in run.epochs), default=0) or getattr(run.run, name) or 0
    return peak / machine.capacity if peak else None
