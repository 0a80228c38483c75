#!/usr/bin/env python3
"""Print the statistics of the data set of a table as JSON, or write them to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from layoutlm_cli.exit_codes import failures_explained, skipped_said
from layoutlm_cli.mcp_server.readers import (
    OutputFile,
    TableName,
    json_text,
    open_records_of,
    read_dataset,
    write_or_print,
)
from layoutlm_cli.writing import write_whole
from run_analysis.context_documents import describe_dataset


def get_dataset_stats(table_name: str | None = None, output_file: str | Path | None = None) -> dict[str, Any]:
    """Return what the labelled receipts of a table are made of; also write it to a file.

    Raises:
        SettingsError: no table is named, or the file cannot be written.
        DynamoError: the table cannot be read.
    """
    document = describe_dataset(read_dataset(open_records_of(table_name)))
    if output_file is not None:
        write_whole(Path(output_file), json_text(document))
    return document


def main(table_name: TableName = None, output_file: OutputFile = None) -> None:
    """What the labelled receipts of a table are made of, and which labels are scarce; reads the whole table.

    Region, bucket and credentials are those of the environment: AWS_REGION, LAYOUTLM_TRAINING_BUCKET.
    """
    document = get_dataset_stats(table_name)
    write_or_print(document, output_file, f"{document['total_receipts']} receipts")


if __name__ == "__main__":
    with failures_explained():
        typer.run(skipped_said(main))
