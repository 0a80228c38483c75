"""The recorder itself: what IAM would be asked for, out of real requests of boto3."""

from __future__ import annotations

import io
import urllib.request
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig

from tests.support.recorded_calls import Recorded, recording
from workers.local_aws.local_stack import REGION, LocalStack

MEBIBYTE = 2**20


@pytest.fixture
def bucket(stack: LocalStack) -> str:
    name = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    stack.client("s3").put_object(Bucket=name, Key="there", Body=b"x")
    return name


def client(service: str, url: str) -> Any:
    session: Any = boto3.session.Session()
    return session.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="a-role",
        aws_secret_access_key="local",
    )


def seen_as(seen: set[Recorded]) -> set[tuple[str, str]]:
    assert {call.caller for call in seen} == {"a-role"}
    return {(call.action, call.resource.split(":", 5)[5]) for call in seen}


def test_uploads_downloads_and_copies_are_what_iam_calls_them(stack: LocalStack, bucket: str) -> None:
    with recording(stack.environ["AWS_ENDPOINT_URL"]) as (url, seen):
        s3 = client("s3", url)
        s3.upload_fileobj(
            io.BytesIO(b"x" * 6 * MEBIBYTE),
            bucket,
            "large",
            Config=TransferConfig(
                multipart_threshold=MEBIBYTE,
                multipart_chunksize=5 * MEBIBYTE,
                preferred_transfer_client="classic",
            ),
        )
        s3.head_object(Bucket=bucket, Key="large")
        s3.list_objects_v2(Bucket=bucket, Prefix="runs/")
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "there"})
        s3.put_object(Bucket=bucket, Key="tagged name", Body=b"x", Tagging="layoutlm=expendable")
        broken = s3.create_multipart_upload(Bucket=bucket, Key="broken")["UploadId"]
        s3.abort_multipart_upload(Bucket=bucket, Key="broken", UploadId=broken)
        s3.delete_object(Bucket=bucket, Key="copy")
    assert seen_as(seen) == {
        ("s3:PutObject", f"{bucket}/large"),
        ("s3:GetObject", f"{bucket}/large"),
        ("s3:ListBucket", bucket),
        ("s3:GetObject", f"{bucket}/there"),
        ("s3:PutObject", f"{bucket}/copy"),
        ("s3:PutObject", f"{bucket}/tagged name"),
        ("s3:PutObjectTagging", f"{bucket}/tagged name"),
        ("s3:PutObject", f"{bucket}/broken"),
        ("s3:AbortMultipartUpload", f"{bucket}/broken"),
        ("s3:DeleteObject", f"{bucket}/copy"),
    }


def test_queues_and_tables_are_named_with_their_indexes_and_batches_are_no_action(stack: LocalStack) -> None:
    table, queue = stack.environ["DYNAMO_TABLE_NAME"], stack.environ["TRAIN_JOB_QUEUE_URL"]
    with recording(stack.environ["AWS_ENDPOINT_URL"]) as (url, seen):
        sqs, dynamodb = client("sqs", url), client("dynamodb", url)
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "1", "MessageBody": "x"}])
        sqs.get_queue_url(QueueName=queue.rsplit("/", 1)[1])
        dynamodb.query(
            TableName=table,
            IndexName="GSI1",
            KeyConditionExpression="GSI1PK = :x",
            ExpressionAttributeValues={":x": {"S": "x"}},
        )
        item = {"PK": {"S": "x"}, "SK": {"S": "x"}}
        dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}}]})
        dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item}}])
    name = queue.rsplit("/", 1)[1]
    assert seen_as(seen) == {
        ("sqs:SendMessage", name),
        ("sqs:GetQueueUrl", name),
        ("dynamodb:Query", f"table/{table}/index/GSI1"),
        ("dynamodb:BatchWriteItem", f"table/{table}"),
        ("dynamodb:PutItem", f"table/{table}"),
    }


def test_a_request_that_nobody_signed_is_nobodys_call(stack: LocalStack) -> None:

    with recording(stack.environ["AWS_ENDPOINT_URL"]) as (url, seen):
        with urllib.request.urlopen(f"{url}/moto-api/") as answer:  # noqa: S310 - our own server
            assert answer.status == 200
        assert seen == set()
