"""Charts of runs: what they show, and that nothing in them depends on one theme or on colour alone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import vl_convert

from receipt_dynamo.clock import read_time
from run_analysis.job_records import FailureFacts
from run_analysis.report.charts import CHARTS, charts_of, loss_chart, memory_chart, overlay, score_chart
from run_analysis.report.label_charts import confusion_chart, label_bars, label_history
from run_analysis.report.timeline import stretches_of, timeline_chart
from run_records.epoch_record import EpochFacts, LabelFacts
from tests.support.runs import make_detail


def rows_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """All rows that a spec carries, however its layers share them."""
    found = list(spec.get("data", {}).get("values", ()))
    return found + [row for layer in spec.get("layer", ()) for row in rows_of(layer)]


@pytest.mark.parametrize("name", CHARTS)
def test_each_chart_compiles_to_vega(name: str) -> None:
    compiled = vl_convert.vegalite_to_vega(charts_of(make_detail())[name])
    assert compiled["marks"]


def test_a_chart_says_in_words_what_it_shows() -> None:
    described = [spec["description"] for spec in charts_of(make_detail()).values()]
    assert all(len(text.split()) > 3 for text in described)
    assert len(set(described)) == len(described)


def test_no_chart_names_a_colour_of_one_theme() -> None:
    text = json.dumps(charts_of(make_detail()))
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgb\(|\"(black|white)\"", text)


def test_a_run_without_evaluations_has_only_its_time_axis() -> None:
    assert set(charts_of(make_detail(0))) == {"timeline"}


def test_what_was_not_recorded_is_left_out_of_a_chart() -> None:
    only_loss = [EpochFacts(epoch=1, eval_loss=0.5), EpochFacts(epoch=2, eval_loss=0.4)]
    assert {row["what"] for row in rows_of(loss_chart(only_loss) or {})} == {"validation"}
    assert score_chart(only_loss) is None


def test_the_scores_have_their_interval_and_the_best_epoch() -> None:
    run = make_detail(4)
    best = run.best
    assert best
    rows = rows_of(score_chart(run.epochs, best) or {})
    assert [row["epoch"] for row in rows if "low" in row] == [1, 2, 3, 4]
    assert all(row["low"] < row["high"] for row in rows if "low" in row)
    assert [row for row in rows if set(row) == {"epoch"}] == [{"epoch": best.epoch}]


def test_memory_is_in_gigabytes() -> None:
    epochs = [EpochFacts(epoch=1, gpu_memory_used=11_200_000_000, memory_used=4_000_000_000)]
    assert [row["value"] for row in rows_of(memory_chart(epochs) or {})] == [11.2, 4]


def test_sixteen_runs_over_each_other_all_differ_in_colour_or_dash() -> None:
    runs = {f"run-{at}": make_detail(2, seed=at).epochs for at in range(16)}
    spec = overlay(runs, "eval_f1", "F1") or {}
    encoding = spec["layer"][0]["encoding"]
    colors, dashes = (encoding[channel]["scale"]["range"] for channel in ("color", "strokeDash"))
    assert len({(color, str(dash)) for color, dash in zip(colors, dashes, strict=True)}) == 16
    assert encoding["color"]["scale"]["domain"] == encoding["strokeDash"]["scale"]["domain"] == list(runs)


def test_labels_without_a_true_entity_have_no_bar() -> None:
    scores = {"DATE": LabelFacts(f1=0.5, support=3), "TIP": LabelFacts(f1=0.0, support=0)}
    epoch = EpochFacts(epoch=1, per_label_metrics=scores)
    assert {row["label"] for row in rows_of(label_bars(epoch) or {})} == {"DATE"}
    assert {row["label"] for row in rows_of(label_history([epoch]) or {})} == {"DATE"}


def test_numbers_stand_in_the_fields_of_a_short_history_only() -> None:
    short, long = (label_history(make_detail(epochs).epochs) or {} for epochs in (10, 50))
    assert [layer["mark"]["type"] for layer in short["layer"]] == ["rect", "text"]
    assert [layer["mark"]["type"] for layer in long["layer"]] == ["rect"]


def test_the_confusion_matrix_shades_by_the_share_of_the_true_label() -> None:
    confusion = {"O": {"O": 90, "TAX": 10}, "TAX": {"TAX": 3, "O": 1}}
    spec = confusion_chart(EpochFacts(epoch=1, confusion=confusion), ["TAX", "DATE"]) or {}
    cells = {(row["true"], row["predicted"]): row for row in rows_of(spec)}
    assert cells["TAX", "TAX"] == {
        "true": "TAX",
        "predicted": "TAX",
        "words": 3,
        "share": 0.75,
        "right": True,
    }
    assert cells["no label", "TAX"]["share"] == 0.1
    assert not cells["TAX", "no label"]["right"]
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == ["TAX", "no label"]


def test_stretches_follow_each_other_by_attempt() -> None:
    found = stretches_of(make_detail())
    assert [(one.row, one.status) for one in found] == [
        ("queue", "pending"),
        ("attempt 1", "running"),
        ("attempt 1", "interrupted"),
        ("attempt 2", "running"),
        ("attempt 2", "succeeded"),
    ]
    assert [one.seconds for one in found] == [40, 820, 600, 1170, 0]


def test_a_run_that_goes_on_lasts_until_its_last_sign() -> None:
    run = make_detail(status="running")
    last = stretches_of(run)[-1]
    assert last.status == "running"
    assert read_time(last.end) == max(read_time(one.at) for one in run.checkpoints)


def test_a_failed_attempt_is_marked_on_its_own_line() -> None:
    failure = FailureFacts(attempt=3, at="2026-03-04T10:20:00+00:00", error_class="network", message="reset")
    run = make_detail(status="failed").model_copy(update={"failures": (failure,)})
    spec = timeline_chart(run) or {}
    marked = [row for row in rows_of(spec) if row.get("what") == "network"]
    assert [(row["row"], row["time"]) for row in marked] == [("attempt 3", "2026-03-04 10:20:00")]
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == [
        "queue",
        "attempt 1",
        "attempt 2",
        "attempt 3",
    ]
