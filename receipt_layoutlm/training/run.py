"""Runs one training from job file to results; reads from top to bottom."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from transformers import PrinterCallback, TrainerCallback

from messages.child_protocol import Trained, TrainTask
from receipt_dynamo import DynamoClient
from receipt_layoutlm.errors import Diverged
from receipt_layoutlm.training.batch_plan import plan_batches_of_run
from receipt_layoutlm.training.callbacks import (
    CheckpointCallback,
    ProgressCallback,
    RecordCallback,
    StopCallback,
    publish_best,
)
from receipt_layoutlm.training.checkpoint_metric import check_metric
from receipt_layoutlm.training.checkpoint_store import checkpoint_name, find_best, find_foreign, find_own
from receipt_layoutlm.training.config import RunConfig, use_all_cpus
from receipt_layoutlm.training.data_source import load_dataset
from receipt_layoutlm.training.distributed import AgreeCallback, AgreedStop, Ranks
from receipt_layoutlm.training.prepare import Prepared, prepare
from receipt_layoutlm.training.recorder import Recorder
from receipt_layoutlm.training.run_documents import describe_history, write_final_report
from receipt_layoutlm.training.run_metadata import describe_results, describe_run
from receipt_layoutlm.training.run_state import Resumed, Run, RunningLoss
from receipt_layoutlm.training.speed.batch_memory import BatchPlan
from receipt_layoutlm.training.trainer import ReceiptTrainer
from run_records.epoch_record import epochs_since_best, is_complete
from run_records.errors import ConfigurationError
from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.job_process.heartbeat import ProgressReporter
from run_records.s3_store import S3Store

log = logging.getLogger(__name__)


def train(task: TrainTask, reporter: Reporter, stop: StopRequested) -> Trained:
    """Train one model, from wherever an earlier attempt of the same job left off.

    Raises:
        Stopped: `stop` was set; everything that was done lies in the run's newest checkpoint.
        RunError: with a class that says whether another attempt can help.
    """
    log.info("training with %d threads", use_all_cpus())
    with Ranks.joined() as ranks:
        return _train(task, reporter, stop, ranks)


def _train(task: TrainTask, reporter: Reporter, stop: StopRequested, ranks: Ranks) -> Trained:
    config = RunConfig.from_task(task)
    config = replace(config, work_dir=ranks.folder(config.work_dir))
    check_metric(config.hyperparameters.checkpoint_metric, config.labels)
    pulse = ProgressReporter(reporter if ranks.is_first else Reporter(None))
    storage = S3Store(task.allowed_buckets, on_bytes=pulse.moved)
    client = DynamoClient(task.table_name)
    with pulse.working("loading", "looking for a checkpoint"):
        resumed = _find_checkpoint(config, storage)
        loaded, dataset = ranks.from_first(lambda: load_dataset(config, client, storage, pulse))
        _leave_if(stop)
        pulse.say("loading", "encoding")
        prepared = prepare(config, loaded.receipts, resumed, storage)
    _leave_if(stop)
    ranks.require_same("split", prepared.split.val_hash)
    ranks.require_same("checkpoint", resumed and resumed.manifest.step)
    plan = ranks.from_first(lambda: plan_batches_of_run(config, prepared, resumed, ranks.count))
    description = describe_run(config, prepared, dataset, plan, ranks)
    recorder = Recorder(client, storage, config.job_id, task.attempt, config.root, description)
    run = Run(
        config,
        storage,
        recorder,
        pulse,
        stop if ranks.count == 1 else AgreedStop(stop, ranks),
        prepared.split,
        dataset.content_hash,
        prepared.held_out.transitions,
        ranks=ranks,
    )
    _begin(run, prepared, resumed)
    try:
        total_flos = _fit(run, prepared, resumed, plan)
    except Diverged as error:
        if run.history and ranks.is_first:
            write_final_report(run, "failed", {}, str(error))
        raise
    return _finish(run, total_flos)


def _find_checkpoint(config: RunConfig, storage: S3Store) -> Resumed | None:
    resumed = find_own(storage, config.checkpoints_uri, config.job_id, config.work_dir)
    source = config.hyperparameters.resume_from_s3
    if resumed is None and source is not None:
        resumed = find_foreign(storage, source, config.work_dir)
    if resumed is None:
        return None
    log.info("continuing after step %d from %s", resumed.manifest.step, resumed.manifest.job_id)
    _check_fits(config, resumed)
    return resumed


def _check_fits(config: RunConfig, resumed: Resumed) -> None:
    if resumed.facts.label_list != config.labels.tags:
        raise ConfigurationError(
            f"The checkpoint was trained on {', '.join(resumed.facts.labels.names)} and the run asks for "
            f"{', '.join(config.labels.names)}. Ask for the same, or name it as pretrained_model."
        )
    if not resumed.own and resumed.manifest.epoch >= config.hyperparameters.epochs:
        raise ConfigurationError(
            f"The checkpoint has {resumed.manifest.epoch:g} epochs behind it and the run asks for "
            f"{config.hyperparameters.epochs}. Raise epochs, or start from it as pretrained_model."
        )


def _begin(run: Run, prepared: Prepared, resumed: Resumed | None) -> None:
    if resumed is None or not resumed.own:
        if run.ranks.is_first:
            run.recorder.record_start(prepared.counts())
        return
    run.history.extend(resumed.history)
    run.loss = RunningLoss(resumed.state.epoch_loss_total, resumed.state.epoch_loss_steps)
    run.seconds_before = resumed.state.train_seconds
    run.cost_before = resumed.state.cost_usd
    if not run.ranks.is_first:
        return
    run.recorder.rewrite_epochs(run.history)
    run.recorder.restore_checkpoints(
        f"{run.config.checkpoints_uri}{checkpoint_name(resumed.manifest.step)}/",
        resumed.manifest,
        run.best.global_step if run.best else None,
    )
    if run.best is not None:
        config = run.config
        folder = find_best(
            run.storage, config.best_uri, config.checkpoints_uri, run.best.global_step, config.work_dir
        )
        if folder is not None:
            publish_best(run, folder, run.best)


def _fit(run: Run, prepared: Prepared, resumed: Resumed | None, plan: BatchPlan) -> float:
    """Train what is left to train; returns the floating point operations of the whole run."""
    if resumed is not None and is_complete(run.history, run.config.hyperparameters):
        return resumed.state.total_flos
    callbacks: list[TrainerCallback] = [
        ProgressCallback(run),
        StopCallback(run),
        RecordCallback(run),
        CheckpointCallback(run),
    ]
    if isinstance(run.stop, AgreedStop):
        callbacks.insert(0, AgreeCallback(run.stop))
    trainer = ReceiptTrainer(run, prepared, callbacks, plan)
    trainer.remove_callback(PrinterCallback)
    # Beside an accelerator threads spin while they wait for it, so there only steps show that it works.
    on_cpu = trainer.args.device.type == "cpu"
    with run.pulse.working("training") if on_cpu else nullcontext():
        trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)
    return float(trainer.state.total_flos)


def _finish(run: Run, total_flos: float) -> Trained:
    best = run.best
    if best is None:
        raise ConfigurationError("The run has no epoch that was scored. Raise epochs.")
    if not run.ranks.is_first:
        return _trained(run, {})
    options = run.config.hyperparameters
    stopped_early = run.history[-1].epoch < options.epochs
    summary = {
        "status": "succeeded",
        "best_epoch": int(best.epoch),
        "best_step": best.global_step,
        "best_f1": best.eval_f1,
        "early_stopping_triggered": stopped_early,
        "epochs_since_best": epochs_since_best(run.history, options.checkpoint_metric),
    }
    run.recorder.write_epochs_json(
        describe_history(run.recorder.description, run.config.root, run.history, run.split)
    )
    results: dict[str, Any] = {
        **describe_results(run.config, run.split, run.history, best, stopped_early),
        "train_runtime": run.train_seconds,
        "total_flos": total_flos,
        "cost_usd": run.cost_usd,
    }
    write_final_report(run, "succeeded", results)
    run.recorder.record_summary(summary, run.history, best)  # the last line of the log
    return _trained(run, results)


def _trained(run: Run, results: dict[str, Any]) -> Trained:
    return Trained(run_s3_uri=run.config.root, best_checkpoint_s3_uri=run.config.best_uri, results=results)


def _leave_if(stop: StopRequested) -> None:
    # Nothing has been trained yet that a checkpoint could keep.
    if stop:
        raise Stopped
