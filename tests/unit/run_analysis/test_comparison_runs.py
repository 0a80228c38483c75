"""Runs side by side: what differs, and which of them may be ranked together."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from run_analysis.comparison.compare_runs import RunComparison, compare_runs
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary
from run_records.epoch_record import EpochFacts, LabelFacts
from run_records.errors import ConfigurationError
from run_records.scores import Interval


def a_run(name: str, f1: float | None = 0.8, validation: str | None = "aaaa", **fields: Any) -> RunDetail:
    summary = RunSummary(
        job_id=str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        name=name,
        status=fields.pop("status", "succeeded"),
        created_at="2026-01-01T00:00:00.000000+00:00",
        best_f1=f1,
        best_f1_interval=fields.pop("interval", None),
        val_receipts_hash=validation,
    )
    return RunDetail(run=summary, config=fields.pop("config", {}), **fields)


def ranked(found: RunComparison) -> list[list[tuple[int, str]]]:
    return [[(place.place, place.name) for place in ranking.places] for ranking in found.rankings]


def said(found: RunComparison) -> str:
    return "\n".join(found.notes)


def test_runs_on_the_same_receipts_are_ranked_by_their_best_f1() -> None:
    found = compare_runs([a_run("low", 0.7), a_run("high", 0.9), a_run("mid", 0.8)])
    assert ranked(found) == [[(1, "high"), (2, "mid"), (3, "low")]]
    assert [run.name for run in found.runs] == ["low", "high", "mid"]
    assert "same validation receipts (aaaa)" in said(found)


def test_equal_scores_share_a_place() -> None:
    found = compare_runs([a_run("a", 0.8), a_run("b", 0.9), a_run("c", 0.9)])
    assert ranked(found) == [[(1, "b"), (1, "c"), (3, "a")]]


def test_runs_on_different_receipts_are_ranked_apart_and_the_words_say_so() -> None:
    runs = [a_run("a", 0.7), a_run("b", 0.8), a_run("other", 0.99, validation="bbbb")]
    found = compare_runs(runs)
    assert ranked(found) == [[(1, "b"), (2, "a")]]
    assert "different validation receipts: a, b on aaaa; other on bbbb" in said(found)
    assert "Only runs on the same receipts are ranked together" in said(found)


def test_asked_to_rank_across_splits_it_ranks_all_and_warns() -> None:
    runs = [a_run("a", 0.7), a_run("b", 0.8, validation="bbbb"), a_run("c", 0.9, validation=None)]
    found = compare_runs(runs, across_splits=True)
    assert ranked(found) == [[(1, "c"), (2, "b"), (3, "a")]]
    assert found.rankings[0].validation is None
    assert "a difference may come from the receipts alone" in said(found)
    assert "not known on which receipts these were scored: c" in said(found)


def test_runs_that_do_not_say_what_they_were_scored_on_are_not_ranked_even_with_each_other() -> None:
    found = compare_runs([a_run("a", validation=None), a_run("b", validation=None)])
    assert found.rankings == ()
    assert "not known on which receipts these were scored: a, b" in said(found)


def test_a_run_that_is_under_way_shows_its_best_so_far_and_is_not_ranked() -> None:
    epochs = (EpochFacts(epoch=1, eval_f1=0.5, eval_recall=0.4), EpochFacts(epoch=2, eval_f1=0.3))
    young = a_run("young", None, status="running", epochs=epochs)
    found = compare_runs([young, a_run("a"), a_run("b", 0.9)])
    assert (found.runs[0].best_f1, found.runs[0].best_epoch, found.runs[0].recall) == (0.5, 1, 0.4)
    assert ranked(found) == [[(1, "b"), (2, "a")]]
    assert "young is running: what is shown is its best so far, and it is not ranked." in found.notes


def test_a_run_without_a_score_is_said_to_have_none_and_tied_ones_to_be_in_no_order() -> None:
    bounds = Interval(low=0.7, high=0.9)
    found = compare_runs(
        [a_run("broken", None, status="failed"), a_run("a", interval=bounds), a_run("b", interval=bounds)]
    )
    assert "broken is failed: it has no score, and it is not ranked." in found.notes
    assert "overlap" not in said(found)


def test_settings_are_compared_as_they_were_used_and_not_as_they_were_written() -> None:
    ours = a_run("ours", config={"batch_size": 8, "learning_rate": 5e-5, "epochs": 3})
    older = a_run("older", config={"batch_size": "8", "learning_rate": "5e-05", "epochs": "4"})
    found = compare_runs([ours, older])
    assert [(one.option, one.values) for one in found.differing] == [("epochs", (3, 4))]
    assert found.equal_settings > 30


def test_an_option_that_is_not_recorded_was_left_at_its_default() -> None:
    found = compare_runs([a_run("a", config={"weight_decay": 0.01}), a_run("b"), a_run("c", config={"x": 1})])
    assert [(one.option, one.values) for one in found.differing] == [("x", (None, None, 1))]


def test_lists_and_values_that_no_message_would_take_are_compared_as_well() -> None:
    one = a_run("a", config={"allowed_labels": ["DATE", "TAX"], "epochs": "many"})
    other = a_run("b", config={"allowed_labels": "DATE,TAX", "epochs": 0})
    found = compare_runs([one, other])
    assert [(one.option, one.values) for one in found.differing] == [("epochs", ("many", 0))]


def test_scores_of_labels_are_those_of_the_best_evaluation() -> None:
    epochs = tuple(
        EpochFacts(epoch=at, eval_f1=f1, per_label_metrics={"DATE": LabelFacts(f1=f1 / 2)})
        for at, f1 in ((1, 0.6), (2, 0.9), (3, 0.7))
    )
    found = compare_runs([a_run("a", epochs=epochs), a_run("b")])
    assert found.labels == ("DATE",)
    assert found.runs[0].per_label_f1 == {"DATE": 0.45}
    assert found.runs[1].per_label_f1 == {}


def test_neighbours_whose_intervals_overlap_are_said_to_be_in_an_order_of_chance() -> None:
    found = compare_runs(
        [
            a_run("a", 0.80, interval=Interval(low=0.78, high=0.83)),
            a_run("b", 0.82, interval=Interval(low=0.80, high=0.84)),
            a_run("c", 0.95, interval=Interval(low=0.94, high=0.96)),
        ]
    )
    overlapping = [note for note in found.notes if "overlap" in note]
    assert len(overlapping) == 1
    assert "b and a" in overlapping[0]


def test_other_labels_and_other_data_are_named_as_reasons() -> None:
    found = compare_runs(
        [
            a_run("a", labels=("DATE",), data_config={"dataset_hash": "1"}),
            a_run("b", labels=("DATE", "TAX"), data_config={"dataset_hash": "2"}),
        ]
    )
    assert "different labels" in said(found)
    assert "different data" in said(found)


def test_a_record_of_other_software_with_wrong_types_is_compared_without_them() -> None:
    odd = a_run("odd", dataset_counts={"train_receipts": "plenty"}, data_config={"dataset_hash": 7})
    found = compare_runs([odd, a_run("b")])
    assert (found.runs[0].train_receipts, found.runs[0].dataset_hash) == (None, None)
    assert ranked(found) == [[(1, "odd"), (1, "b")]]


@pytest.mark.parametrize("runs", [[], [a_run("a")], [a_run("a"), a_run("a")]])
def test_a_comparison_takes_two_different_runs(runs: list[RunDetail]) -> None:
    with pytest.raises(ConfigurationError, match="at least two runs"):
        compare_runs(runs)
