"""Proposes the next run and writes the request for it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from messages.fields import JOB_NAME_CHARS
from messages.hyperparameters import Hyperparameters
from messages.options.labels import LabelOptions
from messages.train import TrainJob
from run_analysis.advice.data_advice import note_data, propose_cadence, propose_data, propose_snapshot
from run_analysis.advice.label_advice import note_labels, propose_labels
from run_analysis.advice.learning_curve import expect
from run_analysis.advice.optimisation_advice import propose_length, propose_loss, propose_rate
from run_analysis.advice.proposal import Advice, AdviceContext, Machine, SettingChange
from run_analysis.advice.speed_advice import propose_batch, propose_speed
from run_analysis.dataset_statistics import DatasetStatistics
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary

FIRST_NAME = "receipts-1"
SWEEP_TAGS = frozenset({"sweep", "trial"})
_NUMBER = re.compile(r"^(?P<stem>.*?)-(?P<number>\d+)$")
_DIGITS = 8
"""Characters that a name keeps free for its number."""


def next_name(name: str | None, taken: Iterable[str]) -> str:
    """A name for the run after this one: the same with the next number that no known run has."""
    used = set(taken)
    if name is None:
        name, number = FIRST_NAME.rpartition("-")[0], 1
    else:
        numbered = _NUMBER.match(name)
        name, number = (numbered["stem"], int(numbered["number"]) + 1) if numbered else (name, 2)
    stem = name[: JOB_NAME_CHARS - _DIGITS].rstrip(".")
    while f"{stem}-{number}" in used:
        number += 1
    return f"{stem}-{number}"


def differing(options: Hyperparameters) -> dict[str, Any]:
    """The hyperparameters that are not the default, as JSON has them."""
    default = Hyperparameters().model_dump(mode="json")
    return {name: value for name, value in options.model_dump(mode="json").items() if value != default[name]}


def message_of(
    job_name: str, options: Hyperparameters, tags: Mapping[str, str], export: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of the message that asks for the run.

    Args:
        job_name: its name.
        options: its hyperparameters.
        tags: of the run before it; those of a sweep do not go along.
        export: what that one asked for its export.
    """
    body: dict[str, Any] = {"job_name": job_name, "hyperparameters": differing(options)}
    body |= {name: export[name] for name in export if export[name] != TrainJob.model_fields[name].default}
    if options.unlike_clients:
        body["auto_export"] = False
    kept = {name: value for name, value in tags.items() if name not in SWEEP_TAGS}
    return body | ({"tags": kept} if kept else {})


def command_of(message: Mapping[str, Any]) -> str:
    """The command that trains the run of a message here and now, quoted for a shell."""
    job = {name: value for name, value in message.items() if name not in {"job_name", "hyperparameters"}}
    words = ["layoutlm-cli", "train", message["job_name"]]
    for name, value in {**message["hyperparameters"], **job}.items():
        words += [f"--{name.replace('_', '-')}", _text(value)]
    return shlex.join(words)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    return json.dumps(value) if isinstance(value, dict) else "float32" if value is None else str(value)


_SUBJECTS: tuple[Callable[[AdviceContext], Iterable[SettingChange]], ...] = (
    propose_rate,
    propose_length,
    propose_loss,
    propose_labels,
    propose_batch,
    propose_data,
    propose_cadence,
    propose_speed,
    propose_snapshot,
)
_NOTES: tuple[Callable[[AdviceContext], Iterable[str]], ...] = (note_data, note_labels)


def advise(  # noqa: PLR0913 - what there is to know, each of which may be missing
    run: RunDetail | None,
    history: Sequence[RunSummary],
    statistics: DatasetStatistics | None,
    machine: Machine | None,
    *,
    target_f1: float | None = None,
    faster: bool = False,
) -> Advice:
    """Propose the next run.

    Args:
        run: the one to start from; None before the first.
        history: the known runs, itself among them or not.
        statistics: of the table's receipts, where they were counted.
        machine: where the next run trains; None leaves out what depends on its memory.
        target_f1: an F1 to say how many receipts it takes.
        faster: also change what only makes the run faster.
    """
    situation = AdviceContext(run, history, statistics, machine, faster)
    changes = _choose(situation)
    options = Hyperparameters.model_validate(
        {**situation.options.model_dump(), **{change.option: change.after for change in changes}}
    )
    name = next_name(run.run.name if run else None, [one.name for one in history])
    message = message_of(name, options, run.run.tags if run else {}, run.run.export if run else {})
    return Advice(
        job_name=name,
        based_on=run.run.name if run else None,
        changes=changes,
        command=command_of(message),
        message=message,
        expectation=expect(situation, target_f1),
        notes=tuple(_note(situation, changes)),
    )


def _choose(situation: AdviceContext) -> tuple[SettingChange, ...]:
    """The first change of each option, less those that would change nothing."""
    chosen: dict[str, SettingChange] = {}
    for subject in _SUBJECTS:
        for change in subject(situation):
            if change.after != change.before:
                chosen.setdefault(change.option, change)
    return tuple(chosen.values())


def _note(situation: AdviceContext, changes: Sequence[SettingChange]) -> Iterator[str]:
    if situation.run is None:
        yield "There is no run to learn from yet: begin with the defaults, and ask again when it has ended."
    elif not changes:
        yield "Nothing recorded speaks for other options: another seed shows how much of the score is luck."
    if situation.run and any(change.option in LabelOptions.model_fields for change in changes):
        yield "With other labels, the score cannot be held against those of earlier runs."
    for notes in _NOTES:
        yield from notes(situation)
