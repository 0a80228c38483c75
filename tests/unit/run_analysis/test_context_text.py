"""History and data set summed up: what is best, what is scarce, and what Markdown makes of hostile names."""

from __future__ import annotations

from typing import Any

from run_analysis.comparison.setting_differences import changed_options
from run_analysis.dataset_statistics import DatasetStatistics, LabelStatistics, MerchantStatistics
from run_analysis.run import History, RunDetail, RunHistory
from run_analysis.runs import RunSummary
from run_analysis.summary import render_dataset, render_history, score_labels, sum_up_dataset, sum_up_history
from run_records.epoch_record import EpochFacts, LabelFacts

NOW = "2026-03-04T09:30:00.000000+00:00"


def run(name: str, best_f1: float | None, validation: str | None, **more: Any) -> RunHistory:
    known = {"job_id": name, "name": name, "status": "succeeded", "created_at": NOW, **more}
    epochs = known.pop("epochs", ())
    summary = RunSummary.model_validate({**known, "best_f1": best_f1, "val_receipts_hash": validation})
    return RunHistory(run=summary, epochs=epochs)


def evaluation(epoch: float, **f1: float) -> EpochFacts:
    labels = {name: LabelFacts(f1=value, support=0 if name == "TIP" else 5) for name, value in f1.items()}
    return EpochFacts(epoch=epoch, eval_f1=0.5, per_label_metrics=labels, confusion={"O": {"O": 9}})


def test_the_best_run_is_named_for_each_set_of_validation_receipts() -> None:
    runs = (
        run("one", 0.9, "small"),
        run("two", 0.7, "large"),
        run("three", 0.8, "large"),
        run("unknown", 0.99, None),
        run("failed", 0.95, "large", status="failed"),
        run("none", None, "large"),
    )
    found = sum_up_history(History(runs=runs), NOW)
    assert [(one.name, one.validation, one.runs) for one in found.best] == [
        ("three", "large", 2),
        ("one", "small", 1),
    ]
    assert found.runs_by_status == {"succeeded": 5, "failed": 1}


def test_a_history_without_runs_is_still_a_page() -> None:
    text = render_history(sum_up_history(History(runs=()), NOW))
    assert "Runs: none." in text
    assert "Best runs" not in text


def test_the_history_keeps_evaluations_but_not_their_confusions() -> None:
    [one] = sum_up_history(History(runs=(run("a", 0.5, "v", epochs=(evaluation(1, DATE=0.4),)),)), NOW).runs
    assert one.epochs[0].per_label_metrics["DATE"].f1 == 0.4
    assert one.epochs[0].confusion == {}


def test_the_labels_of_the_best_run_are_those_of_its_best_epoch() -> None:
    epochs = (evaluation(1, DATE=0.2, TAX=0.4), evaluation(2, DATE=0.6, TAX=0.3), evaluation(3, DATE=0.1))
    text = render_history(
        sum_up_history(History(runs=(run("a", 0.5, "v", best_epoch=2, epochs=epochs),)), NOW)
    )
    assert "Labels of `a` at epoch 2" in text
    assert text.index("| `TAX` | 0.300 |") < text.index("| `DATE` | 0.600 |")


def test_what_others_wrote_cannot_leave_its_cell() -> None:
    hostile = "a|b`c\n# heading <b> [x](y)"
    text = render_history(
        sum_up_history(History(runs=(run(hostile, 0.5, "v", status="failed", error_message=hostile),)), NOW)
    )
    [row] = [line for line in text.splitlines() if "heading" in line]
    assert row.replace("\\|", "").count("|") == 13
    assert "\\[x\\](y)" in row
    assert "\\<b\\>" in row
    statistics = DatasetStatistics(
        merchants=(MerchantStatistics(merchant=hostile, receipts=1, labelled_words=1),)
    )
    shown = render_dataset(sum_up_dataset(statistics, NOW))
    [row] = [line for line in shown.splitlines() if "heading" in line]
    assert row.replace("\\|", "").count("|") == 4


def test_scarce_labels_are_those_that_occur_too_rarely_the_rarest_first() -> None:
    counts = {"DATE": 500, "TAX": 49, "ADDRESS_LINE": 50, "TIP": 3, "REFUND": 0}
    labels = tuple(LabelStatistics(label=name, words=words) for name, words in counts.items())
    found = sum_up_dataset(DatasetStatistics(labels=labels), NOW)
    assert found.labels_scarce == ("TIP", "TAX")
    assert found.labels_absent == ("REFUND",)


def test_labels_are_scored_at_the_best_evaluation_and_those_with_nothing_to_find_come_last() -> None:
    epochs = (
        evaluation(1, DATE=0.9, TAX=0.5, TIP=0.0).model_copy(update={"eval_f1": 0.8}),
        evaluation(2, DATE=0.1, TAX=0.6, TIP=0.0),
    )
    detail = RunDetail(
        run=run("a", 0.8, "v").run,
        config={},
        epochs=epochs,
        labels=("DATE", "TAX", "TIP"),
        dataset_counts={"labels_train": {"DATE": 7}},
    )
    found = [(one.label, one.f1, one.train_words) for one in score_labels(detail)]
    assert found == [("TAX", 0.5, 0), ("DATE", 0.9, 7), ("TIP", 0.0, 0)]
    assert score_labels(detail.model_copy(update={"epochs": ()})) == ()


def test_options_are_named_where_they_are_not_the_default_however_they_were_recorded() -> None:
    recorded = {"epochs": "12", "batch_size": "8", "learning_rate": 5e-5, "unheard_of": 1}
    assert changed_options(recorded) == {"epochs": 12}
    assert changed_options(recorded, always=("batch_size",)) == {"epochs": 12, "batch_size": 8}
