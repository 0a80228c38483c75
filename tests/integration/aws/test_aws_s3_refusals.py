"""Refusals of S3, by real answers to a real client: passing ones end no job, final ones do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from messages.child_protocol import ErrorClass
from run_records.aws_errors import ObjectMissing
from run_records.errors import Denied, NetworkError, RunError, SetupError
from run_records.s3_store import S3Store
from tests.support.scripted_aws import Answer, Asked, bare, portal, s3_refusal, scripted_aws

OWN, NAMED = "own-bucket", "named-bucket"
SECONDS_OLD = "Wed, 12 Oct 2009 17:50:00 GMT"
OBJECT = Answer(
    200,
    b"content",
    {"x-amz-request-id": "R", "ETag": '"e"', "x-amz-meta-sha256": "f00", "Last-Modified": SECONDS_OLD},
)


def storage_at(url: str) -> S3Store:
    """A storage whose client asks once."""
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return S3Store([OWN, NAMED], client=boto3.client("s3", endpoint_url=url, config=config))


def error_of(answer: Callable[[Asked], Answer], ask: Callable[[S3Store], object]) -> RunError:
    with scripted_aws(answer) as aws, pytest.raises(RunError) as caught:
        ask(storage_at(aws.url))
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "error_class"),
    [
        (403, "RequestTimeTooSkewed", ErrorClass.CLOCK),
        (403, "SignatureDoesNotMatch", ErrorClass.CREDENTIALS),
        (400, "TokenRefreshRequired", ErrorClass.CREDENTIALS),
        (400, "ExpiredToken", ErrorClass.CREDENTIALS),
        (400, "RequestExpired", ErrorClass.CLOCK),
        (400, "RequestTimeout", ErrorClass.NETWORK),
        (409, "OperationAborted", ErrorClass.THROTTLED),
        (400, "BadDigest", ErrorClass.CHECKSUM),
        (400, "XAmzContentSHA256Mismatch", ErrorClass.CHECKSUM),
        (400, "IncompleteBody", ErrorClass.NETWORK),
        (429, "TooManyRequests", ErrorClass.THROTTLED),
        (400, "KMS.ThrottlingException", ErrorClass.THROTTLED),
        (403, "AccessDenied", ErrorClass.DENIED),
        (400, "KMS.DisabledException", ErrorClass.DENIED),
        (418, "ACodeOfTomorrow", ErrorClass.DENIED),
    ],
)
def test_a_passing_refusal_of_a_write_is_tried_again(status: int, code: str, error_class: ErrorClass) -> None:
    error = error_of(
        lambda _: s3_refusal(status, code), lambda storage: storage.write(f"s3://{NAMED}/k", b"body")
    )
    assert error.error_class is error_class
    assert error_class.retryable
    assert code in str(error)
    assert ("could not be reached" in str(error)) == (error_class is ErrorClass.NETWORK)


@pytest.mark.parametrize(
    ("status", "code", "error_class"),
    [
        (400, "ExpiredToken", ErrorClass.CREDENTIALS),
        (400, "RequestTimeTooSkewed", ErrorClass.CLOCK),
        (401, "InvalidToken", ErrorClass.CREDENTIALS),
        (403, "InvalidAccessKeyId", ErrorClass.CREDENTIALS),
        (409, "OperationAborted", ErrorClass.THROTTLED),
        (429, "TooManyRequests", ErrorClass.THROTTLED),
    ],
)
def test_a_bare_status_of_a_head_is_asked_again_by_a_get(
    status: int, code: str, error_class: ErrorClass, tmp_path: Path
) -> None:
    def answer(asked: Asked) -> Answer:
        return bare(status) if asked.method == "HEAD" else s3_refusal(status, code)

    asks: tuple[Callable[[S3Store], object], ...] = (
        lambda storage: storage.head(f"s3://{NAMED}/k"),
        lambda storage: storage.download_folder(f"s3://{NAMED}/run/", tmp_path, ["k"]),
    )
    for ask in asks:
        error = error_of(answer, ask)
        assert error.error_class is error_class
        assert code in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 429])
def test_a_head_that_only_was_refused_in_passing_is_answered_by_the_get(status: int) -> None:
    with scripted_aws(lambda asked: bare(status) if asked.method == "HEAD" else OBJECT) as aws:
        found = storage_at(aws.url).head(f"s3://{NAMED}/k")
    assert found is not None
    assert (found.etag, found.size, found.metadata) == ("e", 7, {"sha256": "f00"})


def test_a_download_whose_first_head_was_refused_in_passing_is_done(tmp_path: Path) -> None:
    heads: list[Asked] = []

    def answer(asked: Asked) -> Answer:
        if asked.method == "HEAD" and not heads:
            heads.append(asked)
            return bare(400)
        return OBJECT

    with scripted_aws(answer) as aws:
        storage_at(aws.url).download_folder(f"s3://{NAMED}/run/", tmp_path, ["k"])
    assert (tmp_path / "k").read_bytes() == b"content"


def test_a_missing_object_stays_missing_without_a_second_request() -> None:
    with scripted_aws(lambda _: bare(404)) as aws:
        assert storage_at(aws.url).head(f"s3://{NAMED}/k") is None
        assert [asked.method for asked in aws.asked] == ["HEAD"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "NoSuchBucket"),
        (403, "AccessDenied"),
        (403, "AllAccessDisabled"),
        (400, "KMS.DisabledException"),
        (400, "KMS.NotFoundException"),
        (301, "PermanentRedirect"),
    ],
)
def test_what_is_wrong_with_the_hosts_own_bucket_is_the_hosts_fault(status: int, code: str) -> None:
    def read(storage: S3Store) -> object:
        return storage.read(f"s3://{OWN}/runs/r/run.json")

    error = error_of(lambda _: s3_refusal(status, code), read)
    assert isinstance(error, SetupError)
    assert code in str(error)
    assert "LAYOUTLM_TRAINING_BUCKET" in str(error)


def test_a_bucket_that_a_message_names_is_the_messages_fault() -> None:
    def keys(storage: S3Store) -> object:
        return storage.list_keys(f"s3://{NAMED}/run/")

    missing = error_of(lambda _: s3_refusal(404, "NoSuchBucket"), keys)
    assert isinstance(missing, ObjectMissing)
    denied = error_of(lambda _: s3_refusal(403, "AccessDenied"), keys)
    assert isinstance(denied, Denied)


@pytest.mark.parametrize("status", [200, 302, 403, 407, 511])
def test_the_page_of_a_captive_portal_is_a_fault_of_the_network(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_aws(lambda _: portal(status)) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        storage = S3Store([OWN])
        asks: tuple[Callable[[], object], ...] = (
            lambda: storage.list_keys(f"s3://{OWN}/run/"),
            lambda: storage.read(f"s3://{OWN}/run/run.json"),
            lambda: storage.head(f"s3://{OWN}/run/run.json"),
            lambda: storage.write(f"s3://{OWN}/run/run.json", b"{}"),
        )
        for ask in asks:
            with pytest.raises(NetworkError, match=r"proxy in between"):
                ask()
