"""The page of a comparison: curves over each other, and what differs."""

from __future__ import annotations

import json

import pytest

from run_analysis.report.comparison_report import build_comparison
from run_records.errors import ConfigurationError
from tests.support.pages import Page
from tests.support.runs import make_detail


def test_the_runs_stand_beside_each_other_with_the_settings_that_differ() -> None:
    runs = [
        make_detail(3, name="slow", seed=1, batch_size=4),
        make_detail(5, name="fast", seed=2, batch_size=16),
    ]
    tables = Page(build_comparison(runs)).tables
    [caption] = [name for name in tables if name.startswith("Settings that differ")]
    assert sorted(tables[caption]) == [
        ["batch_size", "4", "16"],
        ["epochs", "3", "5"],
        ["setting", "slow", "fast"],
    ]
    results = {row[0]: row[1:] for row in tables["Results at the best epoch"]}
    assert results["best F1"] == [f"{one.run.best_f1:.3f}" for one in runs]
    assert tables["F1 by epoch"][4] == ["4", "–", f"{runs[1].epochs[3].eval_f1:.4g}"]  # noqa: RUF001 - the sign of what is not known


def test_each_chart_has_a_line_for_each_run() -> None:
    runs = [make_detail(2, name=name, seed=at) for at, name in enumerate("abc")]
    page = Page(build_comparison(runs))
    specs = [json.loads(one.text) for one in page.all("script") if one.attributes.get("type")]
    assert len(specs) == 5
    for spec in specs:
        assert {row["what"] for row in spec["data"]["values"]} == {"a", "b", "c"}


def test_runs_of_one_name_are_told_apart_by_their_ids() -> None:
    runs = [make_detail(2, seed=1), make_detail(2, seed=2)]
    [header] = Page(build_comparison(runs)).all("header")
    for one in runs:
        assert f"receipts-a {one.run.job_id[:8]}" in header.text


def test_one_run_is_no_comparison() -> None:
    with pytest.raises(ConfigurationError, match="at least two"):
        build_comparison([make_detail(2)])
