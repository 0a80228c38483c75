"""A sweep's memory: what is proposed is kept, the same at every call, and fits what a training takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.errors import InvalidMessage
from messages.train import TrainJob
from run_analysis.sweep.search_space import parse_space
from run_analysis.sweep.study import REFUSED, load_sweep, open_sweep
from run_analysis.sweep.sweep_plan import Method, SweepPlan, jobs_of, make_plan
from run_records.errors import ConfigurationError

SPACE = "learning_rate=1e-5:1e-4:log,batch_size=4|8|auto"


def a_plan(space: str = SPACE, method: Method = "optuna", name: str = "lr", **base: str) -> SweepPlan:
    return make_plan(name, parse_space(space), method, base, ())


def values(sweep: object) -> list[dict[str, object]]:
    return [trial.params for trial in sweep.trials]  # type: ignore[attr-defined]


@pytest.fixture(params=["{}/sweep.journal", "sqlite:///{}/sweep.db"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.param).format(tmp_path)


def test_what_was_proposed_is_there_at_the_next_call(storage: str) -> None:
    first = open_sweep(storage, a_plan(), keep=True)
    first.ask(3)
    again = load_sweep(storage, "lr", keep=True)
    assert (values(again), again.plan) == (values(first), first.plan)
    assert len(values(open_sweep(storage, a_plan(), keep=True))) == 3


def test_what_is_shown_without_being_kept_is_what_would_be_sent(storage: str, tmp_path: Path) -> None:
    shown = open_sweep(storage, a_plan(), keep=False)
    shown.ask(3)
    assert list(tmp_path.iterdir()) == []
    sent = open_sweep(storage, a_plan(), keep=True)
    sent.ask(3)
    assert values(sent) == values(shown)
    further = load_sweep(storage, "lr", keep=False)
    further.ask(2)
    assert len(values(load_sweep(storage, "lr", keep=True))) == 3
    sent.ask(2)
    assert values(sent) == values(further)


def test_a_trial_is_told_once_and_stays_as_it_was_told(storage: str) -> None:
    sweep = open_sweep(storage, a_plan(), keep=True)
    sweep.ask(2)
    sweep.tell(1, 0.8)
    sweep.tell(2, None)
    for again in (open_sweep(storage, a_plan(), keep=True), sweep):
        again.tell(1, 0.1)
        again.tell(2, 0.9)
        assert [(trial.value, trial.state.name) for trial in again.trials] == [
            (0.8, "COMPLETE"),
            (None, "FAIL"),
        ]


def test_scores_steer_what_is_proposed_next(tmp_path: Path) -> None:
    """Fifteen scores that rise with the learning rate: the next ones are asked for where it is high."""
    sweep = open_sweep(str(tmp_path / "file"), a_plan("learning_rate=1e-6:1e-2:log"), keep=True)
    sweep.ask(15)
    for trial in sweep.trials:
        sweep.tell(trial.number + 1, trial.params["learning_rate"])
    sweep.ask(6)
    rates = sorted(trial.params["learning_rate"] for trial in sweep.trials[:15])
    assert sum(trial.params["learning_rate"] > rates[7] for trial in sweep.trials[15:]) >= 5


def test_a_grid_is_proposed_combination_by_combination_until_none_is_left(storage: str) -> None:
    sweep = open_sweep(storage, a_plan("epochs=3|5,batch_size=4|8", "grid"), keep=True)
    sweep.ask(3)
    again = load_sweep(storage, "lr", keep=True)
    again.ask(3)
    assert values(again) == [{"epochs": e, "batch_size": b} for e in (3, 5) for b in (4, 8)]


def test_nothing_is_proposed_twice_and_a_small_space_comes_to_its_end(tmp_path: Path) -> None:
    sweep = open_sweep(str(tmp_path / "file"), a_plan("epochs=2:4,batch_size=4|8"), keep=True)
    sweep.ask(4)
    sweep.ask(4)
    found = {(trial.params["epochs"], trial.params["batch_size"]) for trial in sweep.trials}
    assert len(found) == len(sweep.trials) == 6


def test_a_combination_that_no_training_takes_is_refused_and_another_takes_its_place(tmp_path: Path) -> None:
    plan = a_plan("window_size=50|300,window_stride=50|150", "grid")
    sweep = open_sweep(str(tmp_path / "file"), plan, keep=True)
    sweep.ask(3)
    refused = [trial.params for trial in sweep.trials if REFUSED in trial.user_attrs]
    assert refused == [{"window_size": 50, "window_stride": 150}]
    assert len(sweep.trials) == 4


def test_a_space_in_which_nothing_fits_together_is_an_error_and_does_not_go_on_for_ever(
    tmp_path: Path,
) -> None:
    sweep = open_sweep(str(tmp_path / "file"), a_plan("window_size=50:60,window_stride=70:80"), keep=True)
    with pytest.raises(ConfigurationError, match="window_stride must not exceed window_size"):
        sweep.ask(1)


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_every_proposal_is_a_training_within_the_bounds(number: int) -> None:
    space = "learning_rate=1.23456e-5:1.98765e-4:log,label_smoothing=0:0.1,epochs=2:9,batch_size=4|auto"
    plan = a_plan(space, name=f"s{number}")
    sweep = open_sweep("nowhere", plan, keep=False)
    sweep.ask(4)
    for trial in sweep.trials:
        [job] = jobs_of(plan, trial.number + 1, trial.params)
        options = job.hyperparameters
        assert 1.23456e-5 <= options.learning_rate <= 1.98765e-4
        assert 0 <= options.label_smoothing <= 0.1
        assert 2 <= options.epochs <= 9
        assert options.batch_size in {4, "auto"}
        assert len(f"{trial.params['learning_rate']:g}") <= 10


def test_another_plan_under_the_same_name_is_refused(storage: str) -> None:
    open_sweep(storage, a_plan(), keep=True)
    for other in (a_plan("epochs=3|4"), a_plan(epochs="3"), a_plan("batch_size=4|8|auto", "grid")):
        with pytest.raises(ConfigurationError, match="another space, base or seeds"):
            open_sweep(storage, other, keep=True)


def test_a_sweep_that_was_never_begun_is_not_made_by_looking(storage: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no sweep lr"):
        load_sweep(storage, "lr", keep=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "place", ["{}/no/folder/sweep.journal", "sqlite:///{}/no/folder/sweep.db", "odd://x"]
)
def test_a_storage_that_cannot_be_used_is_one_sentence(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        open_sweep(place.format(tmp_path), a_plan(), keep=True)


def test_a_file_of_something_else_is_not_taken_for_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a journal\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        open_sweep(str(path), a_plan(), keep=True)


def test_a_trial_becomes_the_same_messages_each_time_one_for_each_seed() -> None:
    plan = make_plan(
        "lr", parse_space("epochs=3|4"), "grid", {"priority": "low", "batch_size": "8"}, ["0", "7"]
    )
    first, second = jobs_of(plan, 12, {"epochs": 3})
    assert (first, second) == jobs_of(
        SweepPlan.model_validate_json(plan.model_dump_json()), 12, {"epochs": 3}
    )
    assert (first.job_name, second.job_name) == ("lr-012-seed0", "lr-012-seed7")
    assert first.job_id != second.job_id
    assert first.tags == {"sweep": "lr", "trial": "12"}
    assert (first.priority, first.wants_export) == ("low", False)
    options = second.hyperparameters
    assert (options.epochs, options.batch_size, options.seed) == (3, 8, 7)


def test_ids_differ_by_sweep_trial_and_seed() -> None:
    def ids(name: str, number: int, seeds: tuple[int, ...]) -> list[str]:
        plan = make_plan(name, parse_space("epochs=3|4"), "grid", {}, seeds)
        return [job.job_id for job in jobs_of(plan, number, {"epochs": 3})]

    found = [*ids("a", 1, ()), *ids("a", 2, ()), *ids("b", 1, ()), *ids("a", 1, (0, 1)), *ids("a", 11, ())]
    assert len(set(found)) == len(found) == 6


def test_a_run_is_exported_only_where_the_base_asks_for_it() -> None:
    [job] = jobs_of(a_plan(auto_export="true"), 1, {"learning_rate": 1e-5, "batch_size": 4})
    assert isinstance(job, TrainJob)
    assert job.wants_export


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"name": "../up"}, "cannot begin the names"),
        ({"name": "x" * 110}, "cannot begin the names"),
        ({"base": {"batch_size": "8"}}, "batch_size: given in two places"),
        ({"base": {"epochs": "0"}}, "epochs: Input should be greater"),
        ({"base": {"epoch": "1"}}, "Did you mean epochs"),
        ({"base": {"tags": "{}"}}, "no option 'tags'"),
        ({"base": {"seed": "1"}, "seeds": ["1"]}, "seed: given in two places"),
        ({"seeds": ["1", "1"]}, "named twice"),
        ({"seeds": ["one"]}, "seed: Input should be a valid integer"),
        ({"method": "grid"}, "A grid needs the values of learning_rate"),
    ],
)
def test_a_plan_that_cannot_be_is_one_clear_error(changed: dict[str, object], problem: str) -> None:
    asked = {"name": "lr", "space": parse_space(SPACE), "method": "optuna", "base": {}, "seeds": ()}
    with pytest.raises(ConfigurationError) as caught:
        make_plan(**{**asked, **changed})  # type: ignore[arg-type]
    assert problem in str(caught.value)


def test_a_wrong_option_of_the_job_itself_is_refused_before_anything_is_proposed() -> None:
    with pytest.raises(InvalidMessage, match="priority"):
        a_plan(priority="urgent")
