"""Status of a sweep's trials."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Literal

from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from messages.train import TrainJob
from receipt_dynamo import DynamoClient
from receipt_dynamo.errors import InvalidItem, NotFound
from run_analysis.active_runs import UNDER_WAY
from run_analysis.comparison.setting_differences import settings_of, text_of
from run_analysis.runs import RunSummary
from run_analysis.sweep.search_space import Scalar
from run_analysis.sweep.study import REFUSED, Sweep
from run_analysis.sweep.sweep_plan import Method, jobs_of
from run_records.errors import ConfigurationError
from run_records.lenient_model import LenientModel

State = Literal["proposed", "under way", "succeeded", "failed", "refused", "unreadable"]

_ENOUGH_FOR_IMPORTANCE = 10


class TrialStatus(LenientModel):
    """One trial.

    Attributes:
        number: from 1 on; its runs carry it as their tag `trial`.
        state: refused ones were never sent; proposed ones not yet, or not with all seeds; unreadable ones
            have a damaged record in the table.
        score: mean of the runs' best F1, when all have succeeded; `sd` of several.
        why: of a trial that failed, was refused, or cannot be read.
        unsent: messages that are not in the table.
        runs: those that are.
    """

    number: int
    values: dict[str, Scalar]
    state: State
    score: float | None = None
    sd: float | None = None
    why: str | None = None
    unsent: tuple[TrainJob, ...] = ()
    runs: tuple[RunSummary, ...] = ()

    @property
    def validation(self) -> tuple[str, ...] | None:
        """The validation receipts that it was scored on, by seed; None where a run has no record of them."""
        known = tuple(run.validation for run in self.runs if run.validation is not None)
        return known if known and len(known) == len(self.runs) else None


class SweepStatus(LenientModel):
    """A sweep.

    Attributes:
        options: the options of its space.
        best: the succeeded trial with the highest score among the most that share their receipts.
        importance: share of each option in what the scores owe to the options; empty below ten scores.
        notes: what to know before drawing a conclusion, in plain words.
    """

    name: str
    method: Method
    options: tuple[str, ...]
    trials: tuple[TrialStatus, ...]
    best: TrialStatus | None = None
    importance: dict[str, float]
    notes: tuple[str, ...]

    def count(self, state: State) -> int:
        """The number of trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def unsent(self) -> list[TrainJob]:
        """The messages that are not in the table."""
        return [job for trial in self.trials for job in trial.unsent]


def read_sweep_status(client: DynamoClient, sweep: Sweep) -> SweepStatus:
    """Look up the runs of every trial, one request each, and tell the study those that have ended.

    A trial is told once: when all its runs have ended, as failed unless all have succeeded.

    Raises:
        ConfigurationError: the table has a run of this name and number with other settings.
    """
    trials = tuple(_look_at_trial(client, sweep, trial) for trial in sweep.trials)
    sets: dict[Any, list[TrialStatus]] = defaultdict(list)
    for trial in trials:
        if trial.state == "succeeded":
            sets[trial.validation].append(trial)
    known = [same for validation, same in sets.items() if validation is not None]
    comparable = max(known, key=len, default=[])
    return SweepStatus(
        name=sweep.plan.name,
        method=sweep.plan.method,
        options=tuple(sweep.plan.space),
        trials=trials,
        best=max(comparable, key=lambda trial: trial.score or 0.0, default=None),
        importance=_weigh_options(sweep),
        notes=(*_note_receipts(sets), *_note_luck(sweep, comparable)),
    )


def _look_at_trial(client: DynamoClient, sweep: Sweep, trial: Any) -> TrialStatus:
    number, values = trial.number + 1, trial.params
    if REFUSED in trial.user_attrs:
        return TrialStatus(number=number, values=values, state="refused", why=trial.user_attrs[REFUSED])
    jobs = jobs_of(sweep.plan, number, values)
    found = [_find_run(client, sweep, job) for job in jobs]
    runs = tuple(run for run in found if isinstance(run, RunSummary))
    unsent = tuple(job for job, run in zip(jobs, found, strict=True) if run is None)
    damaged = [str(run) for run in found if isinstance(run, InvalidItem)]
    state = _state_of(runs, unsent, damaged)
    scores = [run.best_f1 for run in runs if run.best_f1 is not None]
    score = trial.value
    if trial.state.is_finished():  # what was told stays, whatever became of the records since
        state, unsent = ("succeeded" if trial.state == TrialState.COMPLETE else "failed"), ()
    elif state in {"succeeded", "failed"}:
        score = fmean(scores) if state == "succeeded" else None
        sweep.tell(number, score)
    return TrialStatus(
        number=number,
        values=values,
        state=state,
        score=score,
        sd=stdev(scores) if state == "succeeded" and len(scores) > 1 else None,
        why=_why(state, runs, damaged),
        unsent=unsent,
        runs=runs,
    )


def _find_run(client: DynamoClient, sweep: Sweep, job: TrainJob) -> RunSummary | InvalidItem | None:
    """The run of a trial, what is wrong with its record, or None where it was not sent."""
    try:
        run = RunSummary.of(client.get_job(job.job_id))
    except NotFound:
        return None
    except InvalidItem as error:
        return error
    meant, used = job.hyperparameters.model_dump(), settings_of(run.config)
    own = (*sweep.plan.space, *(name for name in sweep.plan.base if name in meant))
    if any(text_of(meant[name]) != text_of(used[name]) for name in own):
        raise ConfigurationError(
            f"The table has a run {job.job_name} with other settings, of an earlier sweep of this name. Name "
            "the --storage of that one, or choose another name."
        )
    return run


def _state_of(runs: Sequence[RunSummary], unsent: Sequence[TrainJob], damaged: Sequence[str]) -> State:
    if unsent:
        return "proposed"
    if damaged:
        return "unreadable"
    if any(run.status in UNDER_WAY for run in runs):
        return "under way"
    return "failed" if any(map(_reason, runs)) else "succeeded"


def _why(state: State, runs: Sequence[RunSummary], damaged: Sequence[str]) -> str | None:
    reasons = {"failed": filter(None, map(_reason, runs)), "unreadable": damaged}
    return "; ".join(reasons.get(state, ())) or None


def _reason(run: RunSummary) -> str | None:
    """The reason why an ended run is no success."""
    if run.status != "succeeded":
        return f"{run.name} {run.status}" + (f": {run.error_message}" if run.error_message else "")
    return f"{run.name} has no score" if run.best_f1 is None else None


def _weigh_options(sweep: Sweep) -> dict[str, float]:
    scored = [trial for trial in sweep.trials if trial.state == TrialState.COMPLETE]
    if len(scored) < _ENOUGH_FOR_IMPORTANCE or len({trial.value for trial in scored}) == 1:
        return {}
    found = get_param_importances(sweep.study, evaluator=PedAnovaImportanceEvaluator())
    return {name: float(share) for name, share in found.items()}


def _note_receipts(sets: Mapping[Any, Sequence[TrialStatus]]) -> list[str]:
    said = []
    if None in sets:
        numbers = ", ".join(str(trial.number) for trial in sets[None])
        said.append(f"It is not known on which receipts these trials were scored: {numbers}.")
    if len(sets) > 1:
        said.append(
            "The trials were not all scored on the same validation receipts: only the largest set that were "
            "is ranked, but the next trials are proposed from all. Pin the receipts: --base val_keys_s3=s3://…"
        )
    return said


def _note_luck(sweep: Sweep, comparable: Sequence[TrialStatus]) -> list[str]:
    if len(comparable) < 2 or len(sweep.plan.seeds) > 1:  # noqa: PLR2004 - the best of one is no choice
        return []
    many = len(comparable)
    return [f"The best of {many} trials is partly the luckiest: repeat it with other seeds to rely on it."]
