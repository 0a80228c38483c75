"""Faults found in runs that are known to have them, and none in healthy ones: at seeds kept for this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest

from run_analysis.findings.find import detect_findings
from run_analysis.findings.finding import Finding
from run_analysis.run import RunDetail
from tests.support.curve_shapes import FAULTY, HEALTHY, Labelled
from tests.support.curves import simulate

HELD_OUT_SEEDS = range(7000, 7005)
"""Thresholds were chosen at seeds below 200; these are of this test only."""
SHAPES = {**HEALTHY, **FAULTY}


def curves(shapes: Iterable[Labelled] = tuple(SHAPES.values())) -> Iterator[tuple[Labelled, RunDetail]]:
    for labelled in shapes:
        for seed in HELD_OUT_SEEDS:
            yield labelled, simulate(labelled.shape, seed)


def rate(part: int, other: int) -> float:
    return part / (part + other) if part + other else 1.0


def test_faults_are_found_and_only_those(record_property: Callable[[str, object], None]) -> None:
    found, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    count = 0
    for labelled, run in curves():
        kinds = {finding.kind for finding in detect_findings(run)}
        found.update(kinds & labelled.faults)
        missed.update(labelled.faults - kinds)
        wrong.update(kinds - labelled.faults)
        count += 1
    precision, recall = rate(found.total(), wrong.total()), rate(found.total(), missed.total())
    report = "\n".join(
        f"{kind:24} found {found[kind]:4} missed {missed[kind]:3} wrong {wrong[kind]:3}"
        for kind in sorted({*found, *missed, *wrong})
    )
    report += f"\n{count} curves: precision {precision:.3f}, recall {recall:.3f}"
    record_property("curves with known faults", count)
    record_property("findings in curves", f"precision {precision:.3f}, recall {recall:.3f}")
    assert count >= 300
    assert precision >= 0.95, report
    assert recall >= 0.95, report


@pytest.mark.parametrize("name", FAULTY)
def test_each_fault_is_found_at_most_seeds(name: str) -> None:
    labelled = FAULTY[name]
    for fault in labelled.faults:
        hits = [fault in {one.kind for one in detect_findings(run)} for _, run in curves([labelled])]
        assert sum(hits) >= 3, fault


def test_what_is_found_says_since_when_from_what_and_what_to_do() -> None:
    findings = [one for _, run in curves() for one in detect_findings(run)]
    assert {one.kind for one in findings} == {fault for one in FAULTY.values() for fault in one.faults}
    for one in findings:
        assert one.evidence
        assert all(str(evidence) for evidence in one.evidence)
        assert one.says.endswith(".")
        assert one.remedy.endswith(".")


def test_the_worst_comes_first() -> None:
    order = ["serious", "warning", "info"]
    for _, run in curves():
        places = [order.index(one.severity) for one in detect_findings(run)]
        assert places == sorted(places)


def test_metrics_that_nobody_recorded_are_no_evidence_and_no_error() -> None:
    fields = ("train_loss", "eval_loss", "eval_f1", "learning_rate", "entity_prediction_rate")
    for labelled, run in curves():
        for field in fields:
            bare = tuple(one.model_copy(update={field: None}) for one in run.epochs)
            partial = detect_findings(run.model_copy(update={"epochs": bare}))
            assert all(points_of(finding) for finding in partial), labelled
        assert detect_findings(run.model_copy(update={"epochs": (), "dataset_counts": {}})) == tuple(
            one for one in detect_findings(run) if one.kind == "not_comparable"
        )


def points_of(finding: Finding) -> bool:
    return all(evidence.points or evidence.value is not None for evidence in finding.evidence)
