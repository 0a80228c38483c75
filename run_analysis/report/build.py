"""Builds `report.html` of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from run_analysis.findings.find import detect_findings
from run_analysis.report import settings_tables as settings
from run_analysis.report.charts import CHARTS, charts_of
from run_analysis.report.page import render
from run_analysis.report.receipt_drawings import KINDS, draw_receipt
from run_analysis.report.tables import tables_of
from run_analysis.run import RunDetail
from run_records.errors import ConfigurationError
from run_records.predictions_json import PredictionsFile, read_predictions
from run_records.s3_store import S3Store

REPORT_HTML = "report.html"
_TYPE = "text/html; charset=utf-8"
_MOST_RECEIPTS = 30

_CONTENTS = {
    "findings": "Findings",
    "scores": "Learning",
    "labels": "Labels",
    "confusion": "Confusion",
    "receipts": "Worst receipts",
    "settings": "Settings",
    "data": "Data set",
    "attempts": "Attempts",
    "speed": "Speed, memory and cost",
    "exports": "Exports",
}


def build_report(
    detail: RunDetail, predictions: PredictionsFile | None, *, findings: Sequence[Any] = ()
) -> str:
    """One HTML file about a run, about 1 MB, that needs no network.

    Args:
        detail: the run.
        predictions: words of validation receipts, of which the first 30 receipts are drawn; None has none.
        findings: what was found out about it, as `analysis/findings` has it.
    """
    tables = tables_of(detail)
    receipts = [draw_receipt(one) for one in (predictions.receipts if predictions else ())[:_MOST_RECEIPTS]]
    left_out = {name for name in ("labels", "confusion") if not tables[name].rows}
    left_out |= set() if receipts else {"receipts"}
    return render(
        "report.html",
        detail=detail,
        run=detail.run,
        headline=settings.headline(detail),
        comparability=settings.comparability(detail),
        contents=[(id_, title) for id_, title in _CONTENTS.items() if id_ not in left_out],
        findings=findings,
        charts=charts_of(detail),
        kinds=CHARTS,
        tables=tables,
        predictions=predictions,
        receipts=receipts,
        marks=KINDS,
        changed=settings.changed_settings(detail),
        unchanged=settings.other_settings(detail),
        data=settings.data_table(detail),
        label_counts=settings.label_counts(detail),
        cost=settings.cost_table(detail),
    )


def report_of(storage: S3Store, detail: RunDetail) -> str:
    """The report of a run with what was found out about it, and the receipts that lie in its folder."""
    predictions = read_predictions(storage, detail.run.run_s3_uri)
    return build_report(detail, predictions, findings=detect_findings(detail))


def write_report(storage: S3Store, detail: RunDetail, page: str) -> str:
    """Write a built report into the run's folder; returns its S3 URI.

    Raises:
        ConfigurationError: the job does not say where its run lies.
        RunError: S3 cannot be written.
    """
    place = detail.run.run_s3_uri
    if place is None:
        raise ConfigurationError(
            f"Job {detail.run.name} ({detail.run.status}) does not say where its run lies, so that its "
            "report has no place in S3. Write it to a file instead."
        )
    uri = f"{place}{REPORT_HTML}"
    storage.write(uri, page.encode(), _TYPE)
    return uri
