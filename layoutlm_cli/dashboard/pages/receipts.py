"""The page of sample predictions: validation receipts with the best checkpoint's labels over their words."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from layoutlm_cli.dashboard.context import PageContext, in_thread, site_of
from run_analysis.report.receipt_drawings import KINDS, PLAIN, draw_receipt
from run_analysis.runs import find_run
from run_records.predictions_json import read_predictions


async def show_receipts(request: Request) -> Response:
    """The receipts that a run's predictions are of, and one of them drawn: the worst, or as asked for."""
    site = site_of(request)
    context = await in_thread(_read, site, request.path_params["job"], request.query_params.get("key"))
    return site.renderer.page("receipts.html", kinds=KINDS, plain=PLAIN, **context)


def _read(site: PageContext, job: str, key: str | None) -> dict[str, Any]:
    run = find_run(site.sources.client, job)
    predictions = read_predictions(site.sources.storage, run.run_s3_uri)
    if predictions is None or not predictions.receipts:
        return {"run": run, "predictions": None, "drawn": None}
    receipt = predictions.of(key) if key else predictions.receipts[0]
    if receipt is None:
        raise HTTPException(404, "This run has no predictions for that receipt. Choose one from its list.")
    return {"run": run, "predictions": predictions, "drawn": draw_receipt(receipt)}
