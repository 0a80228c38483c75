"""Commands that stand in people's own guides, run as printed there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from receipt_dynamo.client import DynamoClient
from receipt_dynamo.entities import Job
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from tests.conftest import SHARED
from workers.local_aws.local_stack import LocalStack, MotoServer

QUEUES = ("TRAIN_JOB_QUEUE_URL", "TRAIN_RESULTS_QUEUE_URL", "COREML_EXPORT_JOB_QUEUE_URL")
SMALL = ("--pretrained", "scratch:tiny", "--epochs", "1")
"""Put behind a printed training, so that it takes seconds: the last of two values counts."""


def printed(*words: str) -> list[str]:
    """The one command of the guide's first block that has these words, without its comment."""
    block = re.findall(r"```sh\n(.*?)```", (SHARED / "contracts" / "guides.md").read_text(), re.DOTALL)[0]
    lines = [line.split("  #")[0] for line in block.replace("\\\n", " ").splitlines()]
    [line] = [line for line in lines if all(word in line for word in words)]
    return shlex.split(line.split(" | ")[0])


class Newcomer:
    """A person with a stack, receipts in its table, and one training by hand."""

    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
        write_records(self.client, synthetic.generate(12, 0))

    def type(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command; `$NAME` is what the stack calls it."""
        known = {**os.environ, **self.stack.environ, "JOB": "as-printed"}
        program, *rest = [re.sub(r"\$(\w+)", lambda name: known[name[1]], word) for word in words]
        assert program == "layoutlm-cli"
        done = subprocess.run(
            [sys.executable, "-m", "layoutlm_cli", *rest],
            env=self.stack.child_environ(OMP_NUM_THREADS="1", **{**dict.fromkeys(QUEUES, ""), **environ}),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    def job(self, name: str) -> Job:
        return self.client.find_job(name)


@pytest.fixture(scope="module")
def newcomer(emulator: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """Their training is the guide's own, with another table in the environment than the command names."""
    person = Newcomer(LocalStack.make(emulator, suffix="-guide"), tmp_path_factory.mktemp("guide"))
    person.type(*printed("train --job-name"), *SMALL, DYNAMO_TABLE_NAME="another")
    return person


def config(job: Job) -> dict[str, Any]:
    return dict(job.job_config)


def test_the_printed_training_takes_every_label_flag_and_number(newcomer: Newcomer) -> None:
    job = newcomer.job("as-printed")
    assert job.status == "succeeded"
    assert {tag[2:] for tag in job.results["label_list"] if tag != "O"} == {
        *("MERCHANT_NAME", "PHONE_NUMBER", "ADDRESS_LINE", "DATE", "TIME", "PRODUCT_NAME", "AMOUNT")
    }
    found = config(job)
    assert (found["learning_rate"], found["warmup_ratio"], found["batch_size"]) == (6e-5, 0.2, 64)
    assert (found["merge_amounts"], found["o_entity_ratio"]) == (True, 2.0)


def test_a_training_without_a_name_is_named_after_the_time(newcomer: Newcomer) -> None:
    labels = ("--allowed-labels", "DATE,GRAND_TOTAL")
    newcomer.type(*printed("train --batch-size 64"), *SMALL, *labels)
    [name] = [job.name for job in newcomer.client.list_jobs().items if job.name != "as-printed"]
    assert re.fullmatch(r"layoutlm-\d{8}-\d{6}", name)
    assert config(newcomer.job(name))["gradient_accumulation_steps"] == 2


def test_a_step_right_below_the_run_is_exported_from_where_the_run_keeps_it(newcomer: Newcomer) -> None:
    step = newcomer.client.list_job_checkpoints(newcomer.job("as-printed").job_id).items[0].step
    bucket = newcomer.stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    words = [
        word.replace("bucket/", f"{bucket}/").replace("<job>", "as-printed").replace("<step>", str(step))
        for word in printed("export-coreml")
    ]
    newcomer.type(*words)
    assert (newcomer.folder / "output" / "LayoutLM.mlpackage").is_dir()
    report = newcomer.folder / "report.json"
    checkpoint = words[words.index("--s3-uri") + 1]
    newcomer.type(
        *("layoutlm-cli", "validate-coreml", "--checkpoint-dir", checkpoint),
        *("--coreml-bundle", "./output", "--output-json", str(report)),
    )
    assert report.exists()


@pytest.mark.parametrize("kind", ["export", "train"])
def test_a_worker_takes_its_queues_and_table_as_options(newcomer: Newcomer, kind: str) -> None:
    environ = newcomer.stack.environ
    prefix = {"export": "COREML_EXPORT", "train": "TRAIN"}[kind]
    words = printed("export-worker --once --job-queue-url")
    urls = iter([environ[f"{prefix}_JOB_QUEUE_URL"], environ[f"{prefix}_RESULTS_QUEUE_URL"]])
    words = [next(urls) if word.startswith("https://") else word for word in words]
    words[1] = f"{kind}-worker"
    nowhere = {f"{prefix}_JOB_QUEUE_URL": "", f"{prefix}_RESULTS_QUEUE_URL": "", "DYNAMO_TABLE_NAME": ""}
    table = ("--dynamo-table", environ["DYNAMO_TABLE_NAME"])
    exports = {} if kind == "export" else {QUEUES[-1]: environ[QUEUES[-1]]}  # where its models go next
    newcomer.type(*words, *table, **nowhere, **exports, LAYOUTLM_POLL_SECONDS="0")


def test_checkpoints_are_scored_and_diagnosed_with_the_other_tools_options(newcomer: Newcomer) -> None:
    folder = newcomer.folder
    shared = ("--job-name", "as-printed", "--output-dir", "scores", "--max-receipts", "1")
    newcomer.type("layoutlm-cli", "eval-checkpoints", *shared, "--num-showcase", "1")
    assert '"num_val_receipts": 1' in (folder / "scores" / "epochs.json").read_text()
    newcomer.type("layoutlm-cli", "diagnose-run", *shared, "--skip-train-context")
    assert (folder / "scores" / "report.md").exists()


def test_one_receipt_is_labelled_with_the_other_tools_options(newcomer: Newcomer) -> None:
    receipt = newcomer.client.list_receipt_keys().items[0]
    best = newcomer.job("as-printed").results["best_checkpoint_s3_path"]
    which = ("--image-id", receipt.image_id, "--receipt-id", str(receipt.receipt_id))
    assert "entities" in newcomer.type("layoutlm-cli", "infer", *which, "--model-s3-uri", best).stdout
