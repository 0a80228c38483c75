"""Bad input through the real queue and the real children: each ends as the table of endings says."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from messages.train import TrainJob
from receipt_dynamo.client import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from tests.support.refusing_proxy import refusing_uploads
from tests.support.work import Bench, export_bench, training_bench
from workers.jobs.export import ExportHandler
from workers.jobs.job_record import job_record, show_job
from workers.jobs.training import TrainingHandler
from workers.local_aws.local_stack import LocalStack

TINY = {"pretrained_model": "scratch:tiny", "epochs": 1, "no_frozen_val": True}


def seed(stack: LocalStack, receipts: int = 4) -> None:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(client, synthetic.generate(receipts, 0))


async def train(stack: LocalStack, work_dir: Path, **hyperparameters: Any) -> dict[str, Any]:
    """The result of one training that must fail at its first attempt."""
    async with training_bench(stack, work_dir, TrainingHandler) as bench:
        name = f"run-{uuid.uuid4().hex[:8]}"
        await bench.send({"job_name": name, "hyperparameters": {**TINY, **hyperparameters}})
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == "failed"
        assert (await bench.aws.table.get_job(result["job_id"])).error_message == result["error_message"]
        assert await bench.depth() == (0, 0)
        return result


async def test_a_table_without_labelled_receipts_fails_with_what_to_do(
    stack: LocalStack, tmp_path: Path
) -> None:
    result = await train(stack, tmp_path)
    assert result["error_class"] == "data"
    assert "VALID" in result["error_message"]


async def test_labels_that_leave_no_entity_are_named(stack: LocalStack, tmp_path: Path) -> None:
    seed(stack)
    result = await train(stack, tmp_path, allowed_labels=["NO_SUCH_LABEL"])
    assert result["error_class"] in {"configuration", "data"}
    assert "NO_SUCH_LABEL" in result["error_message"]


async def test_a_bucket_that_is_not_allowed_is_refused_by_name(stack: LocalStack, tmp_path: Path) -> None:
    seed(stack)
    result = await train(stack, tmp_path, val_keys_s3="s3://somebody-elses/keys.json", no_frozen_val=False)
    assert result["error_class"] == "forbidden"
    assert "somebody-elses" in result["error_message"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "nothing"),
        ({"config.json": b"{}", "vocab.txt": b"[PAD]\n"}, "weights"),
        ({"config.json": b"{}", "pytorch_model.bin": b"\x80\x04N."}, "pickle"),
    ],
)
async def test_a_checkpoint_without_safe_weights_fails_the_export(
    stack: LocalStack, tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    for name, content in files.items():
        stack.client("s3").put_object(Bucket=bucket, Key=f"runs/demo/best/{name}", Body=content)
    result = await export(stack, tmp_path, f"s3://{bucket}/runs/demo/best/")
    assert result["error_class"] == "checkpoint"
    assert words in result["error_message"].lower()
    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket=bucket, Prefix="coreml/")


async def test_an_export_from_a_foreign_bucket_is_refused(stack: LocalStack, tmp_path: Path) -> None:
    result = await export(stack, tmp_path, "s3://somebody-elses/best/")
    assert result["error_class"] == "forbidden"


async def export(stack: LocalStack, work_dir: Path, checkpoint: str) -> dict[str, Any]:
    """The result of one export that must fail at its first attempt."""
    async with export_bench(stack, work_dir, ExportHandler) as bench:
        await add_training(bench)
        prefix = bench.settings.bundle_prefix("demo").uri
        await bench.send({"job_id": "demo", "model_s3_uri": checkpoint, "output_s3_prefix": prefix})
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == "FAILED"
        assert await bench.depth() == (0, 0)
        return result


async def add_training(bench: Bench) -> None:
    job = TrainJob.model_validate_json(json.dumps({"job_id": str(uuid.uuid4()), "job_name": "demo"}))
    await show_job(bench.aws.table, job_record(job, bench.settings.runs / "demo/", status="succeeded"), 1)


async def test_an_upload_that_is_refused_half_way_leaves_no_whole_checkpoint_and_decides_nothing(
    stack: LocalStack, tmp_path: Path
) -> None:
    seed(stack, 12)
    job_id, refused = str(uuid.uuid4()), r"/checkpoints/checkpoint-\d+/optimizer\.pt"
    with refusing_uploads(stack.environ["AWS_ENDPOINT_URL"], refused) as endpoint_url:
        async with training_bench(stack, tmp_path, TrainingHandler, endpoint_url=endpoint_url) as bench:
            await bench.send({"job_id": job_id, "job_name": "refused", "hyperparameters": TINY})
            await bench.work_once()
            assert await bench.results() == []
            lease = await bench.aws.table.get_lease(job_id, kind="train")
            assert lease is not None
            assert [failure["error_class"] for failure in lease.failures] == ["setup"]
            assert "optimizer.pt" in lease.failures[0]["message"]
            assert "AccessDenied" in lease.failures[0]["message"]
    listed = stack.client("s3").list_objects_v2(
        Bucket=stack.environ["LAYOUTLM_TRAINING_BUCKET"], Prefix="runs/refused/"
    )
    keys = [entry["Key"] for entry in listed["Contents"]]
    assert any(key.endswith("model.safetensors") for key in keys)
    assert not [key for key in keys if key.endswith("manifest.json")]
    async with training_bench(stack, tmp_path, TrainingHandler) as bench:  # the role has been granted it
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == "succeeded"
