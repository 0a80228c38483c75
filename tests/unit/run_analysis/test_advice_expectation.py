"""The value of more receipts: the learning curve, its interval, and cases without a forecast."""

from __future__ import annotations

import math
import random

import pytest

from run_analysis.advice.advise import advise
from run_analysis.advice.learning_curve import fit_curve
from run_analysis.advice.proposal import Expectation
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary
from tests.support.curves import Shape, simulate

SIZES = (100, 200, 400, 800, 1600)


def law(receipts: float, a: float = 0.95, b: float = 2.0, c: float = 0.5) -> float:
    return a - b / math.pow(receipts, c)


def noisy(seed: int, deviation: float = 0.004) -> list[float]:
    dice = random.Random(seed)  # noqa: S311 - dice that have to fall the same again
    return [law(size) + dice.gauss(0, deviation) for size in SIZES]


def the_run() -> RunDetail:
    return simulate(Shape(), seed=1)


def runs_of(sizes: tuple[int, ...], **changed: object) -> list[RunSummary]:
    run = the_run().run
    return [
        run.model_copy(update={"job_id": f"r{size}", "train_receipts": size, "best_f1": law(size), **changed})
        for size in sizes
    ]


def expectation(history: list[RunSummary], target: float | None = None) -> Expectation:
    return advise(the_run(), history, None, None, target_f1=target).expectation


def test_a_curve_without_noise_is_read_exactly() -> None:
    curve = fit_curve(SIZES, [law(size) for size in SIZES])
    assert curve is not None
    f1, low, high = curve.f1(3200)
    assert f1 == pytest.approx(law(3200), abs=1e-3)
    assert low <= f1 <= high
    needed, least, most = curve.receipts_for(0.9)
    assert needed == pytest.approx(1600, rel=0.03)
    assert needed is not None
    assert (least or 0) <= needed <= (most or needed)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(8):
        curve = fit_curve(SIZES, noisy(seed))
        assert curve is not None
        _, low, high = curve.f1(3200)
        held += low <= law(3200) <= high
    assert held >= 6


def test_the_same_runs_give_the_same_answer() -> None:
    assert expectation(runs_of(SIZES), 0.9) == expectation(runs_of(SIZES), 0.9)


@pytest.mark.parametrize("sizes", [(), (200,), (100, 200, 400), (200, 210, 220, 230), (200, 200, 200, 200)])
def test_too_few_sizes_are_said_to_be_too_few(sizes: tuple[int, ...]) -> None:
    told = expectation(runs_of(sizes), 0.9)
    assert "cannot be told" in told.says
    assert (told.f1, told.receipts_needed, told.target_f1) == (None, None, 0.9)


def test_a_target_says_how_many_receipts_it_takes() -> None:
    told = expectation(runs_of(SIZES), 0.92)
    assert told.receipts == 3200
    assert told.f1 == pytest.approx(law(3200), abs=0.005)
    assert told.receipts_needed == pytest.approx((2 / 0.03) ** 2, rel=0.1)
    assert f"takes about {told.receipts_needed} training receipts" in told.says


def test_a_target_above_the_curve_is_out_of_reach() -> None:
    told = expectation(runs_of(SIZES), 0.999)
    assert told.receipts_needed is None
    assert "No number of receipts" in told.says or "out of reach" in told.says


def test_runs_that_were_scored_on_other_receipts_are_no_evidence() -> None:
    assert "cannot be told" in expectation(runs_of(SIZES, val_receipts_hash="0000000000000000")).says
    others = ("O", "B-TAX", "I-TAX")
    assert "cannot be told" in expectation(runs_of(SIZES, label_list=others)).says


def test_of_several_runs_with_the_same_receipts_the_best_counts() -> None:
    bad = [one.model_copy(update={"job_id": f"{one.job_id}-bad", "best_f1": 0.2}) for one in runs_of(SIZES)]
    told = expectation([*bad, *runs_of(SIZES)])
    assert told.f1 == expectation(runs_of(SIZES)).f1
    assert (told.runs, told.sizes) == (10, 5)


def test_falling_scores_make_no_promise() -> None:
    curve = fit_curve(SIZES, [0.9, 0.8, 0.7, 0.6, 0.5])
    if curve is not None:
        assert curve.f1(3200)[0] <= 0.75
        assert curve.receipts_for(0.95)[0] is None
