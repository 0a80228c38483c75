"""The training history whole: every run with its configuration, its evaluations, attempts and cost."""

from __future__ import annotations

from collections.abc import Sequence

from receipt_dynamo import DynamoClient
from receipt_dynamo.entities.field_types import JobState
from receipt_layoutlm.analysis.run import read_epochs_of
from receipt_layoutlm.analysis.runs import ALL_STATES, RunSummary, list_runs
from run_records.epoch_record import EpochFacts
from run_records.lenient_model import Fact
from run_records.parallel import THREADS, map_ahead
from run_records.s3_store import Storage


class RunHistory(Fact):
    """A run and its evaluations."""

    run: RunSummary
    epochs: tuple[EpochFacts, ...] = ()


class History(Fact):
    """Runs, the newest first; `cursor` continues after the last one, None at the end."""

    runs: tuple[RunHistory, ...]
    cursor: str | None = None


def read_history(
    client: DynamoClient,
    storage: Storage,
    *,
    statuses: Sequence[JobState] = ALL_STATES,
    limit: int | None = None,
    cursor: str | None = None,
) -> History:
    """Read runs with their evaluations: a query for each status and page, and a `run.json` for each run.

    Args:
        client: the table.
        storage: S3.
        statuses: only runs of these.
        limit: so many at most; None reads all.
        cursor: that of the history before.
    """
    page = list_runs(client, statuses=statuses, limit=limit, cursor=cursor)
    epochs = map_ahead(lambda run: read_epochs_of(client, storage, run), page.runs, THREADS)
    return History(
        runs=tuple(RunHistory(run=run, epochs=found) for run, found in zip(page.runs, epochs, strict=True)),
        cursor=page.cursor,
    )
