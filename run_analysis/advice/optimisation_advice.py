"""Advice on learning rate, loss and length."""

from __future__ import annotations

import math
from collections.abc import Iterator

from run_analysis.advice.proposal import AdviceContext, SettingChange
from run_analysis.findings.divergence import lower_rate, more_warmup
from run_analysis.findings.over_underfitting import AGAINST_OVERFITTING
from run_analysis.findings.run_context import read_options

_BETTER = 0.01
"""A point of F1: less is what the same run with another seed may bring."""
_USUAL_PATIENCE = 5
_AFTER_BEST = 2
_MOST_EPOCHS = 1000
# Each next one takes in more; the last has learned from millions of pages.
_LARGER = ("scratch:tiny", "scratch:small", "scratch:base", "microsoft/layoutlm-base-uncased")


def propose_rate(situation: AdviceContext) -> Iterator[SettingChange]:
    """The learning rate of a better run of the same labels, or one that the run's faults ask for."""
    yield from _of_better_run(situation)
    case = situation.case
    if case is None:
        return
    broke, high, low = (
        situation.finding(kind) for kind in ("divergence", "learning_rate_too_high", "learning_rate_too_low")
    )
    too_high = high or broke
    if too_high:
        yield situation.change("learning_rate", _round(lower_rate(case)), too_high.says, "this run")
    if broke:
        yield situation.change("warmup_ratio", more_warmup(case), broke.says, "this run")
        if situation.options.precision == "fp16":
            reason = "fp16 overflows where bf16 and float32 do not, and the run broke."
            yield situation.change("precision", "auto", reason, "general practice")
    if low:
        yield situation.change("learning_rate", case.usual_rate, low.says, "this run")


def propose_length(situation: AdviceContext) -> Iterator[SettingChange]:
    """Epochs, patience, regularisation and model size."""
    options, run = situation.options, situation.run
    if run is None:
        return
    overfitting, plateau = situation.finding("overfitting"), situation.finding("plateau")
    if overfitting and run.best:
        best = math.ceil(run.best.epoch) + _AFTER_BEST
        if best < options.epochs:
            reason = f"The best evaluation was at epoch {run.best.epoch:g}. {overfitting.says}"
            yield situation.change("epochs", best, reason, "this run")
        yield from _regularise(situation, overfitting.says)
    if plateau and plateau.since_epoch is not None:
        yield situation.change("epochs", math.ceil(plateau.since_epoch) + 3, plateau.says, "this run")
    missed = situation.finding("early_stopping_missed")
    if missed and not options.early_stopping_patience:
        yield situation.change("early_stopping_patience", _USUAL_PATIENCE, missed.says, "this run")
    short = situation.finding("underfitting")
    if short and short.severity == "serious":
        yield from _enlarge(situation, short.says)
    elif short:
        yield situation.change("epochs", min(2 * options.epochs, _MOST_EPOCHS), short.says, "this run")


def propose_loss(situation: AdviceContext) -> Iterator[SettingChange]:
    """Weights of rare tags, and of words that are in no entity."""
    unlearned = [one for one in situation.findings if one.kind == "label_never_learns"]
    rare = next((one for one in unlearned if "class_weights" in one.remedy), None)
    if (reason := rare or situation.finding("under_prediction")) is not None:
        yield situation.change("class_weights", "sqrt", reason.says, "this run")
    over = situation.finding("over_prediction")
    if over:
        yield situation.change("class_weights", "none", over.says, "this run")
        yield situation.change("o_entity_ratio", None, over.says, "this run")


def _of_better_run(situation: AdviceContext) -> Iterator[SettingChange]:
    own = situation.run.run.best_f1 if situation.run else None
    if not situation.comparable or own is None:
        return
    best = situation.comparable[0]
    if (best.best_f1 or 0.0) < own + _BETTER:
        return
    theirs, bounds = read_options(best.config), best.best_f1_interval
    luck = "; so small a difference may be luck" if bounds and bounds.low < own else ""
    for option in ("learning_rate", "warmup_ratio", "epochs"):
        value = getattr(theirs, option)
        scores = f"F1 {best.best_f1:.3f} with {value}, this run {own:.3f}"
        reason = f"{best.name} has {scores}, on the same receipts{luck}."
        yield situation.change(option, value, reason, "earlier runs")


def _regularise(situation: AdviceContext, reason: str) -> Iterator[SettingChange]:
    for option, value in AGAINST_OVERFITTING.items():
        if getattr(situation.options, option) < value:
            yield situation.change(option, value, reason, "this run")
            return


def _enlarge(situation: AdviceContext, reason: str) -> Iterator[SettingChange]:
    model = situation.options.pretrained_model
    if model in _LARGER[:-1]:
        yield situation.change("pretrained_model", _LARGER[_LARGER.index(model) + 1], reason, "this run")
        if model == _LARGER[-2]:
            fine = "Published weights take a learning rate of about 5e-05."
            yield situation.change("learning_rate", 5e-5, fine, "general practice")


def _round(rate: float) -> float:
    return float(f"{rate:.2g}")
