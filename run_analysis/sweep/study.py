"""The Optuna study behind a sweep."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from messages.errors import InvalidMessage
from run_analysis.sweep.search_space import Dimension, Range, Scalar, grid_of
from run_analysis.sweep.sweep_plan import SweepPlan, jobs_of
from run_records.errors import ConfigurationError

REFUSED = "refused"
"""Attribute of a trial that was never sent: why."""
_PLAN = "plan"
_MOST_REFUSED = 50
_MOST_REPEATED = 100

optuna.logging.set_verbosity(optuna.logging.WARNING)  # what it is about to say, the caller says


@dataclass(frozen=True, slots=True)
class Sweep:
    """A plan and its study. Numbers of trials begin at 1, those of Optuna at 0."""

    plan: SweepPlan
    study: Any

    @property
    def trials(self) -> list[Any]:
        """Optuna's trials."""
        found: list[Any] = self.study.get_trials(deepcopy=False)
        return found

    def ask(self, count: int) -> None:
        """Add so many trials, or as many as the space has left; the study has them before anything is sent.

        A combination of values that no training takes becomes a failed trial, and another one is asked for.

        Raises:
            ConfigurationError: fifty in a row are refused.
        """
        refused = 0
        values = _grid(self) if self.plan.method == "grid" else _suggestions(self)
        while count > 0 and (one := next(values, None)) is not None:
            try:
                jobs_of(self.plan, len(self.trials) + 1, one)
            except InvalidMessage as error:
                refused += 1
                self._add(one, TrialState.FAIL, {REFUSED: str(error)})
                if refused == _MOST_REFUSED:
                    raise ConfigurationError(f"The space has hardly a run that works: {error}.") from error
            else:
                count, refused = count - 1, 0
                self._add(one, TrialState.RUNNING, {})

    def tell(self, number: int, score: float | None) -> None:
        """Tell how a trial has ended, None where it failed; one that was told stays as it is."""
        state = TrialState.FAIL if score is None else TrialState.COMPLETE
        self.study.tell(number - 1, score, state=state, skip_if_finished=True)

    def _add(self, values: Mapping[str, Scalar], state: Any, attributes: Mapping[str, str]) -> None:
        # In one piece, as asking the study itself is not: a trial without all its values cannot be sent.
        self.study.add_trial(
            optuna.create_trial(
                state=state,
                params=dict(values),
                distributions=_distributions(self.plan),
                user_attrs=dict(attributes),
            )
        )


def open_sweep(storage: str, plan: SweepPlan, *, keep: bool) -> Sweep:
    """Begin a sweep, or go on with it where an earlier call has stopped.

    Args:
        storage: a journal file, or a database such as sqlite:///sweeps.db.
        plan: has to be that of the earlier call.
        keep: without it, all that follows happens to a copy in memory.

    Raises:
        ConfigurationError: the storage cannot be used, or has a sweep of this name with another plan.
    """
    with _explained(storage):
        study = _find(storage, plan.name)
        if study is None:
            where = _connect(storage) if keep else InMemoryStorage()
            study = optuna.create_study(
                study_name=plan.name, storage=where, direction="maximize", load_if_exists=True
            )
        elif not keep:
            study = _copy(study)
        if _PLAN not in study.user_attrs and not study.get_trials(deepcopy=False):
            study.set_user_attr(_PLAN, plan.model_dump(mode="json"))
    sweep = Sweep(_read_plan(storage, study), study)
    if sweep.plan.model_dump_json() != plan.model_dump_json():
        raise ConfigurationError(
            f"{storage} has a sweep {plan.name} of another space, base or seeds. Choose another name, or go "
            f"on with that one: layoutlm-cli sweep more {plan.name} COUNT."
        )
    return sweep


def load_sweep(storage: str, name: str, *, keep: bool) -> Sweep:
    """Open a sweep that was begun; arguments and errors as for `open_sweep`."""
    with _explained(storage):
        study = _find(storage, name)
        if study is None:
            raise ConfigurationError(
                f"There is no sweep {name} in {storage}. Name its --storage, or begin it: layoutlm-cli sweep "
                f"propose {name} --space … --submit."
            )
        return Sweep(_read_plan(storage, study), study if keep else _copy(study))


def _find(storage: str, name: str) -> Any:
    """The study of a name; a file that is not there is not made by looking."""
    file = Path(storage.removeprefix("sqlite:///"))
    if ("://" not in storage or storage.startswith("sqlite:///")) and not file.is_file():
        return None
    try:
        return optuna.load_study(study_name=name, storage=_connect(storage))
    except KeyError:
        return None


def _connect(storage: str) -> Any:
    return RDBStorage(storage) if "://" in storage else JournalStorage(JournalFileBackend(storage))


def _copy(study: Any) -> Any:
    memory = InMemoryStorage()
    copy = optuna.create_study(study_name=study.study_name, storage=memory, direction="maximize")
    for name, value in study.user_attrs.items():
        copy.set_user_attr(name, value)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy


def _read_plan(storage: str, study: Any) -> SweepPlan:
    if _PLAN not in study.user_attrs:
        raise ConfigurationError(
            f"The study {study.study_name} in {storage} is not of a sweep. Name another --storage."
        )
    return SweepPlan.model_validate(study.user_attrs[_PLAN])


def _grid(sweep: Sweep) -> Iterator[dict[str, Scalar]]:
    """The combinations that are no trial yet."""
    taken = [trial.params for trial in sweep.trials]
    return (values for values in grid_of(sweep.plan.space) if values not in taken)


def _suggestions(sweep: Sweep) -> Iterator[dict[str, Scalar]]:
    """Optuna's proposals, each given the scores so far and the proposals before it.

    Seeded by how far the sweep is, so that what is shown without being sent is what would be sent. Values
    that are a trial already are passed over: the same run again would score the same.
    """
    taken = [trial.params for trial in sweep.trials]
    seed = zlib.crc32(f"{sweep.plan.name} {len(sweep.trials)}".encode())
    study = _copy(sweep.study)
    # Trials that are under way count as bad ones meanwhile, so that the next ones try something else.
    study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    repeated = 0
    while repeated < _MOST_REPEATED:
        asked = study.ask(_distributions(sweep.plan)).params
        values = {name: _round(value, sweep.plan.space[name]) for name, value in asked.items()}
        repeated = repeated + 1 if values in taken else 0
        if not repeated:
            taken.append(values)
            yield values


def _round(value: Scalar, dimension: Dimension) -> Scalar:
    """Four digits of a number from a range: more make no other run, and nobody can read them."""
    if not isinstance(value, float) or not isinstance(dimension, Range):
        return value
    return min(max(float(f"{value:.4g}"), dimension.low), dimension.high)


def _distributions(plan: SweepPlan) -> dict[str, Any]:
    return {name: _distribution(dimension) for name, dimension in plan.space.items()}


def _distribution(dimension: Dimension) -> Any:
    if not isinstance(dimension, Range):
        return CategoricalDistribution(dimension.choices)
    kind = IntDistribution if isinstance(dimension.low, int) else FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)


@contextmanager
def _explained(storage: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, ImportError, SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigurationError(
            f"The sweep cannot be kept in {storage}: {why}. Name a file or sqlite:///FILE by --storage."
        ) from error
