"""The documents of the helper scripts and of `agent-context`, in the keys that guides name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from run_analysis.active_runs import UNDER_WAY, ActiveRun
from run_analysis.job_records import StatusFacts
from run_analysis.run import RunHistory
from run_analysis.summary import DatasetContext, HistoryContext, LiveContext
from run_records.epoch_record import EpochFacts

NO_ACTIVE_JOBS = {"status": "no_active_jobs"}


def describe_history(context: HistoryContext) -> dict[str, Any]:
    """All runs with options and scores, the best F1 first and those without a score last.

    An epoch is whole, as in the table; evaluations within one share its number and differ in `step`.
    """
    runs = [_describe_run(one) for one in context.runs]
    runs.sort(key=lambda run: -1.0 if run["best_f1"] is None else run["best_f1"], reverse=True)
    return {
        "read_at": context.read_at,
        "total_runs": len(runs),
        "runs_by_status": context.runs_by_status,
        "best_by_validation_set": [one.model_dump(mode="json") for one in context.best],
        "runs": runs,
    }


def describe_best(context: HistoryContext, findings: Sequence[str]) -> dict[str, Any]:
    """The best run, and in sentences its score, then the findings about it; None where no run has a score.

    It is the best of the most runs that can be ranked together, else the one with the highest F1.
    """
    runs = describe_history(context)["runs"]
    ranked = context.best[0].job_id if context.best else runs[0]["job_id"] if runs else None
    best = next((run for run in runs if run["job_id"] == ranked and run["best_f1"] is not None), None)
    said = list(findings)
    if best is not None:
        of = f"the {context.best[0].runs} on the same validation receipts" if context.best else "all"
        score = f"F1 {best['best_f1']:.4f} at epoch {best['best_epoch']}"
        said.insert(0, f"{best['job_name']} is the best run of {of}: {score}.")
        names = ("job_id", "job_name", "config", "best_f1", "best_epoch")
        best = {**{name: best[name] for name in names}, "epoch": best["best_epoch"]}
    return {"best_run": best, "key_findings": said}


def describe_dataset(context: DatasetContext) -> dict[str, Any]:
    """The receipts and how many words carry each label as VALID; a share is 0..1 of all such words."""
    found = context.statistics
    counts = {one.label: one.by_status.get("VALID", 0) for one in found.labels}
    total = sum(counts.values())
    return {
        "read_at": context.read_at,
        "total_receipts": found.receipts,
        "total_lines": found.lines,
        "label_counts": counts,
        "total_valid_labels": total,
        "label_distribution": {label: count / total if total else 0.0 for label, count in counts.items()},
        **context.model_dump(mode="json", exclude={"read_at"}, exclude_none=True),
    }


def describe_split(history: HistoryContext) -> dict[str, Any]:
    """The split of the newest run that recorded one, in receipts; None for what no run has recorded."""
    run = next((one.run for one in history.runs if one.run.val_receipts_hash), None)
    return {
        "job_id": run.job_id if run else None,
        "train_receipts": run.train_receipts if run else None,
        "val_receipts": run.val_receipts if run else None,
        "val_receipts_hash": run.val_receipts_hash if run else None,
        "val_split_source": run.val_split_source if run else None,
        "val_keys_s3": run.val_keys_s3 if run else None,
    }


def choose_active(context: LiveContext) -> ActiveRun | None:
    """The run to report: the newest one at work, else one that waits; None where none is under way."""
    return min(context.runs, key=lambda one: UNDER_WAY.index(one.run.status), default=None)


def describe_active(
    context: LiveContext, run: ActiveRun | None, statuses: Sequence[StatusFacts]
) -> dict[str, Any]:
    """The state of the chosen run, and briefly of all that are under way; `statuses` are its changes."""
    if run is None:
        return {**NO_ACTIVE_JOBS, "read_at": context.read_at}
    started = next((one.at for one in statuses if one.status == "running"), None)
    return {
        "read_at": context.read_at,
        "job_id": run.run.job_id,
        "job_name": run.run.name,
        "status": run.run.status,
        "created_at": run.run.created_at,
        "started_at": started,
        "config": run.run.config,
        "epochs_asked": run.epochs_asked,
        "latest_epoch": int(run.last.epoch) if run.last else None,
        "latest_f1": run.last.eval_f1 if run.last else None,
        "all_epochs": _describe_epochs(run.epochs),
        "recent_logs": [
            {"timestamp": line.at, "level": line.level, "message": line.message} for line in run.logs
        ],
        "seconds_left": run.seconds_left,
        "worker": run.worker,
        "active_jobs": [
            {"job_id": one.run.job_id, "job_name": one.run.name, "status": one.run.status}
            for one in context.runs
        ],
    }


def _describe_run(one: RunHistory) -> dict[str, Any]:
    run = one.run
    scored = [epoch for epoch in one.epochs if epoch.eval_f1 is not None]
    # A run that has not ended has no results yet.
    best = max(scored, key=lambda epoch: epoch.eval_f1 or 0.0, default=None)
    best_f1, best_epoch = run.best_f1, run.best_epoch
    if best_f1 is None and best is not None:
        best_f1, best_epoch = best.eval_f1, best.epoch
    return {
        "job_id": run.job_id,
        "job_name": run.name,
        "status": run.status,
        "created_at": run.created_at,
        "config": run.config,
        "best_f1": best_f1,
        "best_epoch": None if best_epoch is None else int(best_epoch),
        "val_receipts_hash": run.val_receipts_hash,
        "error_message": run.error_message,
        "epochs": _describe_epochs(one.epochs),
    }


def _describe_epochs(epochs: Sequence[EpochFacts]) -> list[dict[str, Any]]:
    return [
        {
            "epoch": int(one.epoch),
            "f1": one.eval_f1,
            "timestamp": one.recorded_at,
            "step": one.global_step,
            "eval_loss": one.eval_loss,
            "train_loss": one.train_loss,
            "per_label_f1": {name: scores.f1 for name, scores in one.per_label_metrics.items()},
        }
        for one in epochs
    ]
