"""Writes `infrastructure.json`: names of table, bucket and queues, and queue depths; never a secret."""

from __future__ import annotations

import asyncio
import platform
from dataclasses import asdict
from importlib.metadata import version

from pydantic import Field

from run_analysis.summary import DatasetContext, HistoryContext
from run_records.lenient_model import LenientModel
from workers.aws_clients import open_aws
from workers.errors import QueueError, WorkerError
from workers.settings import Settings
from workers.sqs.dead_letters import SOURCES
from workers.sqs.queue_depths import QueueState, read_queues, variable_of

SHOWN = ("table_name", "region", "endpoint_url", "bucket", "extra_buckets")


class QueueFacts(LenientModel):
    """One queue; counts are what SQS estimates, absent where it cannot be asked."""

    name: str
    variable: str
    url: str | None = None
    visible: int | None = None
    in_flight: int | None = None
    delayed: int | None = None
    dead_letters: int | None = None
    error: str | None = None


class Infrastructure(LenientModel):
    """Table, bucket, queues, and what the table holds."""

    read_at: str
    versions: dict[str, str]
    environment: dict[str, str] = Field(description="The variables that commands and the MCP server need.")
    queues: tuple[QueueFacts, ...]
    runs_by_status: dict[str, int]
    records: dict[str, int] = Field(description="Of the data set.")


def describe_infrastructure(
    settings: Settings, history: HistoryContext, dataset: DatasetContext
) -> Infrastructure:
    """Describe what the settings name; what the table holds has been counted before."""
    counted = dataset.statistics
    return Infrastructure(
        read_at=dataset.read_at,
        versions={"receipt-layoutlm": version("receipt-layoutlm"), "python": platform.python_version()},
        environment=environment_of(settings),
        queues=_ask_queues(settings),
        runs_by_status=history.runs_by_status,
        records={
            "images": counted.images,
            "receipts": counted.receipts,
            "lines": counted.lines,
            "words": counted.words,
        },
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that name table, bucket and queues, with their values; those that are set."""
    fields = [*SHOWN, *(source.setting for source in SOURCES.values())]
    values = {str(Settings.model_fields[name].alias): getattr(settings, name) for name in fields}
    return {
        name: ",".join(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value
    }


def _ask_queues(settings: Settings) -> tuple[QueueFacts, ...]:
    async def ask() -> list[QueueState]:
        async with open_aws(settings) as aws:
            return await read_queues(aws.sqs, settings)

    try:
        states = asyncio.run(ask())
    except (QueueError, WorkerError) as error:  # the folder is worth writing without depths
        states = [
            QueueState(name, variable_of(name), getattr(settings, source.setting), error=str(error))
            for name, source in SOURCES.items()
        ]
    return tuple(map(_describe, states))


def _describe(state: QueueState) -> QueueFacts:
    return QueueFacts(
        name=state.name,
        variable=state.variable,
        url=state.url,
        **(asdict(state.depth) if state.depth else {}),
        dead_letters=state.dead.total if state.dead else None,
        error=state.error,
    )
