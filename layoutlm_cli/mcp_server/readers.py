"""Reads history, data set and active runs for answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from layoutlm_cli.open_clients import Clients
from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import now
from receipt_layoutlm.data.statistics import read_statistics
from run_analysis.active_runs import list_active_runs
from run_analysis.run import read_history
from run_analysis.summary import DatasetContext, HistoryContext, LiveContext, sum_up_dataset, sum_up_history
from run_records.s3_store import S3Store
from workers.settings import Settings

TableName = Annotated[str, typer.Argument(metavar="TABLE_NAME", help="The DynamoDB table.")]
OutputFile = Annotated[
    Path, typer.Argument(metavar="OUTPUT_FILE", help="JSON file to write; it is overwritten.")
]


def open_records_of(table_name: str) -> Clients:
    """Open a table; region, buckets and credentials are those of the environment."""
    settings = Settings.from_environ()
    client = DynamoClient(table_name, region=settings.region, endpoint_url=settings.endpoint_url)
    return Clients(client, S3Store(settings.allowed_buckets))


def read_run_history(records: Clients) -> HistoryContext:
    """Read every run with its evaluations."""
    read_at = now()
    return sum_up_history(read_history(*records), read_at)


def read_dataset(records: Clients) -> DatasetContext:
    """Read the whole table."""
    read_at = now()
    return sum_up_dataset(read_statistics(records.client), read_at)


def read_active(records: Clients) -> LiveContext:
    """Read the runs that have not ended."""
    read_at = now()
    return LiveContext(read_at=read_at, runs=list_active_runs(records.client))


def json_text(facts: BaseModel | Mapping[str, Any], **more: Any) -> str:
    """Facts as JSON with what else is to stand before them; what is not known is left out."""
    data = facts.model_dump(mode="json", exclude_none=True) if isinstance(facts, BaseModel) else facts
    return json.dumps({**more, **data}, indent=2, ensure_ascii=False) + "\n"
