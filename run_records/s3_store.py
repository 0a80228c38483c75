"""S3 limited to an allow list of buckets: small documents, files, folders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from messages.fields import S3Uri
from receipt_dynamo.aws_faults import is_bare
from receipt_dynamo.session import new_client
from run_records.aws_errors import ObjectMissing, translated
from run_records.errors import CheckpointError, ConfigurationError, Forbidden

SHA256 = "sha256"
"""Metadata of an object: what its content hashes to. An ETag says that of small objects only."""
OWNER = "job-id"
"""Metadata of an object: the training that wrote it, or that it was made of."""
_THREADS = 8
_CHUNK_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The attributes of an S3 object: its ETag without quotes, bytes, and metadata."""

    etag: str
    size: int
    metadata: Mapping[str, str]


class S3Store:
    """S3 limited to the buckets on an allow list.

    Args:
        allowed_buckets: the list; the first one is the host's own.
        client: a boto3 S3 client to use instead of making one.
        on_bytes: told, in any thread, how many bytes of a file have just come or gone.
    """

    def __init__(
        self,
        allowed_buckets: Iterable[str],
        client: Any = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        buckets = tuple(allowed_buckets)
        self.allowed_buckets = frozenset(buckets)
        self._own_bucket = buckets[0] if buckets else None
        self._client = client
        self.on_bytes = on_bytes or (lambda _: None)

    @property
    def client(self) -> Any:
        """The boto3 client, made when first needed: a run from local files needs none."""
        if self._client is None:
            retries = Config(
                retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=2 * _THREADS
            )
            with translated("S3"):
                self._client = new_client("s3", config=retries)
        return self._client

    def translated(self, uri: str) -> AbstractContextManager[None]:
        """Turn what S3's client raises about a URI into this package's errors."""
        return translated(uri, is_own=self.place(uri).bucket == self._own_bucket)

    def place(self, uri: str) -> S3Uri:
        """Take a URI apart.

        Raises:
            ConfigurationError: it is no S3 URI.
            Forbidden: its bucket is not on the allow list.
        """
        try:
            place = S3Uri.parse(uri)
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
        with self.translated(uri):
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
            with self.translated(uri):
                body = self.client.get_object(Bucket=place.bucket, Key=place.key)["Body"]
                return b"".join(self._counted(body.iter_chunks(_CHUNK_BYTES)))
        except ObjectMissing:
            return None

    def write(self, uri: str, body: bytes, content_type: str = "application/json") -> str:
        """Write one small object; returns its ETag without quotes."""
        place = self.place(uri)
        with self.translated(uri):
            answer = self.client.put_object(
                Bucket=place.bucket, Key=place.key, Body=body, ContentType=content_type
            )
        return str(answer["ETag"]).strip('"')

    def head(self, uri: str) -> StoredObject | None:
        """The attributes of the object at a key; None where there is none."""
        place = self.place(uri)
        try:
            with self.translated(uri):
                head = self._head(place)
        except ObjectMissing:
            return None
        return StoredObject(str(head["ETag"]).strip('"'), head["ContentLength"], head.get("Metadata", {}))

    def upload_file(
        self, path: Path, uri: str, metadata: Mapping[str, str] | None = None, tag: str | None = None
    ) -> None:
        """Upload one file, in parts where it is large; `tag` is NAME=VALUE."""
        place = self.place(uri)
        more: dict[str, Any] = {"Tagging": tag} if tag else {}
        with self.translated(uri):
            self.client.upload_file(
                str(path),
                place.bucket,
                place.key,
                ExtraArgs={"Metadata": dict(metadata or {}), **more},
                Config=_transfer(),
                Callback=self.on_bytes,
            )

    def upload_folder(
        self, folder: Path, uri: str, *, last: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Upload a folder's files below a prefix, `last` after all others; returns their bytes.

        The last one is the file that makes the others count: while it is missing, nobody reads them. What
        lies there already, with the same size and hash, is not sent again.
        """
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        final = [path for path in files if path.name == last and path.parent == folder]
        first = [path for path in files if path not in final]
        stored = self.list_keys(uri)

        def send(path: Path) -> None:
            name, digest = path.relative_to(folder).as_posix(), hash_file(path)
            if stored.get(name) == path.stat().st_size:
                there = self.head(uri + name)
                if there and there.metadata.get(SHA256) == digest:
                    return
            self.upload_file(path, uri + name, {**(metadata or {}), SHA256: digest})

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(send, first))
        for path in final:
            send(path)
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
        with ThreadPoolExecutor(_THREADS) as pool, self.translated(uri):
            jobs = [
                pool.submit(self._download, S3Uri(bucket=place.bucket, key=place.key + name), path)
                for name, path in wanted
            ]
            for job in jobs:
                job.result()

    def _download(self, place: S3Uri, path: Path) -> None:
        def download() -> None:
            self.client.download_file(
                place.bucket, place.key, str(path), Config=_transfer(), Callback=self.on_bytes
            )

        try:
            download()
        except ClientError as error:  # boto3 asks for the size first, by a HEAD
            if not is_bare(error):
                raise
            self._look_by_get(place)
            download()

    def _head(self, place: S3Uri) -> Mapping[str, Any]:
        try:
            head: Mapping[str, Any] = self.client.head_object(Bucket=place.bucket, Key=place.key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "404" or not is_bare(error):
                raise
            return self._look_by_get(place)
        return head

    def _look_by_get(self, place: S3Uri) -> Mapping[str, Any]:
        """Ask by a GET what a HEAD, whose answer has no body, was refused for; the content is not read."""
        answer: Mapping[str, Any] = self.client.get_object(Bucket=place.bucket, Key=place.key)
        answer["Body"].close()
        return answer

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.on_bytes(len(chunk))
            yield chunk


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise CheckpointError(f"The key {name!r} points outside its folder; the checkpoint is not loaded.")
    return path


def _transfer() -> TransferConfig:
    # One file's parts share the pool of threads that its neighbours use. "classic", because on some hosts
    # boto3 would pick a client whose requests pass no check of the session.
    return TransferConfig(max_concurrency=4, preferred_transfer_client="classic")
