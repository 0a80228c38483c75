"""Reads history, data set and active runs, for the helper scripts, `agent-context` and their files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from layoutlm_cli.open_clients import Clients
from layoutlm_cli.writing import write_whole
from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import now
from receipt_layoutlm.data.statistics import read_statistics
from run_analysis.active_runs import list_active_runs
from run_analysis.context_documents import choose_active, describe_active
from run_analysis.findings.find import detect_findings
from run_analysis.job_records import StatusFacts
from run_analysis.run import read_history, read_run
from run_analysis.summary import DatasetContext, HistoryContext, LiveContext, sum_up_dataset, sum_up_history
from run_records.s3_store import S3Store
from workers.settings import Settings

TableName = Annotated[
    str | None,
    typer.Argument(metavar="TABLE", help="The DynamoDB table; by default DYNAMO_TABLE_NAME names it."),
]
OutputFile = Annotated[
    Path | None,
    typer.Argument(metavar="OUTPUT_FILE", help="JSON file to write over; by default standard output."),
]


def open_records_of(table_name: str | None) -> Clients:
    """Open a table; region, buckets and credentials are those of the environment.

    Where the environment names no bucket, those are read that the table's jobs name.

    Raises:
        SettingsError: no table is named, here or in the environment.
    """
    given = {} if table_name is None else {"DYNAMO_TABLE_NAME": table_name}
    settings = Settings.from_environ({**os.environ, **given})
    settings.require("table_name")
    table = str(settings.table_name)
    client = DynamoClient(table, region=settings.region, endpoint_url=settings.endpoint_url)
    return Clients(client, S3Store(settings.allowed_buckets or _buckets_of_jobs(client)))


def _buckets_of_jobs(client: DynamoClient) -> list[str]:
    named = (job.storage.get("bucket") for job in client.list_jobs().items)
    return sorted({bucket for bucket in named if isinstance(bucket, str)})


def read_run_history(records: Clients) -> HistoryContext:
    """Read every run with its evaluations."""
    read_at = now()
    return sum_up_history(read_history(*records), read_at)


def read_key_findings(records: Clients, history: HistoryContext) -> list[str]:
    """What the metrics of the best run speak of, each with its remedy, the worst first."""
    if not history.best:
        return []
    run = read_run(*records, history.best[0].job_id)
    others = [one.run for one in history.runs]
    return [f"{found.says} {found.remedy}" for found in detect_findings(run, others)]


def read_dataset(records: Clients) -> DatasetContext:
    """Read the whole table."""
    read_at = now()
    return sum_up_dataset(read_statistics(records.client), read_at)


def read_active(records: Clients) -> dict[str, Any]:
    """Read the state of the newest run that is under way."""
    context = LiveContext(read_at=now(), runs=list_active_runs(records.client))
    run = choose_active(context)
    changes = records.client.list_job_statuses(run.run.job_id).items if run else []
    return describe_active(context, run, [StatusFacts.of(change) for change in changes])


def json_text(facts: BaseModel | Mapping[str, Any], **more: Any) -> str:
    """Facts as JSON with what else is to stand before them; of a model, what is not known is left out."""
    data = facts.model_dump(mode="json", exclude_none=True) if isinstance(facts, BaseModel) else facts
    return json.dumps({**more, **data}, indent=2, ensure_ascii=False) + "\n"


def write_or_print(document: Mapping[str, Any], output_file: Path | None, summary: str) -> None:
    """Print a document or, where a file is named, write it there and print one line.

    Raises:
        SettingsError: the file cannot be written.
    """
    if output_file is None:
        typer.echo(json_text(document), nl=False)
        return
    write_whole(output_file, json_text(document))
    typer.echo(f"wrote {output_file}: {summary}")
