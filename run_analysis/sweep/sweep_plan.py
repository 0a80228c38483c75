"""A sweep file and the jobs that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pydantic
from pydantic import Field
from pydantic_core import to_json

from messages.codec import decode_train_job
from messages.fields import JobName, derive_id
from messages.train import JOB_OPTIONS, TrainJob
from run_analysis.comparison.setting_differences import find_option, read_option
from run_analysis.sweep.search_space import Scalar, Space, grid_of
from run_records.errors import ConfigurationError
from run_records.lenient_model import LenientModel

Method = Literal["grid", "optuna"]

SWEEP_TAG = "sweep"
TRIAL_TAG = "trial"
_JOB_OPTIONS = frozenset(JOB_OPTIONS) - {"tags"}
_LONGEST_SUFFIX = "-0001-seed4294967295"


class SweepPlan(LenientModel):
    """What stays the same over a sweep.

    Attributes:
        space: option to the values that are tried.
        base: options that are the same in every run.
        seeds: each trial is run once with each; without any, once with the base's.
    """

    name: str
    method: Method
    space: Space
    base: dict[str, Any] = Field(default_factory=dict)
    seeds: tuple[int, ...] = ()


def make_plan(
    name: str, space: Space, method: Method, base: Mapping[str, str], seeds: Sequence[str | int]
) -> SweepPlan:
    """Check what a sweep is asked to be.

    Raises:
        ConfigurationError: an option does not exist, has a wrong value, or is given in two places.
        InvalidMessage: a wrong value of a job's own option, such as priority.
    """
    _check_name(name)
    if method == "grid":
        grid_of(space)
    fixed = dict(_read_base(option, value) for option, value in base.items())
    of_job = {option: value for option, value in fixed.items() if option in _JOB_OPTIONS}
    decode_train_job(to_json({"job_name": name, **of_job}), message_id=name)
    numbers = tuple(read_option("seed", seed) for seed in seeds)
    if len(set(numbers)) < len(numbers):
        raise ConfigurationError("A seed is named twice: its run would be the same. Name each seed once.")
    elsewhere = fixed.keys() | ({"seed"} if numbers else set())
    twice = sorted(space.keys() & elsewhere) or sorted({"seed"} & fixed.keys() if numbers else set())
    if twice:
        raise ConfigurationError(f"{', '.join(twice)}: given in two places. Give it in one.")
    return SweepPlan(name=name, method=method, space=space, base=fixed, seeds=numbers)


def jobs_of(plan: SweepPlan, number: int, values: Mapping[str, Scalar]) -> tuple[TrainJob, ...]:
    """The messages of one trial, one for each seed; same plan, number and values, same messages.

    Nothing is exported unless the base asks for it: an export may replace the bundle that clients download.

    Raises:
        InvalidMessage: the values do not fit together.
    """
    repeats: Sequence[dict[str, Any]] = [{"seed": seed} for seed in plan.seeds] or [{}]
    return tuple(_job_of(plan, number, values, repeat) for repeat in repeats)


def _job_of(
    plan: SweepPlan, number: int, values: Mapping[str, Scalar], repeat: Mapping[str, Any]
) -> TrainJob:
    suffix = "".join(f"-seed{seed}" for seed in repeat.values())
    job_id = derive_id("sweep", plan.name, str(number), *map(str, repeat.values()))
    body = {
        "job_id": job_id,
        "job_name": f"{plan.name}-{number:03d}{suffix}",
        "tags": {SWEEP_TAG: plan.name, TRIAL_TAG: str(number)},
        # A message takes its job's own options from here, too.
        "hyperparameters": {"auto_export": False, **plan.base, **values, **repeat},
    }
    return decode_train_job(to_json(body), message_id=job_id)


def _check_name(name: str) -> None:
    try:
        pydantic.TypeAdapter(JobName).validate_python(name + _LONGEST_SUFFIX)
    except pydantic.ValidationError as error:
        raise ConfigurationError(
            f"{name!r} cannot begin the names of runs. Take letters, digits, - and _, and at most "
            f"{120 - len(_LONGEST_SUFFIX)} of them."
        ) from error


def _read_base(option: str, value: str) -> tuple[str, Any]:
    if option in _JOB_OPTIONS:
        return option, value
    name = find_option(option)
    return name, read_option(name, value)
