"""Classifies errors of botocore and aiobotocore calls; every translation of AWS errors uses this class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import botocore.exceptions as aws

from receipt_dynamo.aws_codes import AwsFault, fault_of_code, fault_of_status

UNREADABLE: Final[tuple[type[Exception], ...]] = (AttributeError, LookupError, TypeError, ValueError)
"""Errors that the first reader of an answer raises when the answer is not in the form of AWS."""

REQUEST_ID_HEADERS: Final = ("x-amzn-requestid", "x-amz-request-id")
"""Each answer of AWS has one of them; an answer of a proxy or a captive portal has none."""

_BY_EXCEPTION: Final[tuple[tuple[AwsFault, tuple[type[Exception], ...]], ...]] = (
    (
        AwsFault.NO_CREDENTIALS,
        (
            aws.NoAuthTokenError,
            aws.NoCredentialsError,
            aws.PartialCredentialsError,
            aws.ProfileNotFound,
            aws.UnknownCredentialError,
        ),
    ),
    (
        AwsFault.CREDENTIALS,
        (
            aws.CredentialRetrievalError,
            aws.LoginError,
            aws.MetadataRetrievalError,
            aws.RefreshWithMFAUnsupportedError,
            aws.SSOError,
            aws.TokenRetrievalError,
        ),
    ),
    (AwsFault.CHECKSUM, (aws.ChecksumError, aws.FlexibleChecksumError)),
    (AwsFault.THROTTLED, (aws.CapacityNotAvailableError,)),
    (
        AwsFault.SETTINGS,
        (
            aws.BaseEndpointResolverError,
            aws.ConfigNotFound,
            aws.ConfigParseError,
            aws.EndpointProviderError,
            aws.InvalidChecksumConfigError,
            aws.InvalidConfigError,
            aws.InvalidDefaultsMode,
            aws.InvalidEndpointConfigurationError,
            aws.InvalidEndpointDiscoveryConfigurationError,
            aws.InvalidIMDSEndpointError,
            aws.InvalidIMDSEndpointModeError,
            aws.InvalidProxiesConfigError,
            aws.InvalidRegionError,
            aws.InvalidRetryConfigurationError,
            aws.InvalidS3AddressingStyleError,
            aws.InvalidS3UsEast1RegionalEndpointConfigError,
            aws.InvalidSTSRegionalEndpointsConfigError,
            aws.MissingDependencyException,
            aws.UnknownRegionError,
            aws.UnknownTokenProviderError,
            aws.UnsupportedServiceProtocolsError,
            aws.UnsupportedSignatureVersionError,
        ),
    ),
    (
        AwsFault.NETWORK,
        (
            aws.AwsChunkedWrapperError,
            aws.ConnectionError,
            aws.HTTPClientError,
            aws.IncompleteReadError,
            aws.PaginationError,
        ),
    ),
    (AwsFault.REQUEST, (aws.BotoCoreError,)),
    (AwsFault.NETWORK, (Exception,)),  # the others of `call_errors`
)

# Codes that stand for several faults, told apart by the message beside them.
_BY_MESSAGE: Final[tuple[tuple[AwsFault, frozenset[str], re.Pattern[str]], ...]] = (
    (
        AwsFault.CLOCK,
        frozenset({"SignatureDoesNotMatch", "InvalidSignatureException"}),
        re.compile(r"signature expired|not yet current", re.IGNORECASE),
    ),
    (
        AwsFault.STALE_HANDLE,
        frozenset({"InvalidParameterValue", "InvalidParameterValueException"}),
        re.compile(r"receipt ?handle", re.IGNORECASE),
    ),
    (
        AwsFault.TOO_LARGE,
        frozenset({"InvalidParameterValue", "InvalidParameterValueException"}),
        re.compile(r"must be shorter than", re.IGNORECASE),
    ),
    (AwsFault.TOO_LARGE, frozenset({"ValidationException"}), re.compile(r"item size", re.IGNORECASE)),
    (
        AwsFault.MISSING,
        frozenset({"ParamValidationError"}),
        re.compile(r"invalid bucket name", re.IGNORECASE),
    ),
)

_CREDENTIAL_CALLS: Final = frozenset(
    {
        "AssumeRole",
        "AssumeRoleWithWebIdentity",
        "CreateOAuth2Token",
        "CreateToken",
        "GetRoleCredentials",
        "GetSessionToken",
    }
)
"""Calls that botocore makes of itself to get credentials, before the one that it was asked for."""
_PASSING_OF_ANY_CALL: Final = frozenset({AwsFault.THROTTLED, AwsFault.NETWORK, AwsFault.CLOCK})


class ForeignAnswer(aws.HTTPClientError):
    """Something else than AWS has answered."""

    fmt = "an answer of status {status} that is not from AWS; is there a proxy in between?"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One error of a call: the fault, AWS's code (or the error's name), and what was said beside it."""

    fault: AwsFault
    code: str
    message: str


@cache
def call_errors() -> tuple[type[Exception], ...]:
    """All that a call, the reading of its answer, and the making of a client may raise.

    For an `except` clause, which asks for it only when something was raised: then botocore's parsers are
    loaded, whose import takes longer than all of a waiting daemon's others.
    """
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    return (aws.ClientError, aws.BotoCoreError, ResponseParserError, ClientNotMade, OSError, *UNREADABLE)


class ClientNotMade(Exception):  # noqa: N818 - reads as what happened
    """No client can be made on this host; `judgement` says why."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__(judgement.message)
        self.judgement = judgement


def judge(error: Exception) -> Judgement:
    """Judge an error that a call of an AWS client, or the making of one, raised."""
    if isinstance(error, ClientNotMade):
        return error.judgement
    if isinstance(error, aws.ClientError):
        return _judge_answer(error)
    code, message = type(error).__name__, " ".join(str(error).split())
    by_exception = next(fault for fault, kinds in _BY_EXCEPTION if isinstance(error, kinds))
    fault = _fault_by_message(code, message) or by_exception
    if isinstance(error, UNREADABLE) and not isinstance(error, aws.BotoCoreError | OSError):
        message = f"the answer is not in the form of AWS ({code}: {message}); is there a proxy in between?"
    return Judgement(fault, code, message)


def _judge_answer(error: aws.ClientError) -> Judgement:
    answer: dict[str, Any] = dict(error.response)
    code = str(answer.get("Error", {}).get("Code", ""))
    message = str(answer.get("Error", {}).get("Message", ""))
    metadata = answer.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode") or (code if code.isascii() and code.isdecimal() else 0))
    fault = _fault_by_message(code, message) or fault_of_code(code)
    if fault is None and is_foreign(metadata.get("HTTPHeaders") or {}):
        return Judgement(AwsFault.NETWORK, code or str(status), ForeignAnswer.fmt.format(status=status))
    fault = fault or fault_of_status(status)
    if error.operation_name in _CREDENTIAL_CALLS and fault not in _PASSING_OF_ANY_CALL:
        fault, message = AwsFault.CREDENTIALS, f"{error.operation_name}: {message}"
    return Judgement(fault, code or str(status), message)


def is_bare(error: aws.ClientError) -> bool:
    """Whether an answer has a status but no code, as each refusal of a HEAD."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return not code or (code.isascii() and code.isdecimal())


def is_foreign(headers: Any) -> bool:
    """Whether headers are not those of an answer of AWS or of what stands for it."""
    names = {str(name).lower() for name in headers}
    is_json_of_aws = str(headers.get("content-type", "")).startswith("application/x-amz-json")
    return bool(names) and not is_json_of_aws and names.isdisjoint(REQUEST_ID_HEADERS)


def refuse_foreign_answers(session: Any) -> None:
    """Have a session of botocore or aiobotocore raise `ForeignAnswer` for an answer that is not of AWS.

    A captive portal answers everything with 200 and a page of its own, which reads as an empty queue, or with
    a redirection, which botocore's client of S3 follows without end. Statuses of errors are left to `judge`.
    """
    session.register("before-parse", _refuse_foreign)


def _refuse_foreign(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    status = response_dict["status_code"]
    if status >= 400:  # noqa: PLR2004 - HTTP's errors begin there
        return
    is_json = operation_model.service_model.resolved_protocol == "json"
    if is_foreign(response_dict["headers"]) or (is_json and not _may_be_object(response_dict["body"])):
        raise ForeignAnswer(status=status)


def _may_be_object(body: bytes) -> bool:
    """Whether a body looks like a whole JSON object; botocore reads what is no JSON as an empty one."""
    text = body.strip()
    return not text or (text[:1] == b"{" and text[-1:] == b"}")


def _fault_by_message(code: str, message: str) -> AwsFault | None:
    name = code.rpartition(".")[2]
    for fault, codes, pattern in _BY_MESSAGE:
        if name in codes and pattern.search(message):
            return fault
    return None


@contextmanager
def credentials_sought() -> Iterator[None]:
    """Judge what looking for credentials raises.

    A helper (`credential_process`, SSO, a web identity) whose program is missing or prints something else
    shows as an OSError or a ValueError of botocore's reader.

    Raises:
        ClientNotMade: always of a fault of settings or credentials.
    """
    with _client_made(AwsFault.CREDENTIALS):
        yield


@contextmanager
def client_made() -> Iterator[None]:
    """Judge what making a client raises: wrong settings, whatever the name that botocore has for them.

    Raises:
        ClientNotMade: of a fault of settings or credentials.
    """
    with _client_made(AwsFault.SETTINGS):
        yield


@contextmanager
def _client_made(otherwise: AwsFault) -> Iterator[None]:
    try:
        yield
    except ClientNotMade:
        raise
    except call_errors() as error:
        found = judge(error)
        known = {AwsFault.SETTINGS, AwsFault.CREDENTIALS, AwsFault.NO_CREDENTIALS}
        fault = found.fault if found.fault in known else otherwise
        message = " ".join(str(error).split()).rstrip(".: ")
        if otherwise is AwsFault.CREDENTIALS and found.fault is not fault:
            message = f"what hands them out (credential_process, SSO) failed by {found.code}: {message}"
        raise ClientNotMade(Judgement(fault, found.code, message)) from error


def check_files(session: Any) -> None:
    """Make sure that the certificates which a session shall trust are there: each call would look for them.

    Raises:
        ClientNotMade: they are not.
    """
    bundle = session.get_config_variable("ca_bundle")
    if bundle and not Path(bundle).exists():
        message = f"AWS_CA_BUNDLE (ca_bundle) names {bundle}, which is not there"
        raise ClientNotMade(Judgement(AwsFault.SETTINGS, "NoCertificates", message))
