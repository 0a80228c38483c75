"""The documents that this package adds to a checkpoint: how it was trained, and a manifest of its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import Field
from transformers import BertTokenizer

from messages.fields import Message
from messages.options.encoding import EncodingOptions
from receipt_layoutlm.data.page_layout import BOX_RULE, READING_ORDER
from receipt_layoutlm.source_config import CONFIG
from receipt_layoutlm.tag_transitions import Transitions
from receipt_layoutlm.tokenizer_files import FAST_TOKENIZER, TOKENIZER_CONFIG, VOCABULARY
from run_records.errors import CheckpointError
from run_records.labels import LabelSet, label_set_of_tags
from run_records.s3_store import S3Store, hash_file

WEIGHTS = "model.safetensors"
RUN_FACTS = "layoutlm_run.json"
MANIFEST = "manifest.json"
MODEL_FILES = (CONFIG, WEIGHTS, VOCABULARY, TOKENIZER_CONFIG, RUN_FACTS)


Arithmetic = Literal["float32", "bf16", "fp16"]


class RunFacts(EncodingOptions):
    """`layoutlm_run.json`: what has to be known beside the weights to use them as they were trained.

    Attributes:
        vocabulary_sha256: of its tokens, as `hash_vocabulary` makes it; older checkpoints have none.
    """

    schema_version: Literal[1] = 1
    job_id: str
    job_name: str
    label_list: tuple[str, ...]
    label_merges: dict[str, tuple[str, ...]]
    box_rule: Literal["clients-1000-bottom-up"] = BOX_RULE
    reading_order: Literal["y0-x0"] = READING_ORDER
    precision: Arithmetic
    transitions: Transitions | None = None
    vocabulary_sha256: str | None = None
    step: int
    epoch: float

    @property
    def labels(self) -> LabelSet:
        """The label set of the run."""
        return label_set_of_tags(self.label_list, self.label_merges)


class ManifestFile(Message):
    """One file of a checkpoint."""

    name: str
    size: int = Field(ge=0)
    sha256: str


class Manifest(Message):
    """`manifest.json`, written last: while it is missing or does not fit, the folder is no checkpoint."""

    schema_version: Literal[1] = 1
    job_id: str
    attempt: int
    step: int
    epoch: float
    files: tuple[ManifestFile, ...]
    metrics: dict[str, float] = Field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def faults(self, folder: Path) -> list[str]:
        """The files below a folder that are missing or not what they were."""
        return [file.name for file in self.files if not _is_intact(folder / file.name, file)]


def describe_files(folder: Path, names: tuple[str, ...]) -> tuple[ManifestFile, ...]:
    """Size and SHA-256 of named files."""
    return tuple(
        ManifestFile(name=name, size=(folder / name).stat().st_size, sha256=hash_file(folder / name))
        for name in names
    )


def parse_manifest(body: bytes | None) -> Manifest | None:
    """A manifest, or None where there is none that this version can read."""
    try:
        return None if body is None else Manifest.model_validate_json(body)
    except pydantic.ValidationError:
        return None


def find_step(storage: S3Store, checkpoint: str) -> str:
    """The prefix of a step that is named as `RUN/checkpoint-STEP/`, wherever the run keeps that step.

    Guides name checkpoints right below the run. A prefix that has objects, one that names no step, and a
    folder on this disk come back as they are.
    """
    named = re.fullmatch(r"(s3://.+?/)(?:checkpoints/)?(checkpoint-(\d+))/?", checkpoint)
    if named is None or storage.list_keys(f"{checkpoint.rstrip('/')}/"):
        return checkpoint
    run, name, step = named.groups()
    if storage.list_keys(f"{run}checkpoints/{name}/"):
        return f"{run}checkpoints/{name}/"
    best = parse_manifest(storage.read(f"{run}best/{MANIFEST}"))
    return f"{run}best/" if best is not None and best.step == int(step) else checkpoint


def read_run_facts(folder: Path) -> RunFacts | None:
    """The run's facts beside a checkpoint, or None for one that this package did not write.

    Raises:
        CheckpointError: they are there and cannot be read.
    """
    path = folder / RUN_FACTS
    if not path.exists():
        return None
    try:
        return RunFacts.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Use a checkpoint of this version.") from error


def build_tokenizer(vocabulary: list[str], *, lowercase: bool = True) -> Any:
    """A BERT WordPiece tokenizer of a vocabulary whose line numbers are the ids."""
    ids = {token: index for index, token in enumerate(vocabulary)}
    return BertTokenizer(vocab=ids, do_lower_case=lowercase, model_max_length=512)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write `vocab.txt` and the tokenizer's settings."""
    tokenizer.save_pretrained(folder)
    # The clients pick another tokenizer where they find this file; vocab.txt says all of it.
    (folder / FAST_TOKENIZER).unlink(missing_ok=True)
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    (folder / VOCABULARY).write_text("".join(f"{token}\n" for token, _ in tokens), encoding="utf-8")


def _is_intact(path: Path, file: ManifestFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size and hash_file(path) == file.sha256
