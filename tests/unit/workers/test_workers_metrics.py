"""Log lines that are metrics, too: which are, with which dimensions, and by the rules of the format."""

from __future__ import annotations

import json
import math
import string
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from messages.child_protocol import ErrorClass, Trained
from tests.support.embedded_metrics import UNITS as CLOUDWATCH_UNITS
from tests.support.embedded_metrics import metrics_of
from workers.errors import SettingsError
from workers.health import Work
from workers.runtime.measurements import measure_attempt, measure_claim, measure_message
from workers.runtime.outcome import AttemptResult, Ending
from workers.settings import Settings
from workers.sqs.queue import Received
from workers.telemetry.emf_metrics import UNITS, EmbeddedMetrics
from workers.telemetry.logs import configure_logging

VALUES = (
    st.floats(allow_nan=False)
    | st.integers(-(10**12), 10**12)
    | st.booleans()
    | st.text(max_size=5)
    | st.none()
)
FIELDS = st.sampled_from([*UNITS, "epoch", "error"]) | st.text(string.ascii_lowercase, min_size=1, max_size=8)


def line(kind: str = "train", /, **fields: Any) -> dict[str, Any]:
    return dict(EmbeddedMetrics(kind)(None, "info", {"event": "something", **fields}))


def test_every_unit_is_one_that_cloudwatch_knows() -> None:
    assert set(UNITS.values()) <= set(CLOUDWATCH_UNITS)


@given(st.dictionaries(FIELDS, VALUES, max_size=12))
@example({"kind": None, "queue_seconds": 0.0})
def test_whatever_a_line_says_it_keeps_the_rules_and_all_that_it_said(fields: dict[str, Any]) -> None:
    said = line(**fields)
    numbers = {
        name
        for name in UNITS
        if isinstance(fields.get(name), int | float)
        and not isinstance(fields[name], bool)
        and math.isfinite(fields[name])
    }
    assert set(metrics_of(said) if "_aws" in said else ()) == numbers
    assert {"event": "something", **fields}.items() <= said.items()


def test_a_line_that_measures_nothing_stays_as_it_is() -> None:
    said: dict[str, Any] = {"event": "progress", "epoch": 1.0, "eval_f1": 0.5, "ending": "DONE"}
    assert line(**said) == said


def test_jobs_are_told_apart_by_fields_and_never_by_dimensions() -> None:
    found = metrics_of(line("export", job_seconds=2.5, ending="DONE", job_id="a", message_id="b", attempt=1))
    kind = ("worker_kind", "export")
    assert found == {"job_seconds": (2.5, "Seconds", [(kind,), (kind, ("ending", "DONE"))])}


def test_the_time_of_a_metric_is_now_in_milliseconds() -> None:
    before = int(time.time() * 1000)
    stamp = line(idle_seconds=0)["_aws"]["Timestamp"]
    assert before <= stamp <= int(time.time() * 1000)


FAULTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a unit that is none": lambda one: one["_aws"]["CloudWatchMetrics"][0]["Metrics"][0].update(Unit="USD"),
    "no namespace": lambda one: one["_aws"]["CloudWatchMetrics"][0].pop("Namespace"),
    "a time in fractions": lambda one: one["_aws"].update(Timestamp=1.5),
    "no value": lambda one: one.pop("idle_seconds"),
    "a dimension without a value": lambda one: one.pop("worker_kind"),
    "a value that is no number": lambda one: one.update(idle_seconds=math.nan),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_rules_find_a_line_that_cloudwatch_would_drop(fault: str) -> None:
    broken = json.loads(json.dumps(line(idle_seconds=1)))
    FAULTS[fault](broken)
    with pytest.raises((jsonschema.ValidationError, KeyError, AssertionError)):
        metrics_of(broken)


def test_only_the_first_claim_of_a_job_says_how_long_its_message_waited() -> None:
    sent = datetime(2026, 1, 1, tzinfo=UTC)
    message = Received("id", "{}", "handle", sent_at=sent)
    claimed = sent + timedelta(seconds=12.5)
    assert measure_claim(message, 1, claimed) == {"attempt": 1, "queue_seconds": 12.5}
    assert measure_claim(message, 2, claimed) == {"attempt": 2}
    assert measure_claim(message, 1, sent - timedelta(seconds=3))["queue_seconds"] == 0
    assert measure_claim(Received("by-hand", "{}", ""), 1, claimed) == {"attempt": 1}


def test_a_message_names_its_job_where_it_was_of_one() -> None:
    message = Received("id", "{}", "handle", receive_count=2)
    ended = {"ending": "DONE", "receive_count": 2, "job_seconds": 3.0}
    assert measure_message(message, "DONE", 3.0, None) == ended
    work = Work(kind="train", job_id="a", attempt=4)
    assert measure_message(message, "DONE", 3.0, work) == {"job_id": "a", "attempt": 4, **ended}


def test_an_attempt_is_measured_with_the_runs_cost_where_that_is_known() -> None:
    trained = Trained(
        run_s3_uri="s3://b/r/", best_checkpoint_s3_uri="s3://b/r/best/", results={"cost_usd": 0.5}
    )
    assert measure_attempt(AttemptResult(Ending.DONE, report=trained, seconds=2.0), 3) == {
        "attempt_seconds": 2.0,
        "attempts": 3,
        "cost_usd": 0.5,
    }
    free = trained.model_copy(update={"results": {"cost_usd": None}})
    for verdict in (
        AttemptResult(Ending.DONE, report=free),
        AttemptResult.failed(ErrorClass.DATA, "no labels"),
    ):
        assert set(measure_attempt(verdict, 1)) == {"attempt_seconds", "attempts"}


@pytest.mark.parametrize(("kind", "has_metrics"), [("train", True), (None, False)])
def test_lines_are_metrics_only_where_that_was_asked_for(
    kind: str | None, has_metrics: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    before = structlog.get_config()
    try:
        configure_logging(metrics_of=kind)
        structlog.get_logger("fresh").info("lease not renewed yet", beat_failures=1)
    finally:
        structlog.configure(**before)
    said = json.loads(capsys.readouterr().err)
    assert said["beat_failures"] == 1
    assert ("_aws" in said) is has_metrics


def test_metrics_are_off_unless_set_and_a_wrong_format_is_named() -> None:
    assert Settings.from_environ({}).metrics is None
    assert Settings.from_environ({"LAYOUTLM_METRICS": "emf"}).metrics == "emf"
    with pytest.raises(SettingsError, match="LAYOUTLM_METRICS"):
        Settings.from_environ({"LAYOUTLM_METRICS": "statsd"})
