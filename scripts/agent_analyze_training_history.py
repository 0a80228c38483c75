"""Write the training history of a table to a JSON file."""

from __future__ import annotations

import typer

from layoutlm_cli.exit_codes import failures_explained, skipped_said
from layoutlm_cli.mcp_server.readers import (
    OutputFile,
    TableName,
    json_text,
    open_records_of,
    read_run_history,
)
from layoutlm_cli.writing import write_whole


def main(table_name: TableName, output_file: OutputFile) -> None:
    """Every run of a table with options, scores and evaluations, and the best run of each validation set.

    Region, bucket and credentials are those of the environment: AWS_REGION, LAYOUTLM_TRAINING_BUCKET.
    """
    facts = read_run_history(open_records_of(table_name))
    write_whole(output_file, json_text(facts))
    typer.echo(f"wrote {output_file}: {len(facts.runs)} runs")


if __name__ == "__main__":
    with failures_explained():
        typer.run(skipped_said(main))
