"""A transfer that takes minutes tells of its bytes while they move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from run_records.s3_store import S3Store
from workers.local_aws.local_stack import LocalStack

SIZE = 3 * 2**20


@pytest.fixture
def moved() -> list[int]:
    return []


@pytest.fixture
def storage(stack: LocalStack, moved: list[int]) -> S3Store:
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    return S3Store([bucket], client=stack.client("s3"), on_bytes=moved.append)


def test_files_and_documents_tell_of_each_piece_that_moved(
    storage: S3Store, moved: list[int], tmp_path: Path
) -> None:
    [bucket] = storage.allowed_buckets
    (tmp_path / "file").write_bytes(bytes(SIZE))
    told = []
    transfers: tuple[Callable[[], object], ...] = (
        lambda: storage.upload_file(tmp_path / "file", f"s3://{bucket}/a/file"),
        lambda: storage.download_folder(f"s3://{bucket}/a/", tmp_path / "down", ["file"]),
        lambda: storage.read(f"s3://{bucket}/a/file"),
    )
    for transfer in transfers:
        transfer()
        told.append((sum(moved), len(moved) > 1))
        moved.clear()
    assert told == [(SIZE, True)] * 3
