"""Reading the 626 real receipts from the local table: requests, and seconds against one reader alone."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.report import print_row
from receipt_dynamo.client import DynamoClient
from receipt_layoutlm.data.importers.field_alignment import import_sroie
from receipt_layoutlm.data.table_loader import load_receipts
from receipt_layoutlm.data.table_writer import write_records
from workers.local_aws.local_stack import LocalStack, MotoServer

SROIE = Path(__file__).parent.parent.parent / "shared" / "data" / "sroie" / "train.jsonl"
ROUNDS = 2


def measure() -> None:
    """One thread against eight, A B A B in one run."""
    drafts, _ = import_sroie(SROIE)
    with MotoServer() as emulator:
        stack = LocalStack.make(emulator)
        client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
        started = time.perf_counter()
        records = sum(write_records(client, drafts).values())
        wrote = time.perf_counter() - started
        print_row(
            "import of the SROIE receipts into the local table",
            f"{records:,} records in {wrote:.0f} s, {client.request_count:,} requests",
        )
        for _ in range(ROUNDS):
            for threads in (1, 8):
                _load(client, threads)


def _load(client: DynamoClient, threads: int) -> None:
    before, started = client.request_count, time.perf_counter()
    loaded = load_receipts(client, threads=threads)
    took = time.perf_counter() - started
    print_row(
        f"loading them for training, {threads} {'thread' if threads == 1 else 'threads'}",
        f"{len(loaded.receipts)} receipts in {took:.1f} s, {client.request_count - before} requests, no scan",
    )
