"""Groups of runs: who is in them, what else differs, and what is said of those left out."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from run_analysis.comparison.compare_groups import GroupComparison, compare_groups
from run_analysis.runs import RunSummary
from run_records.errors import ConfigurationError


def a_run(
    f1: float | None, *, validation: str | None = "aaaa", tags: dict[str, str] | None = None, **config: Any
) -> RunSummary:
    job_id = str(uuid.uuid4())
    return RunSummary(
        job_id=job_id,
        name=f"run-{job_id[:6]}",
        status="succeeded",
        created_at="2026-01-01T00:00:00.000000+00:00",
        best_f1=f1,
        val_receipts_hash=validation,
        tags=tags or {},
        config=config,
    )


def repeated(mean: float, n: int = 5, **fields: Any) -> list[RunSummary]:
    return [a_run(mean + at / 1000, seed=at, **fields) for at in range(n)]


def said(found: GroupComparison) -> str:
    return "\n".join(found.notes)


def test_runs_are_grouped_by_an_option_the_best_group_first() -> None:
    found = compare_groups([*repeated(0.7, batch_size=8), *repeated(0.8, batch_size="16")], "batch_size")
    assert [(group.value, group.scores.n) for group in found.groups] == [(16, 5), (8, 5)]
    assert found.groups[0].best.best_f1 == pytest.approx(0.804)
    [pair] = found.pairs
    assert pair.words == "16 scored higher than 8"
    assert found.validation == "aaaa"
    assert found.confounders == ()


def test_a_run_that_does_not_record_the_option_has_its_default() -> None:
    found = compare_groups([*repeated(0.7, weight_decay=0.01), *repeated(0.8)], "weight-decay")
    assert [(group.value, group.scores.n) for group in found.groups] == [(0.01, 10)]
    assert "All of these runs have weight_decay 0.01" in said(found)


def test_runs_are_grouped_by_a_tag_and_those_without_it_are_counted() -> None:
    runs = [*repeated(0.7, tags={"data": "new"}), *repeated(0.8, tags={"data": "old"}), a_run(0.9)]
    found = compare_groups(runs, "data")
    assert {group.text: group.scores.n for group in found.groups} == {"old": 5, "new": 5}
    assert [(one.why, one.runs) for one in found.left_out] == [("no tag data", (runs[-1].name,))]


def test_only_the_largest_set_of_the_same_receipts_is_grouped_and_the_others_are_named() -> None:
    runs = [
        *repeated(0.7, 4, epochs=3),
        *repeated(0.8, 4, epochs=5),
        a_run(0.99, validation="bbbb", epochs=5),
        a_run(0.99, validation=None, epochs=5),
        *repeated(0.99, 9, validation=None, epochs=7),
    ]
    found = compare_groups(runs, "epochs")
    assert [(group.value, group.scores.n) for group in found.groups] == [(5, 4), (3, 4)]
    assert {one.why: len(one.runs) for one in found.left_out} == {
        "scored on bbbb": 1,
        "not known on which receipts": 10,
    }
    assert "the largest set of runs, 8" in said(found)
    assert runs[8].name in said(found)


def test_asked_to_pool_it_pools_warns_and_names_the_receipts_as_a_difference() -> None:
    runs = [*repeated(0.7, epochs=3), *repeated(0.8, validation="bbbb", epochs=5)]
    found = compare_groups(runs, "epochs", across_splits=True)
    assert (found.validation, len(found.groups), found.left_out) == (None, 2, ())
    assert "may come from the receipts alone" in said(found)
    assert [one.setting for one in found.confounders] == ["validation receipts"]


def test_runs_that_all_do_not_say_what_they_were_scored_on_make_no_group() -> None:
    found = compare_groups(repeated(0.7, validation=None), "epochs")
    assert (found.groups, found.pairs) == ((), ())
    assert "no run with a score of which it is known" in said(found)


def test_runs_without_a_score_are_left_out_and_counted() -> None:
    found = compare_groups([*repeated(0.7), a_run(None)], "epochs")
    assert found.groups[0].scores.n == 5
    assert "Left out, no final score: 1" in said(found)


def test_other_settings_that_differ_between_the_groups_are_named() -> None:
    runs = [
        *repeated(0.7, batch_size=8, learning_rate=5e-5),
        *repeated(0.8, batch_size=16, learning_rate=1e-4),
    ]
    found = compare_groups(runs, "batch_size")
    [confounder] = found.confounders
    assert (confounder.setting, confounder.values["16"]) == ("learning_rate", {"0.0001": 5})
    assert "differ in more than this: learning_rate" in said(found)


def test_a_full_grid_and_its_seeds_confound_nothing() -> None:
    runs = [
        a_run(0.7 + size / 100, batch_size=size, epochs=epochs, seed=seed)
        for size in (4, 8)
        for epochs in (3, 5, 7)
        for seed in range(size)  # as many times as often in one group as in the other
    ]
    assert compare_groups(runs, "batch_size").confounders == ()


def test_a_grid_with_a_hole_is_named() -> None:
    runs = [
        a_run(0.7, batch_size=size, epochs=epochs)
        for size, epochs in ((4, 3), (4, 3), (4, 5), (8, 3), (8, 5))
    ]
    [confounder] = compare_groups(runs, "batch_size").confounders
    assert confounder.values == {"4": {"3": 2, "5": 1}, "8": {"3": 1, "5": 1}}


def test_other_data_to_learn_from_is_a_difference_too() -> None:
    runs = [
        *(run.model_copy(update={"train_receipts": 100}) for run in repeated(0.7, epochs=3)),
        *(run.model_copy(update={"train_receipts": 200}) for run in repeated(0.8, epochs=5)),
    ]
    assert [one.setting for one in compare_groups(runs, "epochs").confounders] == ["train_receipts"]


def test_an_interval_of_few_runs_comes_with_what_it_is_worth() -> None:
    assert "too narrow" in said(compare_groups(repeated(0.7, 4), "epochs"))
    assert "too narrow" not in said(compare_groups(repeated(0.7, 12), "epochs"))


def test_lists_are_grouped_by_what_they_say() -> None:
    runs = [a_run(0.7, allowed_labels=["DATE", "TAX"]), a_run(0.8, allowed_labels="DATE,TAX"), a_run(0.9)]
    found = compare_groups(runs, "allowed_labels")
    assert [(group.text, group.scores.n) for group in found.groups] == [
        ("none", 1),
        ('["DATE", "TAX"]', 2),
    ]


def test_an_option_that_does_not_exist_is_met_with_near_ones() -> None:
    with pytest.raises(ConfigurationError, match="no option or tag 'learning-rat'") as caught:
        compare_groups(repeated(0.7), "learning-rat")
    assert "Did you mean learning_rate" in str(caught.value)
    with pytest.raises(ConfigurationError, match="Did you mean team"):
        compare_groups(repeated(0.7, tags={"team": "a"}), "tem")
