"""The one table of AWS error codes: each known code once, with the kind of fault that it names.

Every edge (table, S3, SQS, Auto Scaling) judges an answer of AWS by it, so that the same code means the same
everywhere. The lists began as botocore's own (`botocore.retries.standard`, `data/_retry.json`), the error
lists of the services' documentation, and the errors of botocore's service models.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class AwsFault(StrEnum):
    """Kinds of fault; `retryable` says whether the same request may succeed later.

    Attributes:
        THROTTLED: AWS asks for fewer requests.
        NETWORK: AWS failed, could not be reached, or something else answered in its place.
        CHECKSUM: what arrived is not what was sent.
        CONFLICT: another request was under way at the same moment, or has changed what this one is about.
        CREDENTIALS: AWS refuses the credentials, or whatever hands them out fails; they may be renewed.
        NO_CREDENTIALS: none are set up.
        CLOCK: this host's clock differs too much from that of AWS.
        FORBIDDEN: a policy does not allow the request.
        DISABLED: the account, the bucket, or the encryption key of either is switched off or gone.
        UNKNOWN: AWS refuses the request with a code that is not in this table.
        CONDITION: the condition of a write does not hold.
        STALE_HANDLE: the receipt handle of a message is not valid any more.
        MISSING: there is no such bucket, table, queue or group.
        NO_KEY: there is no such object in a bucket that exists.
        REGION: the bucket, table or key is in another region or behind another endpoint.
        TOO_LARGE: the item or the message is larger than the service takes.
        REQUEST: the request itself is wrong.
        SETTINGS: no client can be made with this host's settings.
    """

    THROTTLED = "throttled"
    NETWORK = "network"
    CHECKSUM = "checksum"
    CONFLICT = "conflict"
    CREDENTIALS = "credentials"
    NO_CREDENTIALS = "no_credentials"
    CLOCK = "clock"
    FORBIDDEN = "forbidden"
    DISABLED = "disabled"
    UNKNOWN = "unknown"
    CONDITION = "condition"
    STALE_HANDLE = "stale_handle"
    MISSING = "missing"
    NO_KEY = "no_key"
    REGION = "region"
    TOO_LARGE = "too_large"
    REQUEST = "request"
    SETTINGS = "settings"

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later; how often it is tried is up to the caller."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        AwsFault.THROTTLED,
        AwsFault.NETWORK,
        AwsFault.CHECKSUM,
        AwsFault.CONFLICT,
        AwsFault.CREDENTIALS,
        AwsFault.NO_CREDENTIALS,
        AwsFault.CLOCK,
        AwsFault.FORBIDDEN,
        AwsFault.DISABLED,
        AwsFault.UNKNOWN,
    }
)

CODES_BY_FAULT: Final[Mapping[AwsFault, str]] = {
    AwsFault.THROTTLED: """
        BandwidthLimitExceeded EC2ThrottledException KmsThrottled LimitExceededException OverLimit
        ProvisionedThroughputExceededException RequestLimitExceeded RequestThrottled RequestThrottledException
        ResourceContention SlowDown SlowDownException ThrottledException Throttling ThrottlingException
        TooManyRequests TooManyRequestsException TransactionInProgressException
    """,
    AwsFault.NETWORK: """
        ConnectionClosedByRequester DependencyTimeoutException IDPCommunicationError IncompleteBody
        InternalError InternalException InternalFailure InternalServerError InternalServerException
        KMSInternalException KeyUnavailableException PriorRequestNotComplete RequestAbortedException
        RequestTimeout RequestTimeoutException ServiceUnavailable ServiceUnavailableException
        TemporaryRedirect
    """,
    AwsFault.CHECKSUM: "BadDigest XAmzContentChecksumMismatch XAmzContentSHA256Mismatch",
    AwsFault.CONFLICT: """
        ConditionalRequestConflict IdempotentCallInProgress InvalidPart InvalidPartOrder InvalidRange
        InvalidWriteOffset NoSuchUpload OperationAborted PreconditionFailed ReplicatedWriteConflictException
        ResourceInUse ResourceInUseException ScalingActivityInProgress TransactionCanceledException
        TransactionConflictException
    """,
    AwsFault.CREDENTIALS: """
        AuthFailure AuthorizationPendingException ExpiredToken ExpiredTokenException
        ExpiredTradeInTokenException IDPRejectedClaim IncompleteSignature IncompleteSignatureException
        InvalidAccessKeyId InvalidClientException InvalidClientTokenId InvalidGrantException
        InvalidIdentityToken InvalidSecurity InvalidSignatureException InvalidToken MissingAuthenticationToken
        MissingAuthenticationTokenException MissingSecurityHeader NotSignedUp SignatureDoesNotMatch
        TokenRefreshRequired UnauthorizedClientException UnauthorizedException UnrecognizedClientException
    """,
    AwsFault.CLOCK: "RequestExpired RequestInTheFuture RequestTimeTooSkewed",
    AwsFault.FORBIDDEN: """
        AccessDenied AccessDeniedException ForbiddenException InvalidGrantTokenException InvalidPayer
        KmsAccessDenied NotAuthorized OutboundWebIdentityFederationDisabledException ServiceLinkedRoleFailure
        SessionDurationEscalationException UnauthorizedAccess UnauthorizedOperation
    """,
    AwsFault.DISABLED: """
        AccountProblem AllAccessDisabled DisabledException IncorrectKeyException InvalidBucketState
        InvalidCiphertextException InvalidKeyUsageException InvalidStateException KMSInvalidStateException
        KmsDisabled KmsInvalidKeyUsage KmsInvalidState KmsNotFound KmsOptInRequired NotFoundException
        OptInRequired RegionDisabledException
    """,
    AwsFault.CONDITION: "ConditionalCheckFailedException",
    AwsFault.STALE_HANDLE: "MessageNotInflight ReceiptHandleIsInvalid",
    AwsFault.MISSING: "NoSuchBucket NonExistentQueue QueueDoesNotExist ResourceNotFoundException",
    AwsFault.NO_KEY: "NoSuchKey NoSuchVersion",
    AwsFault.REGION: """
        AuthorizationHeaderMalformed EndpointNotFound IllegalLocationConstraintException InvalidRegionName
        InvalidRequestRegionException PermanentRedirect PermanentRedirectControlError Redirect
    """,
    AwsFault.TOO_LARGE: """
        BatchRequestTooLong EntityTooLarge ItemCollectionSizeLimitExceededException
        MaxMessageLengthExceeded MessageTooLong RequestEntityTooLargeException
    """,
    AwsFault.REQUEST: """
        AlreadyExists AuthorizationQueryParametersError BatchEntryIdsNotDistinct BucketAlreadyExists
        BucketAlreadyOwnedByYou DryRunOperationException EmptyBatchRequest EncryptionTypeMismatch
        EntityTooSmall IdempotencyParameterMismatch IdempotentParameterMismatch
        IdempotentParameterMismatchException InvalidAction InvalidAddress InvalidArgument InvalidAttributeName
        InvalidAttributeValue InvalidAuthorizationMessageException InvalidBatchEntryId InvalidBucketName
        InvalidClientMetadataException InvalidDigest InvalidEncryptionAlgorithmError InvalidIdFormat
        InvalidMessageContents InvalidNextToken InvalidObjectState InvalidParameterCombination
        InvalidParameterValue InvalidParameterValueException InvalidPrefix InvalidQueryParameter
        InvalidRedirectUriException InvalidRequest InvalidRequestException InvalidScopeException
        InvalidStorageClass InvalidTag InvalidURI JWTPayloadSizeExceededException KeyTooLongError
        LimitExceeded MalformedHttpRequestException MalformedPolicyDocument MalformedQueryString
        MalformedXML MetadataTooLarge MethodNotAllowed MissingAction MissingContentLength MissingParameter
        MissingRequestBodyError NotImplemented ObjectAlreadyInActiveTierError ObjectNotInActiveTierError
        PackedPolicyTooLarge SerializationException TooManyEntriesInBatchRequest TooManyParts
        UnexpectedContent UnknownOperationException UnsupportedGrantTypeException UnsupportedMediaType
        UnsupportedOperation ValidationError ValidationException
    """,
}

FAULT_BY_CODE: Final[Mapping[str, AwsFault]] = {
    code: fault for fault, codes in CODES_BY_FAULT.items() for code in codes.split()
}

_FAULT_BY_STATUS: Final[Mapping[int, AwsFault]] = {
    301: AwsFault.REGION,
    401: AwsFault.CREDENTIALS,
    403: AwsFault.FORBIDDEN,
    404: AwsFault.NO_KEY,
    408: AwsFault.NETWORK,
    409: AwsFault.CONFLICT,
    412: AwsFault.CONFLICT,
    413: AwsFault.TOO_LARGE,
    416: AwsFault.CONFLICT,
    429: AwsFault.THROTTLED,
}
_SERVER_ERROR: Final = 500


def fault_of_code(code: str) -> AwsFault | None:
    """The fault that a code names, None for one that is not in the table.

    Some services put another one's name before it: `KMS.DisabledException` from S3,
    `AWS.SimpleQueueService.NonExistentQueue` from SQS.
    """
    return FAULT_BY_CODE.get(code.rpartition(".")[2])


def fault_of_status(status: int) -> AwsFault:
    """The fault of an answer without a code, or with an unknown one."""
    if status >= _SERVER_ERROR:
        return AwsFault.NETWORK
    return _FAULT_BY_STATUS.get(status, AwsFault.UNKNOWN)
