"""Loads a run's validation receipts again from its recorded source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from receipt_dynamo import DynamoClient
from receipt_layoutlm.data.dynamo_export import load_export
from receipt_layoutlm.data.receipts import Receipt, hash_keys
from receipt_layoutlm.data.snapshot import load_snapshot
from receipt_layoutlm.data.table_loader import keep_listed, load_receipts
from receipt_layoutlm.evaluation.evaluate import Seen
from run_records.run_json import RunRecord
from run_records.s3_store import S3Store


@dataclass(frozen=True, slots=True)
class HeldoutReceipts:
    """Receipts sorted by key.

    Attributes:
        receipts: those of the run's validation receipts that are still there and labelled.
        seen: for each whether its merchant was trained on.
        source: where they were read from, for people.
    """

    receipts: tuple[Receipt, ...]
    seen: Seen
    source: str

    @property
    def keys(self) -> list[str]:
        """Their keys, sorted."""
        return [receipt.key for receipt in self.receipts]

    @property
    def hash(self) -> str:
        """The contract's hash of the keys."""
        return hash_keys(self.keys)

    def sample(self, most: int | None) -> HeldoutReceipts:
        """At most so many of them, from all over the keys and always the same; None takes all."""
        if most is None or most >= len(self.receipts):
            return self
        places = [place * len(self.receipts) // most for place in range(most)]
        return replace(
            self,
            receipts=tuple(self.receipts[place] for place in places),
            seen=tuple(self.seen[place] for place in places),
        )


def find_frozen(
    storage: S3Store, open_table: Callable[[], DynamoClient], record: RunRecord
) -> HeldoutReceipts:
    """Read the validation receipts of a run: from its snapshot where it has one, else as it read them.

    A snapshot is what the run has seen; the table may have other labels by now.

    Raises:
        DataError: none of them is there.
    """
    options, wanted = record.training_config, record.split_metadata.val_receipt_keys
    snapshot = options.dataset_snapshot_save or options.dataset_snapshot_load
    source = snapshot or options.dataset_export_s3 or "the table"
    if snapshot is not None:
        loaded = keep_listed(load_snapshot(storage, snapshot)[0], wanted)
    elif options.dataset_export_s3 is not None:
        loaded = load_export(storage, options.dataset_export_s3, keys=wanted)
    else:
        loaded = load_receipts(open_table(), keys=wanted)
    receipts = tuple(sorted(loaded.receipts, key=lambda receipt: receipt.key))
    known = record.split_metadata.seen
    seen = tuple(known.get(receipt.key) for receipt in receipts)
    return HeldoutReceipts(receipts, seen, source)
