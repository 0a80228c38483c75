"""`sweep` against the emulated table and queue: proposed, sent once, told what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from layoutlm_cli.main import app
from receipt_dynamo.client import DynamoClient
from receipt_dynamo.requests.records import job_key
from run_analysis.sweep.search_space import parse_space
from run_analysis.sweep.study import load_sweep, open_sweep
from run_analysis.sweep.sweep_plan import Method, make_plan
from run_analysis.sweep.sweep_status import SweepStatus, read_sweep_status
from run_records.errors import ConfigurationError
from tests.support.damage import damage
from workers.jobs.job_record import job_record
from workers.local_aws.local_stack import LocalStack

RATES = "learning_rate=1e-5:1e-4:log"
GRID = "epochs=3|5,batch_size=4|8"


class Fleet:
    """The command line, the queue that it fills, and workers who end runs as they are told to."""

    def __init__(self, stack: LocalStack, storage: str) -> None:
        self._stack = stack
        self.storage = storage
        self.client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))

    def sweep(self, *arguments: str) -> str:
        answer = CliRunner().invoke(
            app,
            ["sweep", *arguments, "--storage", self.storage],
            env=self._stack.environ,
            catch_exceptions=False,
        )
        assert answer.exit_code == 0, answer.output
        return answer.output

    def propose(self, space: str, *arguments: str) -> str:
        return self.sweep("propose", "s", "--space", space, *arguments)

    def begin(self, space: str, count: int, *seeds: int, method: Method = "grid") -> None:
        """A sweep whose first runs are pending, as if they had been sent."""
        plan = make_plan("s", parse_space(space), method, {}, seeds)
        sweep = open_sweep(self.storage, plan, keep=True)
        sweep.ask(count - len(sweep.trials))
        for job in read_sweep_status(self.client, sweep).unsent:
            self.client.add_job(job_record(job, self._stack.settings.runs, status="pending"))

    def sent(self) -> list[dict[str, Any]]:
        """Every message on the queue, taken off."""
        found = []
        while (
            messages := self._stack.client("sqs")
            .receive_message(
                QueueUrl=self._stack.environ["TRAIN_JOB_QUEUE_URL"], MaxNumberOfMessages=10, WaitTimeSeconds=0
            )
            .get("Messages")
        ):
            found += [json.loads(message["Body"]) for message in messages]
        return sorted(found, key=lambda body: str(body["job_name"]))

    def end(self, name: str, f1: float | None = None, validation: str = "aaaa") -> None:
        job = self.client.find_job(name)
        status: Any = "failed" if f1 is None else "succeeded"
        results = None if f1 is None else {"best_f1": f1, "val_receipts_hash": validation}
        self.client.update_job_status(job.job_id, status, attempt=1, results=results)

    def look(self) -> SweepStatus:
        return read_sweep_status(self.client, load_sweep(self.storage, "s", keep=True))

    def told(self) -> list[float | None]:
        return [trial.value for trial in load_sweep(self.storage, "s", keep=True).trials]


@pytest.fixture
def fleet(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.chdir(tmp_path)
    return Fleet(stack, str(tmp_path / "s.journal"))


def test_without_submit_it_shows_what_it_would_send_and_keeps_nothing(fleet: Fleet) -> None:
    text = fleet.propose(RATES, "--trials", "2", "--seeds", "0,1")
    assert "4 runs that --submit would send" in text
    assert fleet.sent() == []
    assert not Path(fleet.storage).exists()
    fleet.propose(RATES, "--trials", "2", "--seeds", "0,1", "--submit")
    sent = fleet.sent()
    assert [body["job_name"] for body in sent] == ["s-001-seed0", "s-001-seed1", "s-002-seed0", "s-002-seed1"]
    assert len({body["job_id"] for body in sent}) == 4
    assert all(body["job_id"] in text for body in sent)
    assert all(f"{body['hyperparameters']['learning_rate']:g}" in text for body in sent)


def test_what_is_sent_is_a_whole_request_with_the_base_and_its_tags(fleet: Fleet) -> None:
    fleet.propose(
        GRID, "--method", "grid", "--base", "warmup-ratio=0.2", "--base", "priority=low", "--submit"
    )
    first, *others = fleet.sent()
    assert len(others) == 3
    assert (first["tags"], first["priority"]) == ({"sweep": "s", "trial": "1"}, "low")
    assert first["auto_export"] is False
    options = first["hyperparameters"]
    assert (options["epochs"], options["batch_size"], options["warmup_ratio"]) == (3, 4, 0.2)
    pending = fleet.client.list_jobs_by_status("pending").items
    assert {job.job_id for job in pending} == {body["job_id"] for body in (first, *others)}


def test_run_again_it_sends_nothing_twice(fleet: Fleet) -> None:
    fleet.propose(RATES, "--trials", "2", "--submit")
    assert "nothing left to send" in fleet.propose(RATES, "--trials", "2", "--submit")
    assert len(fleet.sent()) == 2


def test_a_call_that_died_before_it_sent_is_completed_by_the_next(fleet: Fleet) -> None:
    open_sweep(fleet.storage, make_plan("s", parse_space(RATES), "optuna", {}, ()), keep=True).ask(2)
    fleet.propose(RATES, "--trials", "2", "--submit")
    assert [body["job_name"] for body in fleet.sent()] == ["s-001", "s-002"]
    assert len(fleet.told()) == 2


def test_a_call_that_died_after_it_sent_sends_the_same_job_again(fleet: Fleet) -> None:
    fleet.propose(RATES, "--trials", "1", "--submit")
    [body] = fleet.sent()
    fleet.client.delete_job(fleet.client.get_job(body["job_id"]))
    fleet.propose(RATES, "--trials", "1", "--submit")
    assert fleet.sent() == [body]


def test_ended_runs_are_told_once_and_failed_ones_as_failed(fleet: Fleet) -> None:
    fleet.begin(GRID, 4)
    fleet.end("s-001", 0.7)
    fleet.end("s-002")
    fleet.end("s-003", 0.9)
    text = fleet.sweep("status", "s")
    assert "2 succeeded, 1 failed, 1 under way" in text
    assert "best so far: trial 3, F1 0.900: epochs=5, batch_size=4" in text
    assert "partly the luckiest" in text
    assert fleet.told() == [0.7, None, 0.9, None]
    fleet.end("s-001", 0.1)
    best = fleet.look().best
    assert best is not None
    assert best.score == 0.9
    assert fleet.told() == [0.7, None, 0.9, None]


def test_a_trial_of_several_seeds_is_told_their_mean_when_all_have_ended(fleet: Fleet) -> None:
    fleet.begin(GRID, 2, 0, 1)
    fleet.end("s-001-seed0", 0.7)
    fleet.end("s-002-seed0", 0.9)
    fleet.end("s-002-seed1")
    assert [trial.state for trial in fleet.look().trials] == ["under way", "failed"]
    fleet.end("s-001-seed1", 0.8)
    trial, failed = fleet.look().trials
    assert trial.state == "succeeded"
    assert trial.score == pytest.approx(0.75)
    assert trial.sd == pytest.approx(0.0707, abs=1e-4)
    assert failed.why == "s-002-seed1 failed"
    assert fleet.told() == [pytest.approx(0.75), None]


def test_trials_scored_on_other_receipts_are_not_ranked_with_the_others(fleet: Fleet) -> None:
    fleet.begin(GRID, 3)
    for name, f1, validation in (("s-001", 0.7, "a"), ("s-002", 0.6, "a"), ("s-003", 0.99, "b")):
        fleet.end(name, f1, validation)
    found = fleet.look()
    assert found.best is not None
    assert found.best.number == 1
    assert "not all scored on the same validation receipts" in "\n".join(found.notes)


def test_more_asks_for_further_trials_with_what_was_learned(fleet: Fleet) -> None:
    fleet.begin(RATES, 2, method="optuna")
    fleet.end("s-001", 0.7)
    assert "1 runs that --submit would send" in fleet.sweep("more", "s", "1")
    assert fleet.told() == [None, None]
    fleet.sweep("more", "s", "2", "--submit")
    assert [body["job_name"] for body in fleet.sent()] == ["s-003", "s-004"]
    assert fleet.told() == [0.7, None, None, None]


def test_a_grid_without_anything_left_says_so(fleet: Fleet) -> None:
    fleet.begin("epochs=3|5", 2)
    assert "nothing left to send: 2 under way" in fleet.sweep("more", "s", "5", "--submit")


def test_a_combination_that_cannot_be_trained_is_named_and_not_sent(fleet: Fleet) -> None:
    text = fleet.propose("window_size=50|300,window_stride=50|150", "--method", "grid", "--submit")
    assert "trial 2 is not sent" in text
    assert "window_stride must not exceed window_size" in text
    assert [body["job_name"] for body in fleet.sent()] == ["s-001", "s-003", "s-004"]


def test_what_counts_is_told_when_there_are_enough_scores(fleet: Fleet) -> None:
    fleet.begin(f"{RATES},epochs=2:9", 12, method="optuna")
    for trial in fleet.look().trials:
        rate = trial.values["learning_rate"]
        assert isinstance(rate, float)
        fleet.end(f"s-{trial.number:03d}", 0.5 + rate * 1000)
    found = fleet.look()
    assert max(found.importance, key=lambda name: found.importance[name]) == "learning_rate"
    assert sum(found.importance.values()) == pytest.approx(1)
    assert "what the scores depend on" in fleet.sweep("status", "s")


def test_runs_of_an_earlier_sweep_of_the_same_name_are_not_taken_for_its_own(fleet: Fleet) -> None:
    fleet.begin("epochs=3|5", 2)
    fleet.storage = str(Path(fleet.storage).with_name("other.journal"))
    with pytest.raises(ConfigurationError, match="of an earlier sweep of this name"):
        fleet.propose("epochs=7|9", "--method", "grid", "--submit")


def test_a_lost_file_is_made_again_from_the_same_command(fleet: Fleet) -> None:
    fleet.begin(RATES, 2, method="optuna")
    fleet.end("s-001", 0.7)
    Path(fleet.storage).unlink()
    assert "nothing left to send" in fleet.propose(RATES, "--trials", "2", "--submit")
    assert fleet.told() == [0.7, None]


def test_a_sweep_that_is_not_there_and_a_wrong_base_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"no sweep s in sweep-s\.journal"):
        CliRunner().invoke(app, ["sweep", "status", "s"], catch_exceptions=False)
    answer = CliRunner().invoke(app, ["sweep", "propose", "s", "--space", GRID, "--base", "epochs"])
    assert answer.exit_code == 2
    assert "OPTION=VALUE" in answer.output
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_record_is_damaged_is_told_as_such_and_neither_sent_again_nor_told_to_the_study(
    fleet: Fleet, stack: LocalStack
) -> None:
    fleet.begin(GRID, 2)
    fleet.end("s-001", 0.5)
    damage(stack, job_key(fleet.client.find_job("s-002").job_id), job_config={"S": "{}"})
    shown = fleet.sweep("status", "s")
    assert "1 succeeded, 1 unreadable" in shown
    assert "'job_config'" in shown
    assert fleet.told() == [0.5, None]
    assert fleet.look().unsent == []
