"""The fields of `run.json` and Job.results beside the epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from receipt_layoutlm.data.dataset_hash import count_labels
from receipt_layoutlm.data.page_layout import BOX_RULE, READING_ORDER
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.record_parser import LoadStatistics
from receipt_layoutlm.data.split import Split
from receipt_layoutlm.evaluation.predict import fastest_device
from receipt_layoutlm.training.config import RunConfig
from receipt_layoutlm.training.distributed import Ranks
from receipt_layoutlm.training.prepare import Prepared
from receipt_layoutlm.training.speed.batch_memory import BatchPlan, free_bytes
from receipt_layoutlm.training.speed.throughput import peak_memory
from run_records.epoch_record import EpochRecord

_PINNED = "persisted_val_receipt_keys"


@dataclass(frozen=True, slots=True)
class DataSource:
    """The source of a run's receipts, and the hash of their content."""

    source: str
    content_hash: str
    statistics: LoadStatistics


def describe_run(
    config: RunConfig, prepared: Prepared, dataset: DataSource, plan: BatchPlan, ranks: Ranks
) -> dict[str, Any]:
    """The fields of `run.json` that are known before the first epoch."""
    options = config.hyperparameters.model_dump(mode="json")
    return {
        "job_name": config.job_name,
        "job_id": config.job_id,
        "attempt": config.task.attempt,
        "training_config": {**options, "resolved_precision": config.precision},
        "data_config": {
            "source": dataset.source,
            "dataset_hash": dataset.content_hash,
            "max_seq_length": options["max_seq_length"],
            "window_size": options["window_size"],
            "window_stride": options["window_stride"],
            "box_rule": BOX_RULE,
            "reading_order": READING_ORDER,
        },
        "label_list": list(config.labels.tags),
        "num_labels": len(config.labels.tags),
        "label_merges": {target: list(sources) for target, sources in config.labels.merges.items()},
        "resulting_labels": list(config.labels.names),
        "dataset_counts": _describe_counts(prepared, dataset),
        "split_metadata": _describe_split(config, prepared),
        "machine": {**_describe_machine(config), **_describe_batches(config, plan, ranks)},
        "comparability": describe_comparability(config, prepared.split),
    }


def describe_comparability(config: RunConfig, split: Split) -> dict[str, Any]:
    """State whether the scores are comparable with those of other runs, and the reasons if not."""
    uri = config.hyperparameters.val_keys_s3
    return {
        "metrics_comparable": split.source == _PINNED and not split.missing,
        "comparability_reason": _comparability_reason(config, split),
        "val_keys_s3": uri,
        "val_split_source": split.source,
    }


def describe_results(
    config: RunConfig, split: Split, history: list[EpochRecord], best: EpochRecord, stopped_early: bool
) -> dict[str, Any]:
    """Job.results, less the time and work of the training."""
    return {
        "best_f1": best.eval_f1,
        "best_f1_interval": None if best.eval_f1_interval is None else best.eval_f1_interval.model_dump(),
        "best_f1_constrained": best.eval_f1_constrained,
        "best_f1_strict": best.eval_f1_strict,
        "best_f1_by_merchant": {name: scores.f1 for name, scores in best.by_merchant.items()},
        "best_epoch": int(best.epoch),
        "best_step": best.global_step,
        "epochs_trained": history[-1].epoch,
        "early_stopping_triggered": stopped_early,
        "best_checkpoint_s3_path": config.best_uri,
        "training_job_name": config.job_name,
        "training_job_id": config.job_id,
        "num_labels": len(config.labels.tags),
        "label_list": list(config.labels.tags),
        "train_receipts": len(split.train),
        "val_receipts": len(split.validation),
        "val_receipts_hash": split.val_hash,
        **_describe_speed(history),
        **describe_comparability(config, split),
    }


def _describe_machine(config: RunConfig) -> dict[str, Any]:
    device = fastest_device()
    gpu = torch.cuda.get_device_properties(0) if device == "cuda" else None
    return {
        "device": device,
        "gpu_name": gpu.name if gpu else None,
        "gpu_memory_bytes": gpu.total_memory if gpu else None,
        "memory_bytes": peak_memory() + free_bytes(torch.device("cpu")),
        "threads": torch.get_num_threads(),
        "usd_per_hour": config.task.usd_per_hour,
    }


def _describe_batches(config: RunConfig, plan: BatchPlan, ranks: Ranks) -> dict[str, Any]:
    """Windows at once on one GPU and of an optimisation step; none are counted where tokens are.

    `batch_size` is what was asked for each GPU, `batch_size_per_device` what one has on this host: fewer
    where the run began on a host with fewer GPUs, whose effective batch it keeps.
    """
    by_windows = config.hyperparameters.batch_tokens is None
    at_once = math.ceil(plan.windows / (ranks.count * plan.parts))
    asked = config.hyperparameters.batch_size
    return {
        "world_size": ranks.count,
        "batch_size": (at_once if asked == "auto" else asked) if by_windows else None,
        "batch_size_per_device": at_once if by_windows else None,
        "gradient_accumulation_steps": plan.passes,
        "effective_batch": plan.windows * plan.accumulation if by_windows else None,
        # One step of all processes is one step: nothing is scaled by how many they are.
        "learning_rate": config.hyperparameters.learning_rate,
    }


def _describe_speed(history: Sequence[EpochRecord]) -> dict[str, float | None]:
    """Means and peaks over the evaluations that measured them."""
    measured = [one for one in history if one.train_seconds]
    seconds = sum(one.train_seconds or 0.0 for one in measured)
    samples = sum((one.samples_per_second or 0.0) * (one.train_seconds or 0.0) for one in measured)
    return {
        "samples_per_second": samples / seconds if seconds else None,
        "memory_used": max((one.memory_used or 0 for one in measured), default=None),
        "gpu_memory_used": max(
            (one.gpu_memory_used for one in measured if one.gpu_memory_used is not None), default=None
        ),
    }


def _comparability_reason(config: RunConfig, split: Split) -> str:
    if split.source == _PINNED:
        if split.missing:
            total = split.missing + len(split.validation)
            return f"{split.missing} of {total} pinned validation receipts are not among the labelled ones."
        return "The validation receipts are pinned."
    if config.hyperparameters.no_frozen_val:
        return "The validation receipts were drawn from this run's data, as no_frozen_val accepts."
    return (
        "No frozen validation split is set. Pass val_keys_s3, or no_frozen_val to accept a run that cannot "
        "be compared."
    )


def _describe_counts(prepared: Prepared, dataset: DataSource) -> dict[str, Any]:
    split = prepared.split
    return {
        **prepared.counts(),
        "train_receipts": len(split.train),
        "val_receipts": len(split.validation),
        "num_lines": _count_lines((*split.train, *split.validation)),
        "num_lines_train": _count_lines(split.train),
        "num_lines_val": _count_lines(split.validation),
        "labels_train": count_labels(split.train),
        "labels_val": count_labels(split.validation),
        "loading": dataset.statistics.to_dict(),
    }


def _count_lines(receipts: Iterable[Receipt]) -> int:
    return sum(len({word.line_id for word in receipt.words}) for receipt in receipts)


def _describe_split(config: RunConfig, prepared: Prepared) -> dict[str, Any]:
    split = prepared.split
    return {
        "source": split.source,
        "val_keys_s3": config.hyperparameters.val_keys_s3,
        "random_seed": config.hyperparameters.seed,
        "val_receipt_keys": list(split.val_keys),
        "val_receipts_hash": split.val_hash,
        "val_receipts_missing": split.missing,
        # In the order of the keys: whether training has a receipt of the same merchant.
        "val_merchants_seen": list(prepared.held_out.seen),
    }
