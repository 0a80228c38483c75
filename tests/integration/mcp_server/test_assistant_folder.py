"""`agent-context` and the scripts: the account as files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from layoutlm_cli.main import app
from layoutlm_cli.mcp_server.context_folder import FILES
from messages.codec import decode_train_job
from messages.hyperparameters import Hyperparameters
from messages.train import TrainJob
from receipt_dynamo import DynamoClient
from receipt_dynamo.errors import TableMissing
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from run_records.s3_store import S3Store
from tests.integration.mcp_server.conftest import ROOT
from tests.support.fake_imds import GROUP_TAG, fake_imds
from tests.support.records import job_maker, metrics, write_run_json
from workers.errors import SettingsError
from workers.local_aws.local_stack import CREDENTIALS, LocalStack

RECEIPTS_HASH = "0123456789abcdef"
SECRET = "this-is-a-secret-that-nobody-may-see"

RunScript = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", autouse=True)
def _recorded(stack: LocalStack) -> None:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
    make = job_maker(client, stack)
    known = {"val_receipts_hash": RECEIPTS_HASH, "best_epoch": 2}
    make("worse_run", at=1, best_f1=0.6, **known)
    best = make("better_run", at=2, best_f1=0.8, options={"learning_rate": 3e-4}, **known)
    scores = {name: {"f1": f1, "support": 9} for name, f1 in (("DATE", 0.9), ("TAX", 0.4))}
    entries: list[dict[str, Any]] = [
        {"epoch": 1, "eval_f1": 0.5},
        {"epoch": 2, "eval_f1": 0.8, "per_label_metrics": scores},
    ]
    write_run_json(storage, best, entries)
    running = make("running_run", "running", at=3, options={"epochs": 4})
    client.add_job_metrics(metrics(running, 1, 4, val_f1=0.25))
    write_records(client, synthetic.generate(2, 1))
    stack.client("sqs").send_message(QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody="{}")


@pytest.fixture(scope="module")
def written(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, written with credentials that can be told again."""
    folder = tmp_path_factory.mktemp("account") / "new" / "context"
    with pytest.MonkeyPatch.context() as patch:
        secrets = {"AWS_SESSION_TOKEN": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET}
        for name, value in {**stack.environ, **secrets}.items():
            patch.setenv(name, value)
        answer = write(folder)
    assert answer.exit_code == 0, answer.output
    return folder


@pytest.fixture
def _here(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def run_script(stack: LocalStack) -> RunScript:
    def run(name: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "scripts" / name, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=stack.child_environ(**environ),
        )

    return run


def write(folder: Path) -> Result:
    return CliRunner().invoke(app, ["agent-context", str(folder)])


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_folder_tells_where_things_lie_and_how_full_the_queues_are(
    stack: LocalStack, written: Path
) -> None:
    assert {path.name for path in written.iterdir()} == {*FILES, "README.md"}
    found = read(written / "infrastructure.json")
    assert found["environment"]["DYNAMO_TABLE_NAME"] == stack.environ["DYNAMO_TABLE_NAME"]
    assert found["dynamo_table"] == stack.environ["DYNAMO_TABLE_NAME"]
    assert found["s3_bucket"] == stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    assert found["pytorch_version"]
    assert found["python_version"]
    assert found["transformers_version"]
    unknown_here = {"ec2_instance_type", "gpu", "ami", "asg_name", "conda_env"}
    assert unknown_here <= set(found)
    queues = {one["name"]: one for one in found["queues"]}
    assert queues["train"]["url"] == stack.environ["TRAIN_JOB_QUEUE_URL"]
    assert queues["train"]["visible"] == 1
    assert queues["export"]["visible"] == 0
    assert found["runs_by_status"] == {"running": 1, "succeeded": 2}
    assert found["records"]["receipts"] == 2


@pytest.mark.usefixtures("_here")
def test_on_an_instance_the_folder_says_what_it_is(tmp_path: Path) -> None:
    with fake_imds() as imds, pytest.MonkeyPatch.context() as patch:
        imds.values |= {"instance-type": "g5.xlarge", "ami-id": "ami-0123", GROUP_TAG: "layoutlm-training"}
        patch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        patch.setenv("CONDA_DEFAULT_ENV", "receipts")
        assert write(tmp_path / "context").exit_code == 0
        imds.broken = True
        assert write(tmp_path / "unknown").exit_code == 0
    found = read(tmp_path / "context" / "infrastructure.json")
    names = ("ec2_instance_type", "ami", "asg_name", "conda_env")
    assert [found[name] for name in names] == ["g5.xlarge", "ami-0123", "layoutlm-training", "receipts"]
    unknown = read(tmp_path / "unknown" / "infrastructure.json")
    assert [unknown[name] for name in names] == [None, None, None, "receipts"]


def test_the_folder_sums_up_history_and_data_as_json_and_as_markdown(written: Path) -> None:
    history = read(written / "training_history.json")
    assert history["total_runs"] == 3
    assert [one["job_name"] for one in history["runs"]] == ["better_run", "worse_run", "running_run"]
    [best] = history["best_by_validation_set"]
    assert (best["name"], best["best_f1"], best["runs"]) == ("better_run", 0.8, 2)
    best_run = history["best_run"]
    assert (best_run["job_id"], best_run["epoch"], best_run["best_f1"]) == (best["job_id"], 2, 0.8)
    assert best_run["config"]["learning_rate"] == 3e-4
    said = "better_run is the best run of the 2 on the same validation receipts: F1 0.8000 at epoch 2."
    assert history["key_findings"][0] == said
    assert [epoch["f1"] for epoch in history["runs"][0]["epochs"]] == [0.5, 0.8]
    told = (written / "training_history.md").read_text(encoding="utf-8")
    assert "| `better_run` | 0.800 |" in told
    assert "`learning_rate 0.0003`" in told
    assert told.index("`TAX`") < told.index("`DATE`")
    dataset = read(written / "dataset_summary.json")
    assert dataset["statistics"]["receipts"] == dataset["total_receipts"] == 2
    assert dataset["total_lines"] > 10
    assert dataset["train_val_split"]["val_receipts_hash"] == RECEIPTS_HASH
    assert "`PRODUCT_NAME`" in (written / "dataset_summary.md").read_text(encoding="utf-8")


def test_the_template_has_every_option_with_its_bounds_and_is_a_request_that_can_be_sent(
    written: Path,
) -> None:
    template = read(written / "training_config_template.json")
    assert set(template["hyperparameters"]) == set(Hyperparameters.model_fields)
    assert set(template["job"]) | {"hyperparameters"} == set(TrainJob.model_fields)
    for name, field in template["hyperparameters"].items():
        assert {"description", "unit", "default"} <= set(field), name
    epochs, steps = (template["hyperparameters"][name] for name in ("epochs", "eval_steps"))
    assert (epochs["default"], epochs["minimum"], epochs["maximum"]) == (10, 1, 1000)
    assert {"minimum": 1, "maximum": 1000000, "type": "integer"} in steps["anyOf"]
    assert template["data_config"]["val_keys_s3"] is None
    assert template["model_config"]["pretrained_model"] == Hyperparameters().pretrained_model
    assert {*template["data_config"], *template["model_config"]} < set(template["hyperparameters"])
    job = decode_train_job(json.dumps(template["request"]), message_id="m")
    assert job.hyperparameters == Hyperparameters()


def test_no_file_has_a_credential_or_a_name_of_this_machine(
    written: Path,
) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in written.iterdir())
    assert SECRET not in text
    assert str(ROOT) not in text
    assert not set(CREDENTIALS) & set(read(written / "infrastructure.json")["environment"])


def test_the_readme_names_every_file_and_its_server_can_be_configured_from_it(written: Path) -> None:
    readme = (written / "README.md").read_text(encoding="utf-8")
    assert all(name in readme for name in FILES)
    configuration = json.loads(readme.partition("```json")[2].partition("```")[0])
    server = configuration["mcpServers"]["receipt-layoutlm"]
    assert (server["command"], server["args"]) == ("layoutlm-cli", ["mcp"])
    assert "LAYOUTLM_TRAINING_BUCKET" in server["env"]
    named = set(re.findall(r"`layoutlm-cli ([\w-]+)", readme))
    group = typer.main.get_command(app)
    assert named <= set(getattr(group, "commands")), named  # noqa: B009 - of a group, which typer returns here


@pytest.mark.usefixtures("_here")
def test_it_overwrites_its_own_files_and_no_others(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("mine", encoding="utf-8")
    write(tmp_path)
    (tmp_path / "dataset_summary.md").write_text(
        (tmp_path / "dataset_summary.md").read_text(encoding="utf-8") + "old", encoding="utf-8"
    )
    assert write(tmp_path).exit_code == 0
    assert not (tmp_path / "dataset_summary.md").read_text(encoding="utf-8").endswith("old")
    (tmp_path / "README.md").write_text("# My project", encoding="utf-8")
    answer = write(tmp_path)
    assert isinstance(answer.exception, SettingsError)
    assert "README.md is not from agent-context" in str(answer.exception)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# My project"
    assert notes.read_text(encoding="utf-8") == "mine"


@pytest.mark.usefixtures("_here")
def test_a_table_that_cannot_be_read_is_one_error_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNAMO_TABLE_NAME", "no-such-table")
    answer = write(tmp_path / "context")
    assert isinstance(answer.exception, TableMissing)
    assert not (tmp_path / "context").exists()


@pytest.mark.usefixtures("_here")
def test_queues_that_cannot_be_asked_leave_the_rest_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: LocalStack
) -> None:
    for name in stack.environ:
        if name.endswith("QUEUE_URL"):
            monkeypatch.setenv(name, f"{stack.environ[name]}-gone")
    assert write(tmp_path).exit_code == 0
    for queue in read(tmp_path / "infrastructure.json")["queues"]:
        assert "There is no queue" in queue["error"]
        assert "visible" not in queue


@pytest.mark.parametrize(
    ("script", "says", "holds"),
    [
        ("agent_analyze_training_history.py", "3 runs", ("better_run", RECEIPTS_HASH, "worse_run")),
        ("agent_dataset_stats.py", "2 receipts", ("label_distribution", "PRODUCT_NAME")),
        ("agent_monitor_training.py", "1 runs under way", ("running_run", "epochs_asked")),
    ],
)
def test_a_script_writes_json_and_one_line(
    run_script: RunScript, stack: LocalStack, tmp_path: Path, script: str, says: str, holds: tuple[str, ...]
) -> None:
    out = tmp_path / "out.json"
    # The table is the one that is named, whatever the environment says.
    answer = run_script(script, stack.environ["DYNAMO_TABLE_NAME"], str(out), DYNAMO_TABLE_NAME="another")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == f"wrote {out}: {says}\n"
    assert read(out)["read_at"]
    assert all(part in out.read_text(encoding="utf-8") for part in holds)
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_script_that_fails_says_one_sentence_and_leaves_the_file_as_it_was(
    run_script: RunScript, stack: LocalStack, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    out.write_text("old", encoding="utf-8")
    missing = run_script("agent_dataset_stats.py", "no-such-table", str(out))
    assert missing.returncode != 0
    assert missing.stderr.startswith("error: ")
    assert missing.stderr.count("\n") == 1
    nowhere = run_script(
        "agent_monitor_training.py", stack.environ["DYNAMO_TABLE_NAME"], str(tmp_path / "a" / "b.json")
    )
    assert nowhere.returncode != 0
    assert "cannot be written" in nowhere.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert out.read_text(encoding="utf-8") == "old"


def test_a_script_explains_itself(run_script: RunScript) -> None:
    shown = run_script("agent_analyze_training_history.py", "--help", COLUMNS="200").stdout
    for part in ("TABLE", "OUTPUT_FILE", "LAYOUTLM_TRAINING_BUCKET"):
        assert part in shown
