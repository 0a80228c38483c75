"""The receipts of a run: the same ones, with one hash and one split, wherever they come from."""

from __future__ import annotations

import dataclasses
import io
import json
import uuid
from typing import Any

import pyarrow.parquet as pq
import pytest

from messages.child_protocol import TrainTask
from receipt_dynamo import DynamoClient
from receipt_layoutlm.data.dataset_hash import hash_receipts
from receipt_layoutlm.data.merchants import seen_merchants
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.synthetic import generate
from receipt_layoutlm.data.table_writer import write_records
from receipt_layoutlm.training.config import RunConfig
from receipt_layoutlm.training.data_source import load_dataset
from receipt_layoutlm.training.prepare import choose_split
from receipt_layoutlm.training.run import train
from run_records.errors import ConfigurationError, DataError, Forbidden
from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.job_process.heartbeat import ProgressReporter
from run_records.s3_store import S3Store
from tests.support.exports import export_items
from tests.support.small_receipts import keys_of, make_receipts
from tests.support.small_trainings import MakeTask, StopAfter, read_json, what_was_learned
from workers.local_aws.local_stack import LocalStack, MotoServer


@pytest.fixture(scope="module")
def receipts_table(emulator: MotoServer) -> LocalStack:
    """Twenty receipts."""
    stack = LocalStack.make(emulator, suffix=f"-dataset-{uuid.uuid4().hex[:8]}")
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(client, generate(20, seed=9))
    return stack


@pytest.fixture
def table(receipts_table: LocalStack, aws: LocalStack) -> DynamoClient:
    return DynamoClient(receipts_table.environ["DYNAMO_TABLE_NAME"])


def export_table(stack: LocalStack, storage: S3Store, bucket: str) -> str:
    pages = (
        stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.environ["DYNAMO_TABLE_NAME"])
    )
    return export_items(storage, bucket, [item for page in pages for item in page["Items"]])


@pytest.fixture
def configure(make_task: MakeTask, table: DynamoClient) -> Any:
    def configure(**options: Any) -> RunConfig:
        task = make_task(**{"dataset_snapshot_load": None, **options})
        return RunConfig.from_task(
            TrainTask.model_validate({**task.model_dump(), "table_name": table.table_name})
        )

    return configure


@pytest.fixture
def pulse() -> ProgressReporter:
    return ProgressReporter(Reporter(io.StringIO()))


def test_table_export_and_snapshot_give_the_same_receipts_hash_examples_and_splits(
    configure: Any,
    table: DynamoClient,
    receipts_table: LocalStack,
    storage: S3Store,
    bucket: str,
    pulse: ProgressReporter,
) -> None:
    snapshot = f"s3://{bucket}/frozen.parquet"
    export = export_table(receipts_table, storage, bucket)
    sources: list[dict[str, Any]] = [
        {"dataset_snapshot_save": snapshot},
        {"dataset_export_s3": export},
        {"dataset_snapshot_load": snapshot},
    ]
    found = [load_dataset(configure(**options), table, storage, pulse) for options in sources]
    (first, named), *_ = found
    assert len(first.receipts) == 20
    assert [dataset.source for _, dataset in found] == [
        f"table {table.table_name}",
        f"export {export}",
        snapshot,
    ]
    for loaded, dataset in found:
        assert list(loaded.receipts) == list(first.receipts)
        assert dataset.content_hash == named.content_hash == hash_receipts(list(first.receipts))
    hashes = set()
    for split_by in ("receipt", "merchant"):
        config = configure(split_by=split_by, seed=7)
        splits = [choose_split(config, loaded.receipts, None, storage) for loaded, _ in found]
        hashes.add(splits[0].val_hash)
        assert {split.val_hash for split in splits} == {splits[0].val_hash}
        pages = [lay_out_all(split.train, config.labels) for split in splits]
        assert pages == pages[:1] * 3
        if split_by == "merchant":
            assert True not in seen_merchants(splits[0].train, splits[0].validation)
    assert len(hashes) == 2


def test_a_snapshot_says_which_query_made_it(
    configure: Any, table: DynamoClient, storage: S3Store, bucket: str, pulse: ProgressReporter
) -> None:
    keys, snapshot = f"s3://{bucket}/use.json", f"s3://{bucket}/frozen.parquet"
    wanted = sorted(f"{key.image_id}#{key.receipt_id:05d}" for key in table.list_receipt_keys().items)[:3]
    storage.write(keys, json.dumps(wanted).encode())
    config = configure(dataset_snapshot_save=snapshot, receipt_keys_s3=keys)
    loaded, _ = load_dataset(config, table, storage, pulse)
    assert keys_of(loaded.receipts) == wanted
    metadata = pq.read_metadata(io.BytesIO(storage.read(snapshot) or b"")).metadata
    header = json.loads(metadata[b"receipt_layoutlm"])
    assert header["created_from"] == (
        f"table {table.table_name}; labels of status VALID; receipts listed in {keys}"
    )


def test_listed_receipts_of_a_snapshot_are_named_by_a_hash_of_their_own(
    make_task: MakeTask, client: DynamoClient, storage: S3Store, bucket: str, pulse: ProgressReporter
) -> None:
    wanted = make_receipts(20)[5:9]
    keys = f"s3://{bucket}/use.json"
    storage.write(keys, json.dumps({"receipt_keys": keys_of(wanted)}).encode())
    config = RunConfig.from_task(make_task(receipt_keys_s3=keys))
    loaded, dataset = load_dataset(config, client, storage, pulse)
    assert list(loaded.receipts) == wanted
    assert dataset.content_hash == hash_receipts(wanted)
    storage.write(keys, b'["gone#00001"]')
    with pytest.raises(DataError, match="None of the 1 listed receipts is there"):
        load_dataset(config, client, storage, pulse)


def test_two_sources_of_receipts_are_one_too_many(
    make_task: MakeTask, client: DynamoClient, storage: S3Store, bucket: str, pulse: ProgressReporter
) -> None:
    config = RunConfig.from_task(make_task(dataset_export_s3=f"s3://{bucket}/export/"))
    with pytest.raises(
        ConfigurationError, match="dataset_snapshot_load and dataset_export_s3 name two sources"
    ):
        load_dataset(config, client, storage, pulse)


def test_receipts_lie_in_the_runs_work_folder_and_leave_nothing_there(
    configure: Any, table: DynamoClient, storage: S3Store, pulse: ProgressReporter
) -> None:
    config = configure()
    loaded, _ = load_dataset(config, table, storage, pulse)
    assert not list(config.work_dir.iterdir())
    assert len(loaded.receipts[19].words) > 5


def test_a_snapshot_is_written_over_nothing_that_another_job_has_written(
    configure: Any, table: DynamoClient, storage: S3Store, bucket: str, pulse: ProgressReporter
) -> None:
    snapshot, keys = f"s3://{bucket}/frozen/mine.parquet", f"s3://{bucket}/use.json"
    wanted = sorted(f"{key.image_id}#{key.receipt_id:05d}" for key in table.list_receipt_keys().items)[:3]
    storage.write(keys, json.dumps(wanted).encode())

    def save(name: str, **options: Any) -> None:
        load_dataset(configure(name=name, dataset_snapshot_save=snapshot, **options), table, storage, pulse)

    save("first")
    body = storage.read(snapshot)
    save("second")  # the same receipts make the same file
    with pytest.raises(ConfigurationError, match="a snapshot is never written over"):
        save("second", receipt_keys_s3=keys)
    assert storage.read(snapshot) == body
    save("first", receipt_keys_s3=keys)  # another attempt of the job that wrote it
    assert storage.read(snapshot) != body
    storage.write(snapshot, b"a letter")
    with pytest.raises(ConfigurationError, match="holds something that this job has not written"):
        save("first")
    assert storage.read(snapshot) == b"a letter"


@pytest.mark.parametrize(
    ("mark", "what"),
    [("run.json", "a run"), ("model.safetensors", "a checkpoint"), ("model_identity.json", "a bundle")],
)
def test_neither_a_run_nor_its_snapshot_lies_in_the_middle_of_something_else(
    configure: Any,
    table: DynamoClient,
    storage: S3Store,
    bucket: str,
    pulse: ProgressReporter,
    mark: str,
    what: str,
) -> None:
    theirs = f"s3://{bucket}/theirs/"
    storage.write(theirs + mark, b"{}")
    for options in (
        {"output_s3_path": f"{theirs}deep/"},
        {"dataset_snapshot_save": f"{theirs}deep/a.parquet"},
    ):
        config = configure(**options)
        config = dataclasses.replace(config, root=f"{theirs}deep/{config.job_name}/")
        with pytest.raises(Forbidden, match=f"{theirs} is the folder of {what}") as caught:
            load_dataset(config, table, storage, pulse)
        assert not caught.value.error_class.retryable
    assert list(storage.list_keys(theirs)) == [mark]


def test_a_run_resumed_from_a_snapshot_equals_a_run_from_the_table(
    configure: Any, table: DynamoClient, storage: S3Store, bucket: str
) -> None:
    snapshot = f"s3://{bucket}/frozen.parquet"
    options = {"epochs": 2, "batch_size": 6, "window_size": 40, "window_stride": 40, "split_by": "merchant"}
    whole = configure(name="whole", dataset_snapshot_save=snapshot, **options).task
    train(whole, Reporter(None), StopRequested())
    broken = configure(name="broken", dataset_snapshot_load=snapshot, **options).task
    with pytest.raises(Stopped):
        train(broken, Reporter(None), StopAfter(2 + 2))
    assert list(storage.list_keys(f"{broken.run_s3_uri}checkpoints/")), "it goes on after a step"
    broken = configure(name="broken", dataset_snapshot_load=snapshot, attempt=2, **options).task
    train(broken, Reporter(None), StopRequested())
    one, two = (read_json(storage, f"{task.run_s3_uri}run.json") for task in (whole, broken))
    assert one["split_metadata"] == two["split_metadata"]
    assert one["data_config"]["dataset_hash"] == two["data_config"]["dataset_hash"]
    for ours, theirs in zip(one["epoch_metrics"], two["epoch_metrics"], strict=True):
        assert what_was_learned(ours) == what_was_learned(theirs)
