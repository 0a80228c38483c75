"""S3 as this package uses it: whole folders up and down, small documents, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.exceptions as aws
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from messages.fields import S3Place
from receipt_dynamo.session import new_session
from receipt_layoutlm.errors import (
    CheckpointError,
    ConfigurationError,
    CredentialsError,
    Forbidden,
    LayoutLMError,
    NetworkError,
    Throttled,
)

_THREADS = 8
_CHUNK_BYTES = 1_048_576
_CREDENTIAL_CODES = {"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken"}
_THROTTLE_CODES = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "503"}


class Storage:
    """S3 limited to the buckets on an allow list.

    Args:
        allowed_buckets: the list.
        client: a boto3 S3 client to use instead of making one.
        on_bytes: told, in any thread, how many bytes of a file have just come or gone.
    """

    def __init__(
        self,
        allowed_buckets: Iterable[str],
        client: Any = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self.allowed_buckets = frozenset(allowed_buckets)
        self._client = client
        self._on_bytes = on_bytes or (lambda _: None)

    @property
    def client(self) -> Any:
        """The boto3 client, made when first needed: a run from local files needs none."""
        if self._client is None:
            retries = Config(
                retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=2 * _THREADS
            )
            with translated("S3"):
                self._client = new_session().client("s3", config=retries)
        return self._client

    def place(self, uri: str) -> S3Place:
        """Take a URI apart.

        Raises:
            ConfigurationError: it is no S3 URI.
            Forbidden: its bucket is not on the allow list.
        """
        try:
            place = S3Place.parse(uri)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        if place.bucket not in self.allowed_buckets:
            allowed = ", ".join(sorted(self.allowed_buckets)) or "none"
            raise Forbidden(
                f"The bucket of {uri} is not allowed (allowed: {allowed}). "
                "Add it to LAYOUTLM_ALLOWED_BUCKETS of the worker, or use an allowed one."
            )
        return place

    def list_keys(self, uri: str) -> dict[str, int]:
        """Keys below a prefix, relative to it, with their sizes in bytes."""
        place = self.place(uri)
        found: dict[str, int] = {}
        with translated(uri):
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=place.bucket, Prefix=place.key
            ):
                for entry in page.get("Contents", ()):
                    found[entry["Key"][len(place.key) :]] = entry["Size"]
        found.pop("", None)
        return found

    def read(self, uri: str) -> bytes | None:
        """One object's bytes, or None when there is none."""
        place = self.place(uri)
        try:
            with translated(uri):
                body = self.client.get_object(Bucket=place.bucket, Key=place.key)["Body"]
                return b"".join(self._counted(body.iter_chunks(_CHUNK_BYTES)))
        except ObjectMissing:
            return None

    def write(self, uri: str, body: bytes, content_type: str = "application/json") -> str:
        """Write one small object; returns its ETag without quotes."""
        place = self.place(uri)
        with translated(uri):
            answer = self.client.put_object(
                Bucket=place.bucket, Key=place.key, Body=body, ContentType=content_type
            )
        return str(answer["ETag"]).strip('"')

    def upload_file(self, path: Path, uri: str) -> str:
        """Upload one file, in parts where it is large; returns its ETag without quotes."""
        place = self.place(uri)
        with translated(uri):
            self.client.upload_file(
                str(path), place.bucket, place.key, Config=_transfer(), Callback=self._on_bytes
            )
            head = self.client.head_object(Bucket=place.bucket, Key=place.key)
        return str(head["ETag"]).strip('"')

    def upload_folder(self, folder: Path, uri: str, *, last: str | None = None) -> int:
        """Upload a folder's files below a prefix, `last` after all others; returns their bytes.

        The last one is the file that makes the others count: while it is missing, nobody reads them.
        """
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        final = [path for path in files if path.name == last and path.parent == folder]
        first = [path for path in files if path not in final]
        self.place(uri)
        with ThreadPoolExecutor(_THREADS) as pool:
            list(
                pool.map(
                    lambda path: self.upload_file(path, uri + path.relative_to(folder).as_posix()), first
                )
            )
        for path in final:
            self.upload_file(path, uri + path.name)
        return sum(path.stat().st_size for path in files)

    def download_folder(self, uri: str, folder: Path, names: Iterable[str]) -> None:
        """Download named files below a prefix.

        Raises:
            CheckpointError: a name would leave the folder.
        """
        place = self.place(uri)
        wanted = [(name, _inside(folder, name)) for name in names]
        for _, path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_THREADS) as pool, translated(uri):
            jobs = [
                pool.submit(
                    self.client.download_file,
                    place.bucket,
                    place.key + name,
                    str(path),
                    Config=_transfer(),
                    Callback=self._on_bytes,
                )
                for name, path in wanted
            ]
            for job in jobs:
                job.result()

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._on_bytes(len(chunk))
            yield chunk


class ObjectMissing(CheckpointError):  # noqa: N818 - reads as what happened
    """There is no such object or bucket."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn botocore's errors into this package's, with `what` they were about."""
    try:
        yield
    except aws.ClientError as error:
        raise _translate(error, what) from error
    except S3UploadFailedError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, aws.ClientError):
            raise _translate(cause, what) from error
        raise NetworkError(f"Uploading {what} failed: {error}. It is tried again later.") from error
    except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError) as error:
        raise CredentialsError(
            f"No AWS credentials for {what}. Set AWS_PROFILE or the AWS_ACCESS_KEY_ID pair, or attach a role."
        ) from error
    except aws.NoRegionError as error:
        raise ConfigurationError("No AWS region is set. Set AWS_REGION, for example us-east-1.") from error
    except aws.BotoCoreError as error:
        raise NetworkError(
            f"{what} could not be reached: {error}. Check AWS_ENDPOINT_URL and the network."
        ) from error


def _translate(error: aws.ClientError, what: str) -> LayoutLMError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _CREDENTIAL_CODES:
        return CredentialsError(f"AWS refuses the credentials for {what} ({code}). Refresh them.")
    if code in _THROTTLE_CODES:
        return Throttled(f"S3 asks for fewer requests at {what} ({code}).")
    if code in {"NoSuchKey", "404", "NoSuchBucket"}:
        return ObjectMissing(f"There is no {what} ({code}). Check the name of bucket and key.")
    if code in {"AccessDenied", "403"}:
        return Forbidden(f"AWS denies access to {what}. Grant the worker's role what it needs there.")
    if status >= 500:  # noqa: PLR2004 - HTTP's server errors
        return NetworkError(f"S3 failed at {what} ({code or status}). It is tried again later.")
    return ConfigurationError(f"S3 refuses the request for {what}: {error}")


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise CheckpointError(f"The key {name!r} points outside its folder; the checkpoint is not loaded.")
    return path


def _transfer() -> TransferConfig:
    # One file's parts share the pool of threads that its neighbours use. "classic", because on some hosts
    # boto3 would pick a client whose requests pass no check of the session.
    return TransferConfig(max_concurrency=4, preferred_transfer_client="classic")
