"""One judgement of AWS's error codes: each code once, and every edge translates by it.

`pytest -s` prints the table.
"""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any, cast

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.retries import standard
from botocore.session import get_session

from messages.child_protocol import ErrorClass
from receipt_dynamo import aws_codes
from receipt_dynamo import aws_errors as table_edge
from receipt_dynamo.aws_codes import CODES_BY_FAULT, FAULT_BY_CODE, AwsFault
from receipt_dynamo.aws_faults import call_errors, judge
from run_records import aws_errors as s3_edge
from run_records.errors import RunError, SetupError
from run_records.job_process.child_main import classify
from workers import aws_errors as sqs_edge
from workers import s3_bucket as bucket
from workers.errors import CredentialsMissing, GroupError, QueueError, QueueUnusable, WorkerError
from workers.host import auto_scaling as autoscaling

# The calls that the packages make, and those that botocore makes of itself for credentials.
CALLS: dict[str, tuple[str, ...]] = {
    "s3": (
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "GetObject",
        "HeadObject",
        "ListObjectsV2",
        "PutObject",
        "UploadPart",
    ),
    "dynamodb": ("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"),
    "sqs": (
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ReceiveMessage",
        "SendMessage",
    ),
    "autoscaling": (
        "CompleteLifecycleAction",
        "DescribeAutoScalingGroups",
        "DescribeAutoScalingInstances",
        "DescribeLifecycleHooks",
        "RecordLifecycleActionHeartbeat",
        "SetInstanceProtection",
        "TerminateInstanceInAutoScalingGroup",
    ),
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"),
    "sso": ("GetRoleCredentials",),
    "sso-oidc": ("CreateToken",),
    "kms": ("Decrypt", "GenerateDataKey"),
}
# Refusals that issue reports named, of which one ended a job for good.
PASSING = [
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "RequestExpired",
    "RequestTimeout",
    "OperationAborted",
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
    "TooManyRequests",
    "KMS.ThrottlingException",
    "AccessDenied",
    "ExpiredToken",
    "SlowDown",
    "InternalError",
]


def refused(code: str, message: str = "no", operation: str = "GetObject") -> ClientError:
    return ClientError(cast("Any", {"Error": {"Code": code, "Message": message}}), operation)


def modelled_codes(service: str) -> set[str]:
    """The errors that botocore's model of a service lists for our calls."""
    model: Any = get_session().get_service_model(service)
    shapes = [shape for call in CALLS[service] for shape in model.operation_model(call).error_shapes]
    return {str(shape.error_code) for shape in shapes}


def retried_codes() -> set[str]:
    """The codes that botocore's own retry handlers try again."""
    checkers: Any = standard
    transient = checkers.TransientRetryableChecker._TRANSIENT_ERROR_CODES  # noqa: SLF001 - no public list
    throttled = checkers.ThrottledRetryableChecker._THROTTLED_ERROR_CODES  # noqa: SLF001
    legacy = Loader().load_data("_retry")
    definitions = [*legacy["definitions"].values()]
    for service in legacy["retry"].values():
        for operation in service.values():
            if isinstance(operation, dict):
                definitions += operation.get("policies", {}).values()
    answers = [one.get("applies_when", {}).get("response", {}) for one in definitions]
    return {
        *transient,
        *throttled,
        *(one["service_error_code"] for one in answers if one.get("service_error_code")),
    }


def test_each_code_stands_in_the_table_once() -> None:
    counts = Counter(code for codes in CODES_BY_FAULT.values() for code in codes.split())
    assert [code for code, count in counts.items() if count > 1] == []
    for fault, codes in CODES_BY_FAULT.items():
        words = codes.split()
        print(f"{fault:15} {'tried again' if fault.retryable else 'final':12} {' '.join(sorted(words))}")  # noqa: T201


@pytest.mark.parametrize("service", CALLS)
def test_the_table_knows_each_code_that_a_call_of_ours_may_be_refused_with(service: str) -> None:
    assert {code for code in modelled_codes(service) if aws_codes.fault_of_code(code) is None} == set()


def test_what_botocore_tries_again_may_succeed_later() -> None:
    codes = retried_codes()
    assert len(codes) > 15
    assert {code for code in codes if not aws_codes.fault_of_code(code)} == set()
    assert {code for code in codes if not judge(refused(code)).fault.retryable} == set()


@pytest.mark.parametrize("code", [*PASSING, "ThisCodeIsNew"])
def test_a_passing_refusal_is_tried_again_at_every_service(code: str) -> None:
    assert judge(refused(code)).fault.retryable
    with pytest.raises(RunError) as s3, s3_edge.translated("s3://b/k"):
        raise refused(code)
    assert s3.value.error_class.retryable
    assert classify(table_edge.translate(refused(code), "t", "http://e"))[0].retryable
    assert issubclass(sqs_edge.BY_FAULT[judge(refused(code)).fault][0], QueueError)


@pytest.mark.parametrize("code", ["ThisCodeIsNew", "InvalidObjectState"])
def test_what_is_refused_for_good_or_for_an_unknown_reason_is_named_by_its_code(code: str) -> None:
    with (
        pytest.raises(RunError, match=f"s3://b/k .*{code}: it is so"),
        s3_edge.translated("s3://b/k"),
    ):
        raise refused(code, "it is so.")
    assert f"{code} from table t" in str(table_edge.translate(refused(code), "t", "http://e"))


@pytest.mark.parametrize("code", FAULT_BY_CODE)
async def test_every_edge_translates_a_code_by_its_fault(code: str) -> None:
    fault = FAULT_BY_CODE[code]
    with pytest.raises(s3_edge.BY_FAULT[fault][0]) as s3, s3_edge.translated("s3://b/k"):
        raise refused(code)
    assert type(s3.value) is s3_edge.BY_FAULT[fault][0]
    if fault is not AwsFault.CONDITION:
        assert type(table_edge.translate(refused(code), "t", "http://e")) is table_edge.BY_FAULT[fault][0]
    with pytest.raises(sqs_edge.BY_FAULT[fault][0]) as sqs:
        async with sqs_edge.sqs_errors_translated("http://q"):
            raise refused(code)
    assert type(sqs.value) is sqs_edge.BY_FAULT[fault][0]
    with pytest.raises(bucket.BY_FAULT[fault][0]) as probed:
        async with bucket.s3_errors_translated("Listing"):
            raise refused(code)
    assert type(probed.value) is bucket.BY_FAULT[fault][0]
    with pytest.raises(GroupError, match=rf"\({code}, {fault}\)"), autoscaling.group_errors_translated():
        raise refused(code)


@pytest.mark.parametrize("fault", AwsFault)
def test_no_edge_judges_a_fault_in_its_own_way(fault: AwsFault) -> None:
    """Where an edge differs from the table, it is named here with its reason."""
    assert s3_edge.BY_FAULT[fault][0].error_class.retryable == (
        # In a child, which the daemon's settings have brought this far, they are the host's fault.
        fault.retryable or fault is AwsFault.SETTINGS
    )
    if fault is not AwsFault.CONDITION:
        kind = table_edge.BY_FAULT[fault][0]
        # The table is always the host's own, and a wrong request to it a defect of this code: CRASHED, which
        # is tried a bounded number of times.
        of_own = {AwsFault.MISSING, AwsFault.REGION, AwsFault.SETTINGS}
        defect = {AwsFault.REQUEST, AwsFault.NO_KEY, AwsFault.STALE_HANDLE}
        assert classify(kind("x"))[0].retryable == (fault.retryable or fault in of_own | defect)
    # A queue that is missing and credentials that nobody has set up end a daemon at once.
    final = issubclass(sqs_edge.BY_FAULT[fault][0], QueueUnusable | CredentialsMissing)
    assert final == (fault in {AwsFault.MISSING, AwsFault.NO_CREDENTIALS})
    # So does a bucket of its own that no waiting mends.
    final = issubclass(bucket.BY_FAULT[fault][0], WorkerError)
    unusable = {AwsFault.MISSING, AwsFault.REGION, AwsFault.DISABLED, AwsFault.SETTINGS}
    assert final == (fault in unusable | {AwsFault.NO_CREDENTIALS})


@pytest.mark.parametrize(
    "code",
    ["NoSuchBucket", "AccessDenied", "AllAccessDisabled", "KMS.DisabledException", "PermanentRedirect"],
)
def test_the_hosts_own_bucket_is_the_hosts_fault_and_another_one_the_requests(code: str) -> None:
    refusal = pytest.raises(SetupError, match="own bucket cannot be used")
    with refusal as own, s3_edge.translated("s3://own/k", is_own=True):
        raise refused(code)
    assert own.value.error_class.of_host
    with pytest.raises(RunError) as other, s3_edge.translated("s3://other/k"):
        raise refused(code)
    assert not other.value.error_class.of_host


def test_a_missing_key_in_the_own_bucket_stays_a_missing_key() -> None:
    with pytest.raises(s3_edge.ObjectMissing), s3_edge.translated("s3://own/k", is_own=True):
        raise refused("NoSuchKey")


@pytest.mark.parametrize(
    ("code", "message", "fault"),
    [
        ("SignatureDoesNotMatch", "The request signature we calculated does not match", AwsFault.CREDENTIALS),
        ("SignatureDoesNotMatch", "Signature expired: 20200101T000000Z is now earlier", AwsFault.CLOCK),
        ("InvalidSignatureException", "Signature not yet current: 2099", AwsFault.CLOCK),
        ("InvalidParameterValue", "Value x for parameter ReceiptHandle is invalid.", AwsFault.STALE_HANDLE),
        (
            "InvalidParameterValue",
            "Total VisibilityTimeout for the message is beyond the limit",
            AwsFault.REQUEST,
        ),
        ("InvalidParameterValue", "Value 1000 for parameter DelaySeconds is invalid.", AwsFault.REQUEST),
        (
            "InvalidParameterValue",
            "One or more parameters are invalid. must be shorter than",
            AwsFault.TOO_LARGE,
        ),
        ("ValidationException", "Item size has exceeded the maximum", AwsFault.TOO_LARGE),
        ("AWS.SimpleQueueService.NonExistentQueue", "", AwsFault.MISSING),
        ("KMS.DisabledException", "", AwsFault.DISABLED),
    ],
)
def test_a_code_of_several_meanings_is_told_by_its_message(code: str, message: str, fault: AwsFault) -> None:
    assert judge(refused(code, message)).fault is fault


def test_a_refusal_of_the_call_that_fetches_credentials_is_no_word_about_the_table() -> None:
    missing = refused("ResourceNotFoundException", "No such role", "GetRoleCredentials")
    assert judge(missing).fault is AwsFault.CREDENTIALS
    assert judge(refused("AccessDenied", operation="AssumeRole")).fault is AwsFault.CREDENTIALS
    assert judge(refused("Throttling", operation="AssumeRole")).fault is AwsFault.THROTTLED


def test_a_name_that_no_bucket_can_have_is_a_missing_bucket() -> None:
    client: Any = get_session().create_client("s3", region_name="us-east-1")
    with pytest.raises(botocore.exceptions.ParamValidationError) as caught:
        client.get_object(Bucket="s3://own", Key="k")
    assert judge(caught.value).fault is AwsFault.MISSING


def test_every_exception_of_botocore_is_judged() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(botocore.exceptions, inspect.isclass)
        if issubclass(kind, botocore.exceptions.BotoCoreError)
    ]
    judged = {kind.__name__: judge(kind.__new__(kind)).fault for kind in kinds}
    for name, fault in sorted(judged.items(), key=lambda one: (one[1], one[0])):
        print(f"{fault:15} {name}")  # noqa: T201
    expected = {
        "NoCredentialsError": AwsFault.NO_CREDENTIALS,
        "PartialCredentialsError": AwsFault.NO_CREDENTIALS,
        "ProfileNotFound": AwsFault.NO_CREDENTIALS,
        "UnauthorizedSSOTokenError": AwsFault.CREDENTIALS,
        "SSOTokenLoadError": AwsFault.CREDENTIALS,
        "TokenRetrievalError": AwsFault.CREDENTIALS,
        "CredentialRetrievalError": AwsFault.CREDENTIALS,
        "LoginRefreshRequired": AwsFault.CREDENTIALS,
        "ConfigParseError": AwsFault.SETTINGS,
        "InvalidRegionError": AwsFault.SETTINGS,
        "NoRegionError": AwsFault.SETTINGS,
        "InvalidProxiesConfigError": AwsFault.SETTINGS,
        "InvalidRetryModeError": AwsFault.SETTINGS,
        "FlexibleChecksumError": AwsFault.CHECKSUM,
        "ReadTimeoutError": AwsFault.NETWORK,
        "ProxyConnectionError": AwsFault.NETWORK,
        "SSLError": AwsFault.NETWORK,
        "ParamValidationError": AwsFault.REQUEST,
    }
    assert {name: judged[name] for name in expected} == expected


def test_the_clause_of_an_edge_catches_all_that_is_judged() -> None:
    assert {ClientError, botocore.exceptions.BotoCoreError, OSError, ValueError} <= set(call_errors())
    assert {ErrorClass.SETUP, ErrorClass.CLOCK} <= {kind.error_class for kind, _ in s3_edge.BY_FAULT.values()}
