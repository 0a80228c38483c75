"""Replacement of the canonical zip that clients download: who may do it, and the fate of the old one."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from messages.child_protocol import ExportTask
from messages.export import ExportJob
from messages.export_options import parse_shapes
from receipt_layoutlm.coreml import publish as publishing
from receipt_layoutlm.coreml.export import export
from receipt_layoutlm.coreml.publish import Canonical, Edition, keep, preserved_uri, publish
from run_records.aws_errors import ObjectChanged
from run_records.job_process.child_main import Reporter, StopRequested
from run_records.s3_store import S3Store, StoredObject

BUCKET = "models"
OLD, NEW = "2026-11-01T08:00:00.000000+00:00", "2026-11-02T08:00:00.000000+00:00"
EARLY, LATE = "2026-11-20T10:00:00.000000+00:00", "2026-11-20T11:00:00.000000+00:00"
PutFolder = Callable[[Path, str], None]


def edition(run: str = "run", **fields: Any) -> Edition:
    given = {
        "run": run,
        "run_created_at": OLD,
        "job_id": f"job-of-{run}",
        "export_id": str(uuid.uuid4()),
        "exported_at": EARLY,
        "f1": 0.7,
    }
    return Edition.model_validate({**given, **fields})


@pytest.fixture
def storage(s3: Any) -> S3Store:
    return S3Store({BUCKET})


@pytest.fixture
def canonical(root: str) -> str:
    return root + "coreml/layoutlm-coreml-bundle.zip"


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[str], Path]:
    def write(content: str) -> Path:
        path = tmp_path / "bundle.zip"
        path.write_text(content)
        return path

    return write


def body(storage: S3Store, uri: str) -> bytes | None:
    return storage.read(uri)


def test_the_first_zip_goes_where_nothing_lies_and_says_which_export_it_is(
    storage: S3Store, canonical: str, archive: Callable[[str], Path]
) -> None:
    ours = edition("a run of Zoë's, 100 %")  # older senders named runs as they liked
    done = publish(storage, archive("first"), canonical, ours, "newer")
    found = storage.head(canonical)
    assert found is not None
    assert done == Canonical(found.etag)
    assert Edition.from_metadata(found.metadata) == ours
    assert body(storage, canonical) == b"first"


def test_a_newer_run_replaces_an_older_one_which_stays_under_its_etag(
    storage: S3Store, canonical: str, archive: Callable[[str], Path]
) -> None:
    first = publish(storage, archive("first"), canonical, edition("old"), "newer")
    second = publish(storage, archive("second"), canonical, edition("new", run_created_at=NEW), "newer")
    assert second.kept is None
    assert second.etag != first.etag
    assert body(storage, canonical) == b"second"
    kept = preserved_uri(canonical, first.etag)
    assert kept.endswith(f"coreml/layoutlm-coreml-bundle/{first.etag}.zip")
    assert body(storage, kept) == b"first"
    preserved = storage.head(kept)
    assert preserved is not None
    assert preserved.metadata["run"] == "old"


def test_an_older_run_that_is_exported_later_leaves_the_newer_one(
    storage: S3Store, canonical: str, archive: Callable[[str], Path]
) -> None:
    first = publish(storage, archive("first"), canonical, edition("new", run_created_at=NEW), "newer")
    late = publish(storage, archive("second"), canonical, edition("old", exported_at=LATE), "newer")
    assert late.etag == first.etag
    assert late.kept == f"It holds new, which is of {NEW} and so newer than old."
    assert body(storage, canonical) == b"first"


def test_of_two_exports_of_one_run_the_later_one_stays(
    storage: S3Store, canonical: str, archive: Callable[[str], Path]
) -> None:
    publish(storage, archive("late"), canonical, edition(exported_at=LATE), "better")
    assert publish(storage, archive("early"), canonical, edition(), "better").kept
    assert publish(storage, archive("same"), canonical, edition(exported_at=LATE), "better").kept is None
    assert body(storage, canonical) == b"same"


@pytest.mark.parametrize(
    ("theirs", "ours", "replaced"),
    [(0.7, 0.71, True), (0.7, 0.7, False), (0.7, 0.69, False), (None, 0.1, True), (0.7, None, False)],
)
def test_where_better_is_asked_for_a_newer_run_needs_a_greater_f1(
    storage: S3Store,
    canonical: str,
    archive: Callable[[str], Path],
    theirs: float | None,
    ours: float | None,
    replaced: bool,
) -> None:
    publish(storage, archive("first"), canonical, edition("old", f1=theirs), "newer")
    new = edition("new", run_created_at=NEW, f1=ours)
    done = publish(storage, archive("second"), canonical, new, "better")
    assert (done.kept is None) is replaced
    if done.kept:
        assert "It holds old with F1 0.7000; new has" in done.kept


@pytest.mark.parametrize(
    "metadata", [{}, {"run": "x"}, {**edition(run_created_at=NEW).to_metadata(), "exported-at": "soon"}]
)
def test_a_zip_that_does_not_say_what_it_is_counts_as_older_and_is_kept_aside(
    storage: S3Store, canonical: str, archive: Callable[[str], Path], metadata: dict[str, str]
) -> None:
    storage.upload_file(archive("of older days"), canonical, metadata)
    before = storage.head(canonical)
    assert before is not None
    assert publish(storage, archive("first"), canonical, edition(), "newer").kept is None
    assert body(storage, preserved_uri(canonical, before.etag)) == b"of older days"


def test_the_same_export_again_writes_nothing_and_gives_the_same_object(
    s3: Any, canonical: str, archive: Callable[[str], Path]
) -> None:
    sent: list[int] = []
    storage = S3Store({BUCKET}, on_bytes=sent.append)
    ours = edition()
    first = publish(storage, archive("first"), canonical, ours, "newer")
    assert sum(sent) == 5
    sent.clear()
    assert publish(storage, archive("first"), canonical, ours, "newer") == first
    assert sent == []
    # Another version of this package may write another zip for it; then that one counts.
    assert publish(storage, archive("other"), canonical, ours, "newer").kept is None
    assert body(storage, canonical) == b"other"


class Raced(S3Store):
    """Somebody else acts after each of our first looks at the canonical zip."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        super().__init__({BUCKET})
        self.acts = list(acts)

    def head(self, uri: str) -> StoredObject | None:
        found = super().head(uri)
        if self.acts and uri.endswith("layoutlm-coreml-bundle.zip"):
            self.acts.pop(0)()
        return found


@pytest.mark.parametrize("standing", [True, False])
def test_who_loses_a_race_looks_again_and_decides_again(
    storage: S3Store, canonical: str, archive: Callable[[str], Path], tmp_path: Path, standing: bool
) -> None:
    if standing:
        publish(storage, archive("first"), canonical, edition("first"), "newer")
    theirs = tmp_path / "theirs.zip"
    theirs.write_text("theirs")
    newest = edition("newest", run_created_at=NEW)
    raced = Raced(lambda: publish(storage, theirs, canonical, newest, "newer"))
    lost = publish(raced, archive("ours"), canonical, edition("second", exported_at=LATE), "newer")
    assert lost.kept is not None
    assert "It holds newest" in lost.kept
    assert body(storage, canonical) == b"theirs"


def test_who_wins_after_a_lost_race_keeps_every_other_zip(
    storage: S3Store, canonical: str, archive: Callable[[str], Path], tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.zip"
    theirs.write_text("theirs")
    raced = Raced(lambda: publish(storage, theirs, canonical, edition("older"), "newer"))
    done = publish(raced, archive("ours"), canonical, edition("newer", run_created_at=NEW), "newer")
    assert done.kept is None
    assert body(storage, canonical) == b"ours"
    folder = canonical.removesuffix(".zip") + "/"
    [name] = storage.list_keys(folder)
    assert body(storage, folder + name) == b"theirs"


def test_a_zip_is_never_kept_under_the_etag_of_another(
    storage: S3Store, canonical: str, archive: Callable[[str], Path], s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(storage, archive("first"), canonical, edition("first"), "newer")
    key = canonical.removeprefix(f"s3://{BUCKET}/")
    theirs = b"of somebody who asks nobody"
    raced = Raced(lambda: s3.put_object(Bucket=BUCKET, Key=key, Body=theirs))
    copy = raced.client.copy_object

    def hold_to_condition(**request: Any) -> Any:
        # As S3 does; the server of this test looks at no condition on what is copied.
        if s3.head_object(**request["CopySource"])["ETag"].strip('"') != request["CopySourceIfMatch"]:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "CopyObject")
        return copy(**request)

    monkeypatch.setattr(raced.client, "copy_object", hold_to_condition)
    newer = edition("second", run_created_at=NEW)
    assert publish(raced, archive("second"), canonical, newer, "newer").kept is None
    folder = canonical.removesuffix(".zip") + "/"
    kept = {name: body(storage, folder + name) for name in storage.list_keys(folder)}
    digest = hashlib.md5(theirs, usedforsecurity=False).hexdigest()
    assert kept == {f"{digest}.zip": theirs}


def test_a_zip_that_vanishes_meanwhile_is_no_obstacle(
    storage: S3Store, canonical: str, archive: Callable[[str], Path], s3: Any
) -> None:
    publish(storage, archive("first"), canonical, edition("first"), "newer")
    key = canonical.removeprefix(f"s3://{BUCKET}/")
    raced = Raced(lambda: s3.delete_object(Bucket=BUCKET, Key=key))
    newer = edition("second", run_created_at=NEW)
    assert publish(raced, archive("second"), canonical, newer, "newer").kept is None
    assert body(storage, canonical) == b"second"


def test_an_endless_race_is_left_to_another_attempt(
    storage: S3Store, canonical: str, archive: Callable[[str], Path], s3: Any
) -> None:
    key = canonical.removeprefix(f"s3://{BUCKET}/")
    numbers = iter(range(1000))

    def act() -> None:
        s3.put_object(Bucket=BUCKET, Key=key, Body=f"{next(numbers)}".encode())

    tries = publishing._TRIES  # noqa: SLF001 - how often it is tried
    with pytest.raises(ObjectChanged, match="tried again later") as caught:
        publish(Raced(*[act] * tries), archive("ours"), canonical, edition(), "newer")
    assert caught.value.error_class.retryable
    assert next(numbers) == tries


def test_a_bundle_that_must_not_be_canonical_tells_what_is(
    storage: S3Store, canonical: str, archive: Callable[[str], Path]
) -> None:
    assert keep(storage, canonical, "why") == Canonical("", "why")
    first = publish(storage, archive("first"), canonical, edition(), "newer")
    assert keep(storage, canonical, "why") == Canonical(first.etag, "why")


@pytest.fixture
def task(root: str, canonical: str, trained: Path, tmp_path: Path, put_folder: PutFolder) -> ExportTask:
    put_folder(trained, root + "runs/a-run/best/")
    job = ExportJob(
        export_id=str(uuid.uuid4()),
        job_id="a-run",
        model_s3_uri=root + "runs/a-run/best/",
        quantize="float16",
        output_s3_prefix=root + "coreml/a-run",
    )
    return ExportTask(
        job=job,
        attempt=1,
        training_job_id="e1c8f8a2-5b7a-4d43-8a55-0f4b5d6a7c11",
        training_job_name="a-run",
        training_created_at=OLD,
        training_f1=0.71,
        canonical_bundle_s3_uri=canonical,
        allowed_buckets=(BUCKET,),
        work_dir=str(tmp_path / "work"),
    )


def test_a_second_attempt_at_an_export_gives_the_same_object_and_succeeds(
    task: ExportTask, storage: S3Store
) -> None:
    first = export(task, Reporter(None), StopRequested())
    assert first.canonical_bundle_replaced
    found = storage.head(task.canonical_bundle_s3_uri)
    assert found is not None
    assert (found.metadata["run"], found.metadata["f1"]) == ("a-run", "0.71")
    second = export(task.model_copy(update={"attempt": 2}), Reporter(None), StopRequested())
    varying = {"peak_memory_bytes", "stage_seconds"}
    assert second.model_dump(exclude=varying) == first.model_dump(exclude=varying)
    assert storage.list_keys(task.canonical_bundle_s3_uri.removesuffix(".zip") + "/") == {}
    assert second.stage_seconds.keys() >= {"downloading", "converting", "checking", "uploading", "publishing"}
    assert second.peak_memory_bytes


def test_a_bundle_of_other_shapes_goes_to_a_folder_of_its_own_and_replaces_nothing(
    task: ExportTask, storage: S3Store, tmp_path: Path
) -> None:
    standing = tmp_path / "standing.zip"
    standing.write_text("standing")
    storage.upload_file(standing, task.canonical_bundle_s3_uri)
    fixed = task.job.model_copy(update={"shapes": parse_shapes("fixed:16")})
    done = export(task.model_copy(update={"job": fixed}), Reporter(None), StopRequested())
    found = storage.head(task.canonical_bundle_s3_uri)
    assert found is not None
    assert body(storage, task.canonical_bundle_s3_uri) == b"standing"
    assert (done.canonical_bundle_replaced, done.canonical_bundle_etag) == (False, found.etag)
    assert done.canonical_bundle_kept == (
        "Clients send any number of tokens, and this bundle takes fixed:16 only."
    )
    assert done.bundle_s3_uri == task.job.output_s3_prefix + "fixed-16/"
    assert {name.split("/")[0] for name in storage.list_keys(task.job.output_s3_prefix)} == {"fixed-16"}
    manifest = json.loads(storage.read(done.bundle_s3_uri + "manifest.json") or b"")
    assert manifest["shapes"] == "fixed:16"
