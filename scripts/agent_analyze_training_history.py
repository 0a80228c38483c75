#!/usr/bin/env python3
"""Print the training history of a table as JSON, or write it to a file."""

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
    read_run_history,
    write_or_print,
)
from layoutlm_cli.writing import write_whole
from run_analysis.context_documents import describe_history


def analyze_training_history(
    table_name: str | None = None, output_file: str | Path | None = None
) -> dict[str, Any]:
    """Return every run with options, scores and evaluations, the best F1 first; also write it to a file.

    Raises:
        SettingsError: no table is named, or the file cannot be written.
        DynamoError: the table cannot be read.
    """
    document = describe_history(read_run_history(open_records_of(table_name)))
    if output_file is not None:
        write_whole(Path(output_file), json_text(document))
    return document


def main(table_name: TableName = None, output_file: OutputFile = None) -> None:
    """Every run of a table with options, scores and evaluations, the best F1 first, as JSON.

    Region, bucket and credentials are those of the environment: AWS_REGION, LAYOUTLM_TRAINING_BUCKET.
    """
    document = analyze_training_history(table_name)
    write_or_print(document, output_file, f"{document['total_runs']} runs")


if __name__ == "__main__":
    with failures_explained():
        typer.run(skipped_said(main))
