"""`compare` against the emulated table and bucket."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from layoutlm_cli.main import app
from messages.train import TrainJob
from receipt_dynamo.client import DynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobMetric
from receipt_dynamo.errors import NotFound
from run_records.errors import ConfigurationError
from run_records.s3_store import S3Store
from tests.support.runs import make_detail
from tests.support.stored_runs import store_run
from workers.jobs.job_record import job_record
from workers.local_aws.local_stack import LocalStack


class Runs:
    """Runs in the table, and the command that looks at them."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
        self.storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))

    def add(self, name: str, f1: float | None, validation: str | None = "aaaa", **body: Any) -> str:
        status = body.pop("status", "succeeded")
        job = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": name, **body})
        self.client.add_job(job_record(job, self.stack.settings.runs / f"{name}/", status=status))
        results = {"best_f1": f1, "val_receipts_hash": validation}
        known = {key: value for key, value in results.items() if value is not None}
        if known:
            self.client.merge_job_results(job.job_id, known)
        return job.job_id

    def compare(self, *arguments: str) -> str:
        answer = CliRunner().invoke(
            app, ["compare", *arguments], env=self.stack.environ, catch_exceptions=False
        )
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    def compare_json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.compare(*arguments, "--json"))
        return found


@pytest.fixture
def runs(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(stack)


def test_two_runs_stand_side_by_side_and_are_ranked(runs: Runs) -> None:
    low = runs.add("low", 0.71234, hyperparameters={"batch_size": 4})
    runs.add("high", 0.8, hyperparameters={"batch_size": 16})
    text = runs.compare(low, "high")
    for said in ("batch_size", "0.712", "0.800", "1 settings differ", "ranked, validation aaaa"):
        assert said in text
    found = runs.compare_json(low, "high")
    assert found["differing"] == [{"option": "batch_size", "values": [4, 16]}]
    assert [place["name"] for place in found["rankings"][0]["places"]] == ["high", "low"]


def test_what_the_run_recorded_in_s3_is_compared_where_it_is_there(runs: Runs) -> None:
    runs.add("old", 0.7)
    runs.add("new", 0.8)
    record = {
        "training_config": {"epochs": "3", "resolved_precision": "bf16"},
        "dataset_counts": {"train_receipts": 90, "val_receipts": 10},
        "data_config": {"dataset_hash": "abc"},
        "epoch_metrics": [
            {"epoch": 1, "eval_f1": 0.8, "eval_f1_strict": 0.75, "per_label_metrics": {"DATE": {"f1": 0.9}}}
        ],
    }
    bucket = next(iter(runs.storage.allowed_buckets))
    runs.storage.write(f"s3://{bucket}/runs/new/run.json", json.dumps(record).encode())
    old, new = (found := runs.compare_json("old", "new"))["runs"]
    assert {one["option"]: one["values"] for one in found["differing"]} == {
        "epochs": [10, 3],
        "resolved_precision": [None, "bf16"],
    }
    assert (new["dataset_hash"], new["train_receipts"], new["best_f1_strict"]) == ("abc", 90, 0.75)
    assert (old["dataset_hash"], old["per_label_f1"], new["per_label_f1"]) == (None, {}, {"DATE": 0.9})


def test_a_run_that_is_under_way_is_shown_from_its_metrics(runs: Runs) -> None:
    runs.add("done", 0.7)
    job_id = runs.add("young", None, None, status="running")
    runs.client.add_job_metrics(
        [JobMetric(job_id=job_id, metric_name="val_f1", value=0.4, timestamp=now(), epoch=1, step=10)]
    )
    found = runs.compare_json("done", "young")
    assert found["runs"][1]["best_f1"] == 0.4
    assert "young is running" in "\n".join(found["notes"])


def test_all_succeeded_runs_are_grouped_by_an_option(runs: Runs) -> None:
    for seed in range(4):
        runs.add(f"a{seed}", 0.70 + seed / 100, hyperparameters={"epochs": 3, "seed": seed})
        runs.add(f"b{seed}", 0.80 + seed / 100, hyperparameters={"epochs": 5, "seed": seed})
    runs.add("elsewhere", 0.99, "bbbb", hyperparameters={"epochs": 3})
    runs.add("broken", None, status="failed")
    found = runs.compare_json("--group-by", "epochs")
    assert [(group["value"], group["scores"]["n"]) for group in found["groups"]] == [(5, 4), (3, 4)]
    assert found["pairs"][0]["verdict"] == "higher"
    assert found["left_out"] == [{"why": "scored on bbbb", "runs": ["elsewhere"]}]
    assert len(runs.compare_json("--group-by", "epochs", "--across-splits")["groups"][1]["runs"]) == 5
    text = runs.compare("--group-by", "epochs")
    assert "5 scored higher than 3" in text
    assert "elsewhere" in text


def test_groups_are_made_of_the_runs_that_are_asked_for(runs: Runs) -> None:
    for name, epochs, team in (("a", 3, "x"), ("b", 5, "x"), ("c", 7, "y")):
        runs.add(name, 0.7, hyperparameters={"epochs": epochs}, tags={"team": team})

    def grouped(*arguments: str) -> list[str]:
        found = runs.compare_json("--group-by", "epochs", *arguments)
        return sorted(run["name"] for group in found["groups"] for run in group["runs"])

    assert grouped() == ["a", "b", "c"]
    assert grouped("--tag", "team=x") == ["a", "b"]
    assert grouped("a", "c") == ["a", "c"]
    assert grouped("--limit", "1") == ["c"]
    assert grouped("--status", "failed") == []
    runs.add("young", None, None, status="running")
    named = runs.compare_json("--group-by", "epochs", "a", "young")
    assert named["left_out"] == [{"why": "no final score", "runs": ["young"]}]
    by_team = runs.compare("--group-by", "team")
    assert "too few runs to tell" in by_team
    assert "what else differs" in by_team


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--tag", "a=b"], "needs --group-by"),
        (["--group-by", "epochs", "--tag", "a"], "NAME=VALUE"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], problem: str) -> None:
    answer = CliRunner().invoke(app, ["compare", *arguments])
    assert answer.exit_code == 2
    assert problem in answer.output


def test_fewer_than_two_runs_and_unknown_ones_are_refused(runs: Runs) -> None:
    runs.add("a", 0.7)
    for arguments in ([], ["a"], ["a", "a"]):
        with pytest.raises(ConfigurationError, match="at least two runs"):
            runs.compare(*arguments)
    with pytest.raises(NotFound, match="no job with the id or the name nobody"):
        runs.compare("a", "nobody")


def test_an_unknown_option_is_one_sentence_with_near_ones_and_a_failure(stack: LocalStack) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "layoutlm_cli", "compare", "--group-by", "learning-rat"],
        env=stack.child_environ(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert answer.returncode == 65
    assert answer.stderr == "error: There is no option or tag 'learning-rat'. Did you mean learning_rate?\n"


def test_the_page_of_a_comparison_names_the_runs_and_draws_their_curves(runs: Runs, tmp_path: Path) -> None:
    [bucket] = runs.storage.allowed_buckets
    for seed, name in enumerate(("one", "two")):
        store_run(runs.client, runs.storage, make_detail(3, seed=seed, name=name, bucket=bucket))
    page = tmp_path / "compare.html"
    runs.compare("one", "two", "--html", str(page))
    text = page.read_text(encoding="utf-8")
    for part in ("one", "two", "validation loss", "vegaEmbed"):
        assert part in text
    refused = CliRunner().invoke(app, ["compare", "--group-by", "seed", "--html", str(page)])
    assert "shows runs, not groups" in refused.output


def test_no_more_than_the_newest_runs_are_grouped_and_it_says_so(runs: Runs) -> None:
    for number in range(4):
        runs.add(f"run-{number}", 0.5)
    answer = CliRunner().invoke(
        app, ["compare", "--group-by", "seed", "--limit", "3"], env=runs.stack.environ
    )
    assert "only the 3 newest runs are grouped" in answer.stderr
