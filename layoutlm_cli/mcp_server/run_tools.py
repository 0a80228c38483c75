"""Tools that read runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

from layoutlm_cli.mcp_server.answers import (
    FailingAnswer,
    FailingReceipt,
    HistoryAnswer,
    LiveAnswer,
    RunAnswer,
    WrongWord,
    brief,
    pick,
    sum_up,
    sum_up_live,
)
from layoutlm_cli.mcp_server.bounds import ROOM, count_fitting
from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities.field_types import JobState
from run_analysis.active_runs import list_active_runs
from run_analysis.comparison.setting_differences import changed_options
from run_analysis.run import RunDetail, read_run
from run_analysis.runs import ALL_STATES, RunSummary, find_run, first_page, list_runs
from run_analysis.summary import score_labels
from run_records.epoch_record import EpochFacts
from run_records.predictions_json import ReceiptPrediction, read_predictions
from run_records.s3_store import S3Store

Scalar = Literal[
    "recorded_at",
    "attempt",
    "eval_loss",
    "eval_f1",
    "eval_precision",
    "eval_recall",
    "eval_f1_constrained",
    "eval_f1_strict",
    "eval_f1_interval",
    "train_loss",
    "learning_rate",
    "grad_norm",
    "token_accuracy",
    "entity_prediction_rate",
    "gold_entity_rate",
    "by_merchant",
    "train_seconds",
    "data_seconds",
    "eval_seconds",
    "samples_per_second",
    "steps_per_second",
    "tokens_per_second",
    "train_runtime",
    "total_flos",
    "gpu_memory_used",
    "gpu_utilization",
    "memory_used",
]
Metric = Scalar | Literal["per_label_metrics", "confusion"]
SCALARS: tuple[Scalar, ...] = get_args(Scalar)
USUAL: tuple[Metric, ...] = ("eval_f1", "eval_loss", "train_loss", "learning_rate")
ALWAYS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "warmup_ratio",
    "early_stopping_patience",
    "pretrained_model",
    "seed",
)
"""Hyperparameters that are shown of one run even at their defaults."""
EPOCHS = 40
"""Evaluations that one answer shows at most."""
_THINNED = (EPOCHS, 20, 10, 5, 3)
"""So many are tried, the most first, until they fit."""
_LAST = 20
"""So many statuses, failures and exports of a run are shown, the last ones."""

Job = Annotated[str, Field(description="Id or name of a run; of several runs of a name it is the newest.")]


@dataclass(frozen=True, slots=True)
class RunTools:
    """The tools, for one table and S3."""

    client: DynamoClient
    storage: S3Store

    def training_history(
        self,
        status: Annotated[JobState | None, Field(description="Only runs of this status.")] = None,
        limit: Annotated[int, Field(ge=1, le=100, description="So many at most.")] = 20,
        before: Annotated[str | None, Field(description="`cursor` of the page before.")] = None,
    ) -> HistoryAnswer:
        """List training runs, the newest first: scores, best epoch, early stopping, time, cost, settings.

        Begin here to learn the names of runs. Scores can be ranked only where `val_receipts_hash` is the
        same; to tell which value of a setting is best, ask compare_groups.
        """
        statuses = (status,) if status else ALL_STATES
        page = list_runs(self.client, statuses=statuses, limit=limit, cursor=before)
        summaries = [sum_up(run, changed_options(run.config)) for run in page.runs]
        fitting = count_fitting([one.run for one in summaries])
        same_moment: tuple[RunSummary, ...] = ()
        if fitting < len(summaries):
            every, page = page.runs, first_page(page.runs, fitting)
            same_moment = tuple(one for one in every[len(page.runs) :] if one.created_at == page.cursor)
        shown = summaries[: len(page.runs)]
        said = []
        if page.cursor:
            said.append(f"There are runs after these {len(shown)}: pass `cursor` as `before`.")
        if same_moment:
            ids = ", ".join(one.job_id for one in same_moment)
            said.append(f"Not shown, of the same moment as the last: ask run_detail for {ids}.")
        if any(one.is_shortened for one in shown):
            said.append("Long values are shortened: run_detail shows a run whole.")
        runs = tuple(one.run for one in shown)
        return HistoryAnswer(runs=runs, cursor=page.cursor, more=" ".join(said) or None)

    def run_detail(
        self,
        job: Job,
        metrics: Annotated[
            tuple[Metric, ...], Field(description="What to show of each evaluation; choose few.")
        ] = USUAL,
        from_epoch: Annotated[float | None, Field(description="First epoch to show.")] = None,
        to_epoch: Annotated[float | None, Field(description="Last epoch to show.")] = None,
    ) -> RunAnswer:
        """Show one run: best epoch, early stopping, scores of labels, metrics by epoch, settings, attempts.

        Answers which label has the lowest F1 (`labels`), whether early stopping stopped it and what its best
        epoch was (`run`), and what a metric was at an epoch: for the learning rate at epoch 10 pass metrics
        ["learning_rate"], from_epoch 10, to_epoch 10. Long runs are shown thinned: the best and the last
        evaluation always, and every n-th. Whether it overfits is for diagnose_run to say.
        """
        detail = read_run(self.client, self.storage, job)
        wanted = [one for one in detail.epochs if _is_between(one.epoch, from_epoch, to_epoch)]
        shown = _fitting(wanted, detail.best, metrics)
        statuses, exports = detail.statuses[-_LAST:], detail.exports[-_LAST:]
        return RunAnswer(
            run=brief(detail.run, changed_options(detail.config, always=ALWAYS)),
            best=None if detail.best is None else pick(detail.best, SCALARS),
            labels=score_labels(detail),
            evaluations=len(detail.epochs),
            epochs=shown,
            evaluations_left_out=len(wanted) - len(shown),
            more=_say_left_out(len(wanted) - len(shown), detail),
            num_val_receipts=detail.num_val_receipts,
            dataset_counts=detail.dataset_counts,
            machine=detail.machine,
            label_merges=detail.label_merges,
            statuses=statuses,
            failures=detail.failures[-_LAST:],
            exports=exports,
        )

    def live_runs(
        self, limit: Annotated[int, Field(ge=1, le=50, description="So many at most.")] = 10
    ) -> LiveAnswer:
        """List runs that are pending, running or interrupted now: worker, progress, last scores, time left.

        Ask it again to follow a run; a run that has ended is in training_history.
        """
        runs = [
            sum_up_live(one, changed_options(one.run.config)) for one in list_active_runs(self.client, limit)
        ]
        fitting = count_fitting(runs)
        others = ", ".join(one.run.job_id for one in runs[fitting:])
        more = (
            f"{len(runs) - fitting} runs more are under way, ask run_detail for: {others}."
            if others
            else None
        )
        return LiveAnswer(read_at=now(), runs=tuple(runs[:fitting]), more=more)

    def failing_receipts(
        self,
        job: Job,
        receipts: Annotated[int, Field(ge=1, le=50, description="So many at most, the worst first.")] = 5,
        words: Annotated[int, Field(ge=0, le=100, description="Wrong words of each at most.")] = 15,
        skip: Annotated[int, Field(ge=0, description="So many of the worst are passed over.")] = 0,
    ) -> FailingAnswer:
        """Show the validation receipts that a run's best checkpoint reads worst, and the words it gets wrong.

        `gold` is the true BIO tag of a word, `predicted` the model's. It shows why a label scores low.
        """
        run = find_run(self.client, job)
        found = read_predictions(self.storage, run.run_s3_uri)
        if found is None:
            return FailingAnswer(job_id=run.job_id, name=run.name)
        wanted = [_brief_receipt(one, words) for one in found.receipts[skip : skip + receipts]]
        shown = wanted[: count_fitting(wanted)]
        left = len(found.receipts[skip + len(shown) :])
        return FailingAnswer(
            job_id=run.job_id,
            name=run.name,
            checkpoint=found.checkpoint,
            epoch=found.epoch,
            receipts=tuple(shown),
            receipts_left_out=left,
            more=f"{left} receipts follow: pass skip {skip + len(shown)}." if left else None,
        )


def _fitting(
    epochs: Sequence[EpochFacts], best: EpochFacts | None, metrics: Sequence[str]
) -> tuple[EpochFacts, ...]:
    """These metrics of as many evaluations, evenly thinned, as an answer has room for."""
    for count in _THINNED:
        shown = [pick(one, metrics) for one in thin(epochs, best, count)]
        if count_fitting(shown, ROOM // 2) >= len(shown):
            break
    return tuple(shown)


def _say_left_out(evaluations: int, detail: RunDetail) -> str | None:
    said = []
    if evaluations:
        said.append(f"{evaluations} evaluations are thinned out: see them with `from_epoch` and `to_epoch`.")
    if max(map(len, (detail.statuses, detail.failures, detail.exports))) > _LAST:
        said.append(
            f"Of statuses, failures and exports the last {_LAST} are shown: `layoutlm-cli report` has all."
        )
    return " ".join(said) or None


def thin(epochs: Sequence[EpochFacts], best: EpochFacts | None, count: int = EPOCHS) -> list[EpochFacts]:
    """So many evaluations at most, or one more: every n-th, the best, and the last."""
    if len(epochs) <= count:
        return list(epochs)
    every = -(-len(epochs) // max(count - 2, 1))
    kept = {*range(0, len(epochs), every), len(epochs) - 1}
    return [one for at, one in enumerate(epochs) if at in kept or one is best]


def _is_between(epoch: float, first: float | None, last: float | None) -> bool:
    return (first is None or epoch >= first) and (last is None or epoch <= last)


def _brief_receipt(receipt: ReceiptPrediction, words: int) -> FailingReceipt:
    wrong = [word for word in receipt.words if word.gold != word.predicted]
    return FailingReceipt(
        **receipt.model_dump(exclude={"words", "words_left_out"}),
        words=tuple(WrongWord.model_validate(word.model_dump()) for word in wrong[:words]),
    )
