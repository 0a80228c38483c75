"""The probe before the first message: each resource that a job needs, missing or forbidden."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from tests.support.refusing_proxy import refusing
from workers import daemon
from workers.errors import SettingsError
from workers.jobs.registry import KindName
from workers.local_aws.local_stack import LocalStack
from workers.runtime import loop
from workers.settings import Settings

KINDS: tuple[KindName, ...] = ("train", "export")
FOLDERS = {"train": "runs/", "export": "coreml/"}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_MAX_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(loop, "FAILED_RECEIVES", 3)


async def start(kind: KindName, settings: Settings, **changes: Any) -> int:
    return await daemon.run_daemon(
        kind, settings.model_copy(update={"poll_seconds": 0, **changes}), once=True
    )


def said(printed: str) -> str:
    """The line with which the worker ends."""
    [line] = [line for line in printed.splitlines() if "worker ends" in line]
    return line


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bucket_that_does_not_exist_is_named_before_any_message(
    stack: LocalStack, kind: KindName, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await start(kind, stack.settings, bucket="layoutlm-trainign") == 78
    printed = capsys.readouterr().out
    assert "layoutlm-trainign" in said(printed)
    assert "LAYOUTLM_TRAINING_BUCKET" in said(printed)
    assert "worker ready" not in printed


@pytest.mark.parametrize("variable", ["LAYOUTLM_TRAINING_BUCKET", "LAYOUTLM_ALLOWED_BUCKETS"])
@pytest.mark.parametrize(
    "name", ["s3://bucket", "s3://bucket/", "bucket/", "https://bucket.s3.amazonaws.com"]
)
def test_a_bucket_that_is_written_as_a_place_is_refused(variable: str, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}.*give the bare name"):
        Settings.from_environ({variable: name})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "refused",
    [
        r"GET /{bucket}\?list-type.*",
        r"PUT /{bucket}/{folder}\.worker-probe.*",
        r"GET /{bucket}/{folder}\.worker-probe.*",
        "POST /SendMessageBatch/{results}",
        "POST /SendMessageBatch/{jobs}",
        "POST /SendMessageBatch/{dead}",
        "POST /DeleteMessageBatch/{jobs}",
        "POST /ChangeMessageVisibilityBatch/{jobs}",
        "POST /UpdateItem/{table}",
        "POST /Query/{table}",
        "POST /GetItem/{table}",
    ],
)
async def test_a_role_that_may_not_do_what_a_jobs_end_needs_is_refused_at_the_start(
    stack: LocalStack, kind: KindName, refused: str, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs, results = (
        str(getattr(stack.settings, f"{kind}_{what}_queue_url")).rsplit("/", 1)[1]
        for what in ("job", "results")
    )
    method, path = refused.format(
        bucket=stack.environ["LAYOUTLM_TRAINING_BUCKET"],
        table=stack.environ["DYNAMO_TABLE_NAME"],
        folder=FOLDERS[kind],
        jobs=jobs,
        dead=jobs.replace("jobs-", "jobs-dlq-"),
        results=results,
    ).split(" ")

    def refuses(asked: str, of: str) -> bool:
        return asked == method and bool(re.fullmatch(path, of))

    with refusing(stack.environ["AWS_ENDPOINT_URL"], refuses) as url:
        code = await start(kind, stack.settings, endpoint_url=url)
    printed = capsys.readouterr().out
    assert code == 77
    assert "worker ready" not in printed


async def test_a_bucket_that_does_not_answer_at_first_is_asked_again(stack: LocalStack) -> None:
    refusals = [1, 1]

    def refuses(method: str, path: str) -> bool:
        return bool("list-type" in path and refusals and refusals.pop())

    with refusing(stack.environ["AWS_ENDPOINT_URL"], refuses) as url:
        assert await start("train", stack.settings, endpoint_url=url) == 0
    assert refusals == []


@pytest.mark.parametrize("field", ["train_job_queue_url", "train_results_queue_url", "export_job_queue_url"])
async def test_a_fifo_queue_is_refused_wherever_it_stands(
    stack: LocalStack, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs = stack.client("sqs")
    url = sqs.create_queue(QueueName=f"{uuid.uuid4().hex}.fifo", Attributes={"FifoQueue": "true"})
    assert await start("train", stack.settings, **{field: url["QueueUrl"]}) == 78
    assert "is a FIFO queue" in said(capsys.readouterr().out)


async def test_a_probe_sends_nothing_and_leaves_the_table_as_it_was(stack: LocalStack) -> None:
    for kind in KINDS:
        assert await start(kind, stack.settings) == 0
    sqs = stack.client("sqs")
    for name, url in stack.environ.items():
        if name.endswith("QUEUE_URL"):
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            depth = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            assert [depth[one] for one in names] == ["0", "0"]
    assert stack.client("dynamodb").scan(TableName=stack.environ["DYNAMO_TABLE_NAME"])["Items"] == []
    found = stack.client("s3").list_objects_v2(Bucket=stack.environ["LAYOUTLM_TRAINING_BUCKET"])["Contents"]
    assert [one["Key"] for one in found] == ["coreml/.worker-probe", "runs/.worker-probe"]


async def test_a_host_that_tags_checkpoints_asks_whether_it_may(stack: LocalStack) -> None:
    assert await start("train", stack.settings, checkpoint_tag="layoutlm=expendable") == 0
    tags = stack.client("s3").get_object_tagging(
        Bucket=stack.environ["LAYOUTLM_TRAINING_BUCKET"], Key="runs/.worker-probe"
    )
    assert tags["TagSet"] == [{"Key": "layoutlm", "Value": "expendable"}]
