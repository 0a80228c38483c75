"""What a checkpoint folder holds, and how it is read without trusting it: safetensors, no code, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pydantic
import torch
from pydantic import Field
from safetensors import SafetensorError
from transformers import BertTokenizer, LayoutLMForTokenClassification
from transformers.utils import logging as transformers_logging

from messages.fields import Message
from messages.options.encoding import EncodingOptions
from receipt_layoutlm.data.geometry import BOX_RULE, READING_ORDER
from receipt_layoutlm.errors import CheckpointError
from receipt_layoutlm.evaluation.transitions import Transitions
from receipt_layoutlm.labels import LabelSet, label_set_of_tags
from receipt_layoutlm.storage import Storage, hash_file

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
VOCABULARY = "vocab.txt"
TOKENIZER_CONFIG = "tokenizer_config.json"
RUN_FACTS = "layoutlm_run.json"
MANIFEST = "manifest.json"
MODEL_FILES = (CONFIG, WEIGHTS, VOCABULARY, TOKENIZER_CONFIG, RUN_FACTS)

MODEL_TYPE = "layoutlm"
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")

Arithmetic = Literal["float32", "bf16", "fp16"]


class RunFacts(EncodingOptions):
    """`layoutlm_run.json`: what has to be known beside the weights to use them as they were trained."""

    schema_version: Literal[1] = 1
    job_id: str
    job_name: str
    label_list: tuple[str, ...]
    label_merges: dict[str, tuple[str, ...]]
    box_rule: Literal["clients-1000-bottom-up"] = BOX_RULE
    reading_order: Literal["y0-x0"] = READING_ORDER
    precision: Arithmetic
    transitions: Transitions | None = None
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


def download_model(storage: Storage, uri: str, folder: Path) -> None:
    """Download the files of a model, and only those, from a prefix.

    Raises:
        CheckpointError: the prefix holds no model that can be loaded.
    """
    names = storage.list_keys(uri)
    _check_names(uri, names)
    storage.download_folder(uri, folder, [name for name in MODEL_FILES if name in names])


def check_model_folder(folder: Path) -> dict[str, Any]:
    """Check that a folder holds a LayoutLM in safetensors with its vocabulary; returns its configuration.

    Raises:
        CheckpointError: saying what is missing and what to do.
    """
    names = {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else {}
    _check_names(str(folder), names)
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG} is not JSON: {error}. Save the model again.") from error
    if not isinstance(config, dict) or config.get("model_type") != MODEL_TYPE:
        found = config.get("model_type") if isinstance(config, dict) else None
        raise CheckpointError(f"{folder} holds a model of type {found!r}. Name one of type {MODEL_TYPE!r}.")
    return config


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, from its vocabulary alone as the clients do it."""
    # Only "\n" ends a line: real vocabularies hold characters that splitlines() would break at.
    lines = (folder / VOCABULARY).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    path = folder / TOKENIZER_CONFIG
    settings = json.loads(path.read_bytes()) if path.exists() else {}
    return build_tokenizer(lines, lowercase=settings.get("do_lower_case", True))


def build_tokenizer(vocabulary: list[str], *, lowercase: bool = True) -> Any:
    """A BERT WordPiece tokenizer of a vocabulary whose line numbers are the ids."""
    ids = {token: index for index, token in enumerate(vocabulary)}
    return BertTokenizer(vocab=ids, do_lower_case=lowercase, model_max_length=512)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write `vocab.txt` and the tokenizer's settings."""
    tokenizer.save_pretrained(folder)
    # The clients pick another tokenizer where they find this file; vocab.txt says all of it.
    (folder / "tokenizer.json").unlink(missing_ok=True)
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    (folder / VOCABULARY).write_text("".join(f"{token}\n" for token, _ in tokens), encoding="utf-8")


def load_model(folder: Path, **settings: Any) -> Any:
    """The token classifier of a folder, in float32; `settings` go to `from_pretrained`.

    Raises:
        CheckpointError: the weights cannot be read or do not fit the configuration.
    """
    check_model_folder(folder)
    transformers_logging.disable_progress_bar()
    try:
        return LayoutLMForTokenClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, **settings
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be loaded: {error}. Use an undamaged checkpoint.") from error


def _check_names(where: str, sizes: dict[str, int]) -> None:
    if not sizes:
        raise CheckpointError(f"{where} is empty. Name a folder with {', '.join(MODEL_FILES[:3])}.")
    if not sizes.get(WEIGHTS):
        pickles = sorted(name for name in sizes if name.endswith(_PICKLES))
        hint = (
            f"It holds {', '.join(pickles)}, which are pickles and never loaded; convert them to {WEIGHTS}."
            if pickles
            else "Name the folder of a whole checkpoint."
        )
        raise CheckpointError(f"{where} has no {WEIGHTS}. {hint}")
    missing = [name for name in (CONFIG, VOCABULARY) if name not in sizes]
    if missing:
        raise CheckpointError(f"{where} has no {' and no '.join(missing)}. Name a whole checkpoint.")


def _is_intact(path: Path, file: ManifestFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size and hash_file(path) == file.sha256
