"""The report that every run ends with, however it ends; a picture that fails costs no training."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from receipt_dynamo.entities.field_types import JobState
from receipt_dynamo.errors import NotFound
from receipt_layoutlm.training.state import Run

log = logging.getLogger(__name__)


def leave_report(run: Run, status: JobState, results: dict[str, Any], error: str | None = None) -> None:
    """Write `report.html` beside `run.json`, as if the daemon had already noted how the run ended.

    A failure is no failure of the run: it is logged, for people beside the run's other lines, too.
    """
    with run.pulse.working("reporting"):
        try:
            _write(run, status, results, error)
        except NotFound:
            log.warning("no report.html: the job's record is gone from the table")
        except Exception as failure:
            log.exception("report.html was not written")
            run.recorder.record_fault(f"report.html was not written: {failure}")


def _write(run: Run, status: JobState, results: dict[str, Any], error: str | None) -> None:
    # Here, because drawing takes a second to load that a run which is stopped does not have.
    from run_analysis.report.build import report_of, write_report  # noqa: PLC0415
    from run_analysis.run import describe_job  # noqa: PLC0415

    client = run.recorder.client
    job = client.get_job(run.config.job_id)
    ended = replace(job, status=status, results={**job.results, **results}, error_message=error)
    detail = describe_job(client, run.storage, ended)
    write_report(run.storage, detail, report_of(run.storage, detail))
