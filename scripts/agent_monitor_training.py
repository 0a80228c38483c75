"""Write the state of the runs under way of a table to a JSON file."""

from __future__ import annotations

import typer

from layoutlm_cli.exit_codes import failures_explained, skipped_said
from layoutlm_cli.mcp_server.readers import OutputFile, TableName, json_text, open_records_of, read_active
from layoutlm_cli.writing import write_whole


def main(table_name: TableName, output_file: OutputFile) -> None:
    """The runs of a table that have not ended: worker, progress, evaluations, time left, last log lines.

    Region, bucket and credentials are those of the environment: AWS_REGION, LAYOUTLM_TRAINING_BUCKET.
    """
    facts = read_active(open_records_of(table_name))
    write_whole(output_file, json_text(facts))
    typer.echo(f"wrote {output_file}: {len(facts.runs)} runs under way")


if __name__ == "__main__":
    with failures_explained():
        typer.run(skipped_said(main))
