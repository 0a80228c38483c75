"""Seals, uploads, finds and verifies checkpoints."""

from __future__ import annotations

import logging
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pydantic
import torch
from transformers.trainer_pt_utils import safe_globals

from receipt_layoutlm.checkpoint import (
    MANIFEST,
    MODEL_FILES,
    RUN_FACTS,
    WEIGHTS,
    Manifest,
    RunFacts,
    describe_files,
    parse_manifest,
    read_run_facts,
)
from receipt_layoutlm.source_config import CONFIG
from receipt_layoutlm.tokenizer_files import VOCABULARY, hash_vocabulary
from receipt_layoutlm.training.ema import TRAINED_WEIGHTS
from receipt_layoutlm.training.run_state import RESUME_STATE, Resumed, ResumeState
from run_records.errors import CheckpointError, DiskError
from run_records.s3_store import S3Store

log = logging.getLogger(__name__)

OPTIMIZER = "optimizer.pt"
_STATES = (OPTIMIZER, "scheduler.pt", "scaler.pt", "rng_state.pth")
_TRAINER_FILES = ("trainer_state.json", *_STATES)
# Only these names are written and read: a Trainer's training_args.bin, for one, is a pickle.
CHECKPOINT_FILES = (*MODEL_FILES, *_TRAINER_FILES, RESUME_STATE, TRAINED_WEIGHTS)
# A checkpoint without one of these cannot be continued (scaler.pt is written in fp16 only, and the weights of
# training apart only where the model is their mean).
_NEEDED = {CONFIG, WEIGHTS, VOCABULARY, RESUME_STATE, *_TRAINER_FILES} - {"scaler.pt"}
_PREFIX = "checkpoint-"
_SPACE_FACTOR = 2


def checkpoint_name(step: int) -> str:
    """Folder of the checkpoint at an optimisation step."""
    return f"{_PREFIX}{step}"


@dataclass(frozen=True, slots=True)
class Identity:
    """The run, attempt and step of a checkpoint, for its manifest."""

    job_id: str
    attempt: int
    metrics: dict[str, float]


def seal(folder: Path, names: tuple[str, ...], facts: RunFacts, identity: Identity) -> Manifest:
    """Write `layoutlm_run.json` and the manifest of the named files that the folder has."""
    tokens = (folder / VOCABULARY).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    facts = facts.model_copy(update={"vocabulary_sha256": hash_vocabulary(tokens)})
    (folder / RUN_FACTS).write_text(facts.model_dump_json(indent=2), encoding="utf-8")
    present = tuple(name for name in names if (folder / name).exists())
    manifest = Manifest(
        job_id=identity.job_id,
        attempt=identity.attempt,
        step=facts.step,
        epoch=facts.epoch,
        files=describe_files(folder, present),
        metrics=identity.metrics,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
    return manifest


def upload(storage: S3Store, folder: Path, manifest: Manifest, uri: str, tag: str | None = None) -> None:
    """Upload the files of a sealed folder, each with the tag, the manifest last."""
    for file in manifest.files:
        storage.upload_file(folder / file.name, uri + file.name, tag=tag)
    storage.upload_file(folder / MANIFEST, uri + MANIFEST, tag=tag)


def find_own(storage: S3Store, checkpoints_uri: str, job_id: str, work_dir: Path) -> Resumed | None:
    """The newest whole checkpoint of this job, downloaded; a damaged one is passed over with a warning."""
    for uri, manifest in _newest_first(storage, checkpoints_uri):
        if manifest.job_id != job_id:
            log.warning("%s belongs to job %s and is not continued", uri, manifest.job_id)
            continue
        try:
            return _fetch(storage, uri, manifest, work_dir / "resume", own=True)
        except DamagedCheckpoint as error:
            log.warning("%s The one before it is tried.", error)
    return None


def find_foreign(storage: S3Store, uri: str, work_dir: Path) -> Resumed | None:
    """Another run's checkpoint: of this prefix, or the newest below it; None where there is only a model.

    Raises:
        CheckpointError: there is one and it is damaged.
    """
    manifest = parse_manifest(storage.read(uri + MANIFEST))
    found = (uri, manifest) if manifest else next(_newest_first(storage, uri), None)
    if found is None or not {file.name for file in found[1].files} >= _NEEDED:
        return None
    return _fetch(storage, *found, work_dir / "resume", own=False)


def find_best(
    storage: S3Store, best_uri: str, checkpoints_uri: str, step: int, work_dir: Path
) -> Path | None:
    """The folder to publish as best where `best/` is not that of `step`, downloaded; None where it is.

    An attempt that died between a checkpoint and its copy to `best/` leaves the two apart.
    """
    published = parse_manifest(storage.read(best_uri + MANIFEST))
    if published is not None and published.step == step and _has_sizes(storage, best_uri, published):
        return None
    uri = f"{checkpoints_uri}{checkpoint_name(step)}/"
    manifest = parse_manifest(storage.read(uri + MANIFEST))
    if manifest is None:
        raise CheckpointError(
            f"The best checkpoint {uri} is gone, so the run cannot be completed. Start it as a new job."
        )
    return _fetch(storage, uri, manifest, work_dir / "best", own=True).folder


class DamagedCheckpoint(CheckpointError):  # noqa: N818 - reads as what it is
    """A checkpoint whose files are not what they have to be."""


def _newest_first(storage: S3Store, uri: str) -> Iterator[tuple[str, Manifest]]:
    names = {name.split("/")[0] for name in storage.list_keys(uri) if name.startswith(_PREFIX)}
    steps = {int(name.removeprefix(_PREFIX)) for name in names if name.removeprefix(_PREFIX).isdecimal()}
    for step in sorted(steps, reverse=True):
        folder = f"{uri}{checkpoint_name(step)}/"
        manifest = parse_manifest(storage.read(folder + MANIFEST))
        if manifest is None:
            log.warning("%s has no manifest: its upload was cut short. The one before it is tried.", folder)
        else:
            yield folder, manifest


def _fetch(storage: S3Store, uri: str, manifest: Manifest, folder: Path, *, own: bool) -> Resumed:
    names = [file.name for file in manifest.files]
    if not _NEEDED <= set(names) <= set(CHECKPOINT_FILES):
        raise DamagedCheckpoint(f"{uri} does not hold the files of a checkpoint.")
    if not _has_sizes(storage, uri, manifest):
        raise DamagedCheckpoint(f"{uri} is incomplete: files are missing or have another size.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _check_space(folder, manifest.size_bytes)
    storage.download_folder(uri, folder, names)
    if faults := manifest.faults(folder):
        raise DamagedCheckpoint(f"{uri} is damaged: {', '.join(faults)} is not what the manifest says.")
    _refuse_code(uri, folder)
    return _read(uri, folder, manifest, own=own)


def _refuse_code(uri: str, folder: Path) -> None:
    """Refuse states that hold more than tensors and plain values; mapped into memory, none is read for it."""
    for path in (folder / name for name in _STATES):
        if not path.exists():
            continue
        try:
            with safe_globals():  # numpy's arrays in the random state
                torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            raise DamagedCheckpoint(
                f"{uri}{path.name} is not loaded: it holds more than tensors and plain values, or none of "
                "them, and a pickle can run code."
            ) from error


def _read(uri: str, folder: Path, manifest: Manifest, *, own: bool) -> Resumed:
    facts = read_run_facts(folder)
    try:
        state = ResumeState.model_validate_json((folder / RESUME_STATE).read_bytes())
    except pydantic.ValidationError as error:
        raise DamagedCheckpoint(f"{uri}{RESUME_STATE} cannot be read: {error}.") from error
    if facts is None:
        raise DamagedCheckpoint(f"{uri} does not say how it was trained.")
    return Resumed(folder, manifest, facts, state, own)


def _has_sizes(storage: S3Store, uri: str, manifest: Manifest) -> bool:
    sizes = storage.list_keys(uri)
    return all(sizes.get(file.name) == file.size for file in manifest.files)


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < _SPACE_FACTOR * needed:
        raise DiskError(
            f"{folder} has {free} bytes free, and a checkpoint of {needed} is to be loaded and saved again. "
            "Free some space in the work directory."
        )


class Uploads:
    """One piece of work at a time beside the training, in the order in which it was given."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._last: Future[None] | None = None

    def begin(self, work: Callable[[], None]) -> None:
        """Start it when what was begun before is done; that one's error is raised here."""
        self.finish()
        self._last = self._thread.submit(work)

    def finish(self) -> None:
        """Wait for what was begun; its error is raised here."""
        last, self._last = self._last, None
        if last is not None:
            last.result()
