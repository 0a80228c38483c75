"""The next run: one table of subjects, the first that speaks about an option decides it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from messages.hyperparameters import Hyperparameters
from messages.options.labels import LabelOptions
from receipt_layoutlm.analysis.advice.data import note_data, propose_cadence, propose_data, propose_snapshot
from receipt_layoutlm.analysis.advice.expect import expect
from receipt_layoutlm.analysis.advice.labels import note_labels, propose_labels
from receipt_layoutlm.analysis.advice.memory import propose_batch
from receipt_layoutlm.analysis.advice.optimisation import propose_length, propose_loss, propose_rate
from receipt_layoutlm.analysis.advice.proposal import Advice, Change, Machine
from receipt_layoutlm.analysis.advice.request import command_of, message_of, next_name
from receipt_layoutlm.analysis.advice.situation import Situation
from receipt_layoutlm.analysis.advice.speed import propose_speed
from receipt_layoutlm.analysis.dataset import DatasetStatistics
from receipt_layoutlm.analysis.run import RunDetail
from receipt_layoutlm.analysis.runs import RunSummary

_SUBJECTS: tuple[Callable[[Situation], Iterable[Change]], ...] = (
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
_NOTES: tuple[Callable[[Situation], Iterable[str]], ...] = (note_data, note_labels)


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
    situation = Situation(run, history, statistics, machine, faster)
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


def _choose(situation: Situation) -> tuple[Change, ...]:
    """The first change of each option, less those that would change nothing."""
    chosen: dict[str, Change] = {}
    for subject in _SUBJECTS:
        for change in subject(situation):
            if change.after != change.before:
                chosen.setdefault(change.option, change)
    return tuple(chosen.values())


def _note(situation: Situation, changes: Sequence[Change]) -> Iterator[str]:
    if situation.run is None:
        yield "There is no run to learn from yet: begin with the defaults, and ask again when it has ended."
    elif not changes:
        yield "Nothing recorded speaks for other options: another seed shows how much of the score is luck."
    if situation.run and any(change.option in LabelOptions.model_fields for change in changes):
        yield "With other labels, the score cannot be held against those of earlier runs."
    for notes in _NOTES:
        yield from notes(situation)
