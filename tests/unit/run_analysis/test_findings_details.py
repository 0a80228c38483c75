"""Findings from other evidence than curves: other runs, failed attempts, merges, checkpoints, noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pydantic
import pytest

from run_analysis.findings.find import detect_findings
from run_analysis.findings.finding import Evidence, Finding, MetricPoint
from run_analysis.findings.run_context import RunContext
from run_analysis.findings.schedule import scheduled
from run_analysis.findings.series import Series
from run_analysis.job_records import FailureFacts
from run_analysis.run import RunDetail
from tests.support.curve_shapes import FAULTY, HEALTHY
from tests.support.curves import STEPS, Shape, simulate


def healthy(**changed: Any) -> RunDetail:
    return simulate(replace(HEALTHY["healthy"].shape, **changed), seed=3)


def the(kind: str, run: RunDetail, *others: RunDetail) -> Finding | None:
    return next(
        (one for one in detect_findings(run, [other.run for other in others]) if one.kind == kind), None
    )


def found(kind: str, run: RunDetail, *others: RunDetail) -> Finding:
    finding = the(kind, run, *others)
    assert finding is not None
    return finding


def test_a_finding_without_evidence_cannot_be_made() -> None:
    with pytest.raises(pydantic.ValidationError, match="evidence"):
        Finding(kind="plateau", severity="info", says="So.", evidence=(), remedy="Do.")


def test_evidence_prints_its_epochs_and_leaves_out_the_middle_of_many() -> None:
    points = tuple(MetricPoint(epoch=epoch, value=epoch / 10) for epoch in range(1, 11))
    assert str(Evidence(name="f1", points=points[:2])) == "f1 0.1 (epoch 1), 0.2 (epoch 2)"
    assert str(Evidence(name="f1", points=points)).count("epoch") == 6
    assert "…" in str(Evidence(name="f1", points=points))
    assert str(Evidence(name="learning_rate", value=5e-5)) == "learning_rate 5e-05"


def test_overfitting_names_the_place_of_the_best_checkpoint_or_its_step() -> None:
    run = simulate(FAULTY["overfitting, strong"].shape, seed=1)
    assert run.best is not None
    best = run.best.global_step
    assert (
        found("overfitting", run).use_checkpoint == f"s3://bucket/runs/a-run/checkpoints/checkpoint-{best}/"
    )
    without = run.model_copy(update={"checkpoints": ()})
    assert found("overfitting", without).use_checkpoint == f"checkpoint-{best}"


def test_the_best_checkpoint_is_that_of_the_metric_that_the_run_chose_by() -> None:
    shape = FAULTY["overfitting, losses only"].shape
    options = {**shape.options, "checkpoint_metric": "loss"}
    run = simulate(replace(shape, options=options, obeys_patience=False), seed=1)
    lowest = min(run.epochs, key=lambda one: one.eval_loss or 0.0)
    checkpoint = found("overfitting", run).use_checkpoint
    assert checkpoint is not None
    assert checkpoint.endswith(f"checkpoint-{lowest.global_step}/")


def test_an_attempt_that_ended_for_its_loss_is_evidence_by_itself() -> None:
    failure = FailureFacts(
        attempt=1, at="2026-03-04T09:30:00.000000+00:00", error_class="diverged", message="The loss is nan"
    )
    run = healthy(epochs=1).model_copy(update={"failures": (failure,), "epochs": ()})
    finding = found("divergence", run)
    assert "The loss is nan" in str(finding.evidence[0])
    assert finding.use_checkpoint is None


def test_a_run_under_way_is_not_said_to_have_ended_too_soon() -> None:
    run = simulate(FAULTY["too short, ten epochs"].shape, seed=1)
    assert the("underfitting", run)
    running = run.run.model_copy(update={"status": "running"})
    assert the("underfitting", run.model_copy(update={"run": running})) is None


def test_runs_of_one_or_two_epochs_say_nothing_of_their_course() -> None:
    for shape in (*HEALTHY.values(), *FAULTY.values()):
        run = simulate(shape.shape, seed=5)
        short = run.model_copy(update={"epochs": run.epochs[: 2 * shape.shape.evaluations][:2]})
        assert {one.kind for one in detect_findings(short)} <= {
            "imbalance",
            "not_comparable",
            "schedule",
            "unseen_merchants",
        }


def test_a_rate_that_is_one_step_ahead_is_no_wrong_schedule() -> None:
    run = healthy()
    peak = run.config["learning_rate"]
    total = 12 * STEPS
    warmup = total // 10
    moved = tuple(
        one.model_copy(
            update={"learning_rate": peak * scheduled(one.global_step - 1, warmup, total)},
        )
        for one in run.epochs
    )
    assert the("schedule", run.model_copy(update={"epochs": moved})) is None


def test_a_wrong_schedule_is_shown_beside_the_expected_one() -> None:
    finding = found("schedule", simulate(FAULTY["constant rate"].shape, seed=1))
    recorded, expected = finding.evidence
    assert {point.value for point in recorded.points[1:]} == {5e-5}
    assert expected.points[-1].value < 2.5e-5
    assert "instead of" in finding.says


def test_a_run_that_continues_another_keeps_its_schedule() -> None:
    shape = FAULTY["constant rate"].shape
    continued = replace(shape, options={"resume_from_s3": "s3://bucket/runs/other/checkpoints/checkpoint-9/"})
    assert the("schedule", simulate(continued, seed=1)) is None


def test_labels_with_too_few_examples_are_told_from_those_with_enough() -> None:
    run = simulate(FAULTY["two labels never learned"].shape, seed=1)
    scarce, ample = (one for one in detect_findings(run) if one.kind == "label_never_learns")
    assert "TIP" in scarce.says
    assert "too few examples" in scarce.says
    assert "labels_train TIP 9" in map(str, scarce.evidence)
    assert "TAX" in ample.says
    assert "class_weights sqrt" in ample.remedy


def test_words_of_merged_labels_count_for_their_target() -> None:
    run = healthy(words={"DATE": 4, "MERCHANT_NAME": 900})
    counts = {"labels_train": {"DATE": 4, "TIME": 300, "MERCHANT_NAME": 900}}
    merged = run.model_copy(update={"label_merges": {"DATE": ("TIME",)}, "dataset_counts": counts})
    assert the("imbalance", run)
    assert the("imbalance", merged) is None


def test_a_label_without_validation_examples_is_not_said_to_be_unlearned() -> None:
    run = simulate(FAULTY["label never learned though frequent"].shape, seed=1)
    epochs = tuple(
        one.model_copy(
            update={
                "per_label_metrics": {
                    name: scores.model_copy(update={"support": 0}) if name == "TAX" else scores
                    for name, scores in one.per_label_metrics.items()
                }
            }
        )
        for one in run.epochs
    )
    assert the("label_never_learns", run)
    assert the("label_never_learns", run.model_copy(update={"epochs": epochs})) is None


def test_runs_of_the_same_labels_on_other_receipts_are_named() -> None:
    run = healthy()
    elsewhere = simulate(Shape(), seed=4, name="elsewhere")
    other_hash = elsewhere.run.model_copy(update={"val_receipts_hash": "0000000000000000"})
    others = elsewhere.model_copy(update={"run": other_hash})
    finding = found("not_comparable", run, others)
    assert "validation of elsewhere 0000000000000000" in map(str, finding.evidence)
    assert the("not_comparable", run, elsewhere) is None
    other_labels = simulate(Shape(words={"TAX": 300}), seed=4, name="elsewhere")
    moved = other_labels.model_copy(
        update={"run": other_labels.run.model_copy(update={"val_receipts_hash": "0"})}
    )
    assert the("not_comparable", run, moved) is None


def test_a_gap_between_merchants_counts_only_on_enough_receipts() -> None:
    run = simulate(FAULTY["reads unseen merchants worse"].shape, seed=1)
    few = tuple(
        one.model_copy(
            update={
                "by_merchant": {
                    name: scores.model_copy(update={"receipts": 6})
                    for name, scores in one.by_merchant.items()
                }
            }
        )
        for one in run.epochs
    )
    assert the("unseen_merchants", run)
    assert the("unseen_merchants", run.model_copy(update={"epochs": few})) is None


def test_what_follows_from_a_fault_is_not_said_beside_it() -> None:
    run = simulate(FAULTY["rate a hundredth"].shape, seed=1)
    assert [one.kind for one in detect_findings(run)] == ["learning_rate_too_low"]


def test_the_remedy_of_a_wrong_rate_names_the_usual_one_of_the_model() -> None:
    assert "5e-05" in found("learning_rate_too_low", simulate(FAULTY["rate a thirtieth"].shape, 1)).remedy
    scratch = simulate(FAULTY["rate thirty times too high"].shape, seed=1)
    assert "0.0015" in found("learning_rate_too_high", scratch).remedy


def test_a_configuration_that_other_software_recorded_as_text_is_read() -> None:
    run = simulate(FAULTY["rate a thirtieth"].shape, seed=1)
    texts = {name: str(value) for name, value in run.config.items() if isinstance(value, int | float)}
    odd = run.model_copy(update={"config": {**texts, "warmup_ratio": None, "optimizer": "sgd"}})
    assert [one.kind for one in detect_findings(odd)] == ["learning_rate_too_low"]


def test_a_jump_of_the_gradient_makes_one_spike_enough() -> None:
    run = healthy(epochs=12)
    assert the("learning_rate_too_high", run) is None
    spiked = list(run.epochs)
    loss = (spiked[4].train_loss or 0.0) + 0.4 * (spiked[0].train_loss or 0.0)
    spiked[4] = spiked[4].model_copy(update={"train_loss": loss})
    assert the("learning_rate_too_high", run.model_copy(update={"epochs": tuple(spiked)})) is None
    norms = tuple(
        one.model_copy(update={"grad_norm": 40.0 if at == 4 else 1.0}) for at, one in enumerate(spiked)
    )
    finding = found("learning_rate_too_high", run.model_copy(update={"epochs": norms}))
    assert "grad_norm 1 (epoch 4), 40 (epoch 5)" in map(str, finding.evidence)


def test_noise_is_measured_on_a_level_course_and_not_on_a_bending_one() -> None:
    epochs = tuple(float(number) for number in range(40))
    level = Series("f1", epochs, tuple(0.9 + 0.01 * (-1) ** number for number in range(40)))
    bending = Series("f1", epochs, tuple(0.9 * (1 - 0.5**epoch) for epoch in epochs))
    assert level.noise == pytest.approx(0.04 / 1.65, rel=0.05)
    assert bending.noise == pytest.approx(0, abs=1e-4)
    assert Series("f1", epochs[:6], level.values[:6]).noise is None


def test_effort_counts_epochs_by_their_learning_rate() -> None:
    effort = RunContext(healthy()).effort
    assert effort[11.0] == pytest.approx(6.3, abs=0.1)
    assert effort[2.0] - effort[1.0] > effort[7.0] - effort[6.0]
