"""Tables of settings, data, machine and cost."""

from __future__ import annotations

from typing import Any

from messages.hyperparameters import Hyperparameters
from run_analysis.report.formatting import NOT_KNOWN, anything, dollars, number, score, seconds, size
from run_analysis.report.tables import Table
from run_analysis.run import RunDetail

_LABELS_TRAIN, _LABELS_VAL = "labels_train", "labels_val"
_NO_NUMBERS = 9
"""No column stands to the right: the values are of any kind."""


def changed_settings(detail: RunDetail) -> Table:
    """The settings that are not the default."""
    defaults = _defaults()
    rows = tuple(
        (name, anything(value), anything(defaults[name]))
        for name, value in sorted(detail.config.items())
        if name in defaults and value != defaults[name]
    )
    return Table("Settings that are not the default", ("setting", "this run", "default"), rows, _NO_NUMBERS)


def other_settings(detail: RunDetail) -> Table:
    """The settings that are the default, and what was worked out from others."""
    defaults = _defaults()
    rows = tuple(
        (name, anything(value))
        for name, value in sorted(detail.config.items())
        if name not in defaults or value == defaults[name]
    )
    return Table("All other settings", ("setting", "value"), rows, _NO_NUMBERS)


def data_table(detail: RunDetail) -> Table:
    """The table of data: source and number of receipts, and the scores that are comparable."""
    run = detail.run
    plain = {name: value for name, value in detail.dataset_counts.items() if not isinstance(value, dict)}
    rows = [
        *((name.replace("_", " "), anything(value)) for name, value in plain.items()),
        *((name.replace("_", " "), anything(value)) for name, value in detail.data_config.items()),
        ("validation split", anything(run.val_split_source)),
        ("validation receipts hash", anything(run.val_receipts_hash)),
        ("validation list", anything(run.val_keys_s3)),
        ("comparable", comparability(detail)),
        *((f"learned as {target}", ", ".join(names)) for target, names in detail.label_merges.items()),
    ]
    return Table("Data set", ("what", "value"), _known(rows), _NO_NUMBERS)


def label_counts(detail: RunDetail) -> Table:
    """Labelled words on both sides of the split."""
    train, held_out = (_counts(detail, name) for name in (_LABELS_TRAIN, _LABELS_VAL))
    rows = tuple(
        (name, anything(train.get(name, 0)), anything(held_out.get(name, 0)))
        for name in sorted(train | held_out, key=lambda name: (-train.get(name, 0), name))
    )
    return Table("Labelled words", ("label", "training", "validation"), rows)


def cost_table(detail: RunDetail) -> Table:
    """The table of costs: time, operations, money and machine."""
    run = detail.run
    rows = [
        ("training, all attempts", seconds(train_runtime(detail))),
        ("attempts", number(detail.attempts)),
        ("epochs trained", number(run.epochs_trained)),
        ("stopped early", anything(run.early_stopping_triggered)),
        ("windows per second, mean", number(run.samples_per_second)),
        ("floating point operations", number(run.total_flos)),
        *((name.replace("_", " "), _machine(name, value)) for name, value in detail.machine.items()),
        ("cost of the machine", dollars(run.cost_usd)),
        ("best checkpoint", anything(run.best_checkpoint_s3_path)),
        ("CoreML bundle", anything(run.coreml_bundle_s3_uri)),
    ]
    return Table("Time and cost", ("what", "value"), _known(rows), _NO_NUMBERS)


def headline(detail: RunDetail) -> tuple[tuple[str, str, str], ...]:
    """The figures that a reader looks for first: name, value, and what to know of it."""
    run = detail.run
    f1, epoch, bounds, constrained = (
        run.best_f1,
        run.best_epoch,
        run.best_f1_interval,
        run.best_f1_constrained,
    )  # what the ended run says; of one that goes on, what its best evaluation says
    if (best := detail.best) is not None and f1 is None:
        f1, epoch, bounds, constrained = (
            best.eval_f1,
            best.epoch,
            best.eval_f1_interval,
            best.eval_f1_constrained,
        )
    receipts = NOT_KNOWN if detail.num_val_receipts is None else f"on {detail.num_val_receipts:,} receipts"
    return (
        ("best F1", score(f1), f"95 %: {bounds.low:.3f} to {bounds.high:.3f}" if bounds else receipts),
        ("F1, BIO allowed", score(constrained), "best sequence of tags"),
        ("best epoch", number(epoch), f"of {len(detail.epochs)} evaluations, by {detail.metric}"),
        ("training", seconds(train_runtime(detail)), _attempts(detail)),
        ("cost", dollars(run.cost_usd), "of the machine"),
    )


def comparability(detail: RunDetail) -> str:
    """Whether its scores can be held against those of other runs, and why not."""
    comparable = detail.run.metrics_comparable
    if comparable is None:
        return NOT_KNOWN
    answer = "yes" if comparable else "no"
    reason = detail.run.comparability_reason
    return f"{answer}: {reason}" if reason else answer


def _defaults() -> dict[str, Any]:
    return Hyperparameters().model_dump(mode="json")


def _counts(detail: RunDetail, name: str) -> dict[str, int]:
    found = detail.dataset_counts.get(name)
    counts = found if isinstance(found, dict) else {}
    return {str(label): count for label, count in counts.items() if isinstance(count, int)}


def train_runtime(detail: RunDetail) -> float | None:
    """Seconds of training; of a run that has not ended, up to its last evaluation."""
    last = detail.epochs[-1].train_runtime if detail.epochs else None
    return detail.run.train_runtime if detail.run.train_runtime is not None else last


def _attempts(detail: RunDetail) -> str:
    return "in 1 attempt" if detail.attempts == 1 else f"in {number(detail.attempts)} attempts"


def _machine(name: str, value: Any) -> str:
    return size(value) if name.endswith("_bytes") and isinstance(value, int) else anything(value)


def _known(rows: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(row for row in rows if row[1] != NOT_KNOWN)
