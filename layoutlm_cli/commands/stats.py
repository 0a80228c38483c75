"""`stats`: statistics of the table's labelled receipts, and their faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from run_analysis.dataset_statistics import DatasetStatistics


_MERCHANTS_SHOWN = 10
_CONFLICTS_SHOWN = 10


def stats(
    as_json: Annotated[bool, typer.Option("--json", help="JSON for machines, with every merchant.")] = False,
) -> None:
    """Count receipts, words, labels by status, merchants, conflicts, faulty boxes; reads the whole table."""
    from layoutlm_cli.console import errors  # noqa: PLC0415
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from receipt_layoutlm.data.statistics import read_statistics  # noqa: PLC0415

    with errors.status("reading receipts") as status:
        found = read_statistics(
            open_clients().client, lambda done, in_all: status.update(f"{done} of {in_all} images")
        )
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    _show_totals(found)
    _show_labels(found)
    _show_merchants(found)
    _show_conflicts(found)


def _show_totals(found: DatasetStatistics) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    faults = (
        ("words with several valid labels", found.words_in_conflict),
        ("valid labels without a word", found.labels_without_word),
        ("words without text", found.words_without_text),
        ("words without a finite box", found.words_without_box),
        ("boxes without area", found.boxes_without_area),
        ("boxes inverted", found.boxes_inverted),
        ("boxes out of 0..1", found.boxes_out_of_range),
        ("receipts unreadable", found.receipts_unreadable),
        ("words and labels unreadable", found.records_unreadable),
        ("labelled receipts without a merchant", found.receipts_without_merchant),
    )
    rows = [
        ("images", found.images),
        ("receipts", found.receipts),
        ("receipts with a valid label", found.receipts_labelled),
        ("lines", found.lines),
        ("words", found.words),
        ("words with a valid label", found.words_labelled),
        ("merchants", found.merchants_known),
        ("most words for one of the rarest label", found.imbalance and f"{found.imbalance:.0f}"),
        *((name, count) for name, count in faults if count),
    ]
    table("receipts of the table", ("", ""), rows)


def _show_labels(found: DatasetStatistics) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    rows = [
        (
            one.label,
            one.words,
            one.entities,
            one.receipts,
            one.merchants,
            f"{one.share:.1%}",
            ", ".join(f"{count} {status}" for status, count in one.by_status.items()) or None,
        )
        for one in found.labels
    ]
    rows += [(name, 0, 0, 0, 0, "unknown", f"{count} words") for name, count in found.labels_unknown.items()]
    columns = ("label", "words", "entities", "receipts", "merchants", "share", "by status")
    table("labels that training learns", columns, rows)


def _show_merchants(found: DatasetStatistics) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    rows = [(one.merchant, one.receipts, one.labelled_words) for one in found.merchants[:_MERCHANTS_SHOWN]]
    if rows:
        table("largest merchants", ("merchant", "receipts", "labelled words"), rows)


def _show_conflicts(found: DatasetStatistics) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    rows = [
        (one.receipt, one.line_id, one.word_id, one.text, ", ".join(one.labels))
        for one in found.conflicts[:_CONFLICTS_SHOWN]
    ]
    if rows:
        title = f"words with several valid labels ({found.words_in_conflict}); the first one counts"
        table(title, ("receipt", "line", "word", "text", "labels"), rows)
