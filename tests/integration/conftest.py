"""A table, a bucket and a maker of jobs for the tests of what reads records."""

from __future__ import annotations

import pytest

from receipt_dynamo import DynamoClient
from run_records.s3_store import S3Store
from tests.support.records import MakeJob, job_maker
from workers.local_aws.local_stack import LocalStack


@pytest.fixture
def client(stack: LocalStack) -> DynamoClient:
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))


@pytest.fixture
def storage(stack: LocalStack) -> S3Store:
    return S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))


@pytest.fixture
def make_job(client: DynamoClient, stack: LocalStack) -> MakeJob:
    return job_maker(client, stack)
