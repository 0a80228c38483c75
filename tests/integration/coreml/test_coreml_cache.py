"""Checkpoints kept on the host, and downloads and uploads that do not send twice what is there."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ResponseStreamingError

from receipt_layoutlm.checkpoint import MODEL_FILES, Manifest, describe_files
from receipt_layoutlm.coreml.cache import CheckpointCache
from receipt_layoutlm.coreml.source_checkpoint import fetch_checkpoint, load_checkpoint
from run_records.errors import CheckpointError
from run_records.s3_store import S3Store
from run_records.s3_transfers import resume_download

BUCKET = "models"
PLENTY = 10**9
PutFolder = Callable[[Path, str], None]


class Traffic:
    """Counts what comes and goes."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, count: int) -> None:
        self.bytes += max(count, 0)


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture
def storage(s3: Any, traffic: Traffic) -> S3Store:
    return S3Store({BUCKET}, on_bytes=traffic)


def seal(folder: Path, job_id: str = "a-job") -> Manifest:
    names = tuple(name for name in MODEL_FILES if (folder / name).exists())
    manifest = Manifest(job_id=job_id, attempt=1, step=1, epoch=1.0, files=describe_files(folder, names))
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return manifest


@pytest.fixture
def uri(checkpoint_folder: Path, root: str, put_folder: PutFolder) -> str:
    """A sealed checkpoint in S3."""
    (checkpoint_folder / "optimizer.pt").unlink()
    seal(checkpoint_folder)
    put_folder(checkpoint_folder, root + "best/")
    return root + "best/"


@pytest.fixture
def cache(tmp_path: Path) -> CheckpointCache:
    return CheckpointCache(tmp_path / "cache", PLENTY)


def entries(cache: CheckpointCache) -> list[Path]:
    return sorted(cache.folder.iterdir()) if cache.folder.exists() else []


def key(uri: str) -> str:
    return uri.removeprefix(f"s3://{BUCKET}/")


def weights_of(cache: CheckpointCache) -> Path:
    [entry] = entries(cache)
    return entry / "model.safetensors"


def test_the_second_export_of_a_checkpoint_downloads_none_of_its_files(
    storage: S3Store, uri: str, cache: CheckpointCache, tmp_path: Path, traffic: Traffic
) -> None:
    load_checkpoint(fetch_checkpoint(storage, uri, tmp_path / "first", cache))
    small = 5000  # the manifest, which says what there is
    assert traffic.bytes > 1_000_000
    traffic.bytes = 0
    second = fetch_checkpoint(storage, uri, tmp_path / "second", cache)
    assert traffic.bytes < small
    assert {path.name for path in second.iterdir()} == {path.name for path in (tmp_path / "first").iterdir()}
    load_checkpoint(second)


def test_what_was_provided_stays_whole_when_the_cache_goes(
    storage: S3Store, uri: str, cache: CheckpointCache, tmp_path: Path
) -> None:
    folder = fetch_checkpoint(storage, uri, tmp_path / "first", cache)
    shutil.rmtree(cache.folder)
    load_checkpoint(folder)


def test_a_damaged_entry_is_mended_before_it_is_used(
    storage: S3Store, uri: str, cache: CheckpointCache, tmp_path: Path
) -> None:
    fetch_checkpoint(storage, uri, tmp_path / "first", cache)
    weights = weights_of(cache)
    whole = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(whole[:-1] + b"x")
    load_checkpoint(fetch_checkpoint(storage, uri, tmp_path / "second", cache))
    assert weights.read_bytes() == whole


def test_a_download_goes_on_where_an_earlier_attempt_broke_off(
    storage: S3Store, uri: str, cache: CheckpointCache, tmp_path: Path, traffic: Traffic
) -> None:
    fetch_checkpoint(storage, uri, tmp_path / "first", cache)
    weights = weights_of(cache)
    whole = weights.read_bytes()
    weights.unlink()
    weights.with_name("model.safetensors.partial").write_bytes(whole[:-1000])
    traffic.bytes = 0
    load_checkpoint(fetch_checkpoint(storage, uri, tmp_path / "second", cache))
    assert traffic.bytes < 10_000
    assert weights.read_bytes() == whole


@pytest.mark.parametrize("left", [b"of something else", bytes(3_000_000)])
def test_what_was_left_of_another_file_is_thrown_away(
    storage: S3Store, uri: str, cache: CheckpointCache, tmp_path: Path, left: bytes
) -> None:
    fetch_checkpoint(storage, uri, tmp_path / "first", cache)
    weights = weights_of(cache)
    weights.unlink()
    weights.with_name("model.safetensors.partial").write_bytes(left)
    load_checkpoint(fetch_checkpoint(storage, uri, tmp_path / "second", cache))


def test_a_stream_that_breaks_off_is_taken_up_again(
    storage: S3Store, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    get_object = storage.client.get_object

    def break_once(**request: Any) -> Any:
        asked.append(request["Range"])
        answer = get_object(**request)
        if len(asked) == 1:
            answer["Body"] = Broken(answer["Body"].read(100_000))
        return answer

    stored = storage.read(uri + "model.safetensors") or b""
    monkeypatch.setattr(storage.client, "get_object", break_once)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    resume_download(storage, uri + "model.safetensors", tmp_path / "weights", len(stored))
    assert asked == ["bytes=0-", "bytes=100000-"]
    assert (tmp_path / "weights").read_bytes() == stored


class Broken:
    """The body of an answer whose connection is lost half way."""

    def __init__(self, begun: bytes) -> None:
        self._begun = begun

    def iter_chunks(self, _: int) -> Iterator[bytes]:
        yield self._begun
        raise ResponseStreamingError(error="the connection was reset")


def test_another_checkpoint_at_the_same_place_is_another_entry(
    storage: S3Store,
    uri: str,
    cache: CheckpointCache,
    tmp_path: Path,
    checkpoint_folder: Path,
    put_folder: PutFolder,
) -> None:
    fetch_checkpoint(storage, uri, tmp_path / "first", cache)
    vocabulary = checkpoint_folder / "vocab.txt"
    vocabulary.write_text(vocabulary.read_text().replace("word3\n", "wurd3\n"))
    seal(checkpoint_folder)
    put_folder(checkpoint_folder, uri)
    second = fetch_checkpoint(storage, uri, tmp_path / "second", cache)
    assert "wurd3" in (second / "vocab.txt").read_text()
    assert len(entries(cache)) == 2


def test_the_least_recently_used_checkpoint_goes_first(
    storage: S3Store, root: str, tmp_path: Path, checkpoint_folder: Path, put_folder: PutFolder
) -> None:
    (checkpoint_folder / "optimizer.pt").unlink()
    size = seal(checkpoint_folder).size_bytes
    cache = CheckpointCache(tmp_path / "cache", 2 * size + 1000)
    entry_of: dict[str, Path] = {}
    for name in ("a", "b"):
        put_folder(checkpoint_folder, f"{root}{name}/")
        fetch_checkpoint(storage, f"{root}{name}/", tmp_path / name, cache)
        [entry_of[name]] = set(entries(cache)) - set(entry_of.values())
        os.utime(entry_of[name], (1000 + len(entry_of), 1000 + len(entry_of)))  # b after a, both long ago
    fetch_checkpoint(storage, f"{root}a/", tmp_path / "a again", cache)
    put_folder(checkpoint_folder, f"{root}c/")
    fetch_checkpoint(storage, f"{root}c/", tmp_path / "c", cache)
    assert entry_of["a"].exists()
    assert not entry_of["b"].exists()
    assert len(entries(cache)) == 2


@pytest.mark.parametrize("room", [3, 0])
def test_what_killed_exports_have_left_gives_way_before_anything_is_fetched(
    storage: S3Store, root: str, tmp_path: Path, checkpoint_folder: Path, put_folder: PutFolder, room: int
) -> None:
    (checkpoint_folder / "optimizer.pt").unlink()
    size = seal(checkpoint_folder).size_bytes
    put_folder(checkpoint_folder, f"{root}a/")
    cache = CheckpointCache(tmp_path / "cache", room * size)
    for number in range(5):  # each was killed just before its last byte
        left = cache.folder / str(number) / "model.safetensors.partial"
        left.parent.mkdir(parents=True)
        left.write_bytes(bytes(size - 1))
        os.utime(left.parent, (number, number))
    fetch_checkpoint(storage, f"{root}a/", tmp_path / "a", cache)
    kept = {entry.name for entry in entries(cache)} & set("01234")
    assert kept == ({"3", "4"} if room else set())


@pytest.mark.parametrize("limit", [0, 1000])
def test_a_checkpoint_that_is_larger_than_the_cache_is_not_kept(
    storage: S3Store, uri: str, tmp_path: Path, limit: int
) -> None:
    cache = CheckpointCache(tmp_path / "cache", limit)
    load_checkpoint(fetch_checkpoint(storage, uri, tmp_path / "first", cache))
    assert entries(cache) == []


def test_a_checkpoint_without_a_manifest_is_downloaded_each_time(
    storage: S3Store, root: str, cache: CheckpointCache, tmp_path: Path, trained: Path, put_folder: PutFolder
) -> None:
    put_folder(trained, root)
    load_checkpoint(fetch_checkpoint(storage, root, tmp_path / "first", cache))
    assert entries(cache) == []


def test_a_process_that_finds_an_entry_taken_does_without_it(
    storage: S3Store, uri: str, cache: CheckpointCache, tmp_path: Path, traffic: Traffic
) -> None:
    fetch_checkpoint(storage, uri, tmp_path / "first", cache)
    [entry] = entries(cache)
    descriptor = os.open(entry, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    traffic.bytes = 0
    try:
        load_checkpoint(fetch_checkpoint(storage, uri, tmp_path / "second", cache))
        CheckpointCache(cache.folder, 0)._make_room()  # noqa: SLF001 - what another entry would set off
    finally:
        os.close(descriptor)
    assert traffic.bytes > 1_000_000
    assert entry.exists()


def test_many_at_once_each_get_a_whole_checkpoint(
    storage: S3Store, uri: str, cache: CheckpointCache, tmp_path: Path
) -> None:
    failures: list[BaseException] = []

    def fetch(number: int) -> None:
        try:
            load_checkpoint(fetch_checkpoint(storage, uri, tmp_path / str(number), cache))
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_files_that_are_not_what_the_manifest_says_are_refused_and_not_kept(
    storage: S3Store, uri: str, cache: CheckpointCache, tmp_path: Path, s3: Any
) -> None:
    whole = storage.read(uri + "model.safetensors")
    assert whole is not None
    s3.put_object(Bucket=BUCKET, Key=key(uri) + "model.safetensors", Body=whole[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not what its manifest describes"):
        fetch_checkpoint(storage, uri, tmp_path / "first", cache)
    [entry] = entries(cache)
    assert not (entry / "model.safetensors").exists()
    assert not (entry / "model.safetensors.partial").exists()


def test_a_manifest_that_claims_another_size_is_refused_before_anything_is_downloaded(
    storage: S3Store, uri: str, cache: CheckpointCache, tmp_path: Path, s3: Any, traffic: Traffic
) -> None:
    body = (storage.read(uri + "manifest.json") or b"").decode()
    size = storage.list_keys(uri)["model.safetensors"]
    s3.put_object(
        Bucket=BUCKET, Key=key(uri) + "manifest.json", Body=body.replace(str(size), str(10 * 2**30))
    )
    traffic.bytes = 0
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not what manifest\.json describes"):
        fetch_checkpoint(storage, uri, tmp_path / "first", cache)
    assert traffic.bytes < 5000


class Counting(S3Store):
    """Notes which files are sent."""

    def __init__(self) -> None:
        super().__init__({BUCKET})
        self.sent: list[str] = []

    def upload_file(
        self, path: Path, uri: str, metadata: Mapping[str, str] | None = None, tag: str | None = None
    ) -> None:
        self.sent.append(path.name)
        super().upload_file(path, uri, metadata, tag)


def test_an_upload_sends_only_what_is_not_there_yet(bundle: Path, root: str, s3: Any) -> None:
    first = Counting()
    first.upload_folder(bundle, root, last="model_identity.json")
    assert len(first.sent) == len([path for path in bundle.rglob("*") if path.is_file()])

    s3.delete_object(Bucket=BUCKET, Key=key(root) + "README.md")
    vocabulary = (bundle / "vocab.txt").read_bytes()
    s3.put_object(Bucket=BUCKET, Key=key(root) + "vocab.txt", Body=vocabulary.replace(b"word3", b"wurd3"))
    (bundle / "config.json").write_text("{}")
    second = Counting()
    second.upload_folder(bundle, root, last="model_identity.json")
    assert sorted(second.sent) == ["README.md", "config.json", "vocab.txt"]
    assert second.read(root + "vocab.txt") == vocabulary
