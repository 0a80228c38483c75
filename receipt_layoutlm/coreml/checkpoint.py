"""Brings one finished checkpoint here and opens it, refusing early whatever could not be exported safely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import LayoutLMForTokenClassification

from receipt_layoutlm.checkpoint import (
    CONFIG,
    MANIFEST,
    MODEL_FILES,
    TOKENIZER_CONFIG,
    VOCABULARY,
    WEIGHTS,
    describe_files,
    parse_manifest,
)
from receipt_layoutlm.coreml.checkpoint_config import (
    CheckpointConfig,
    read_config,
    read_object,
    refuse_remote_code,
)
from receipt_layoutlm.coreml.vocabulary import read_vocabulary
from receipt_layoutlm.errors import CheckpointError
from receipt_layoutlm.storage import Storage

_NEEDED = (CONFIG, WEIGHTS, VOCABULARY)
_WANTED = (*MODEL_FILES, MANIFEST)

MAX_WEIGHTS_BYTES = 8 * 2**30
MAX_DOCUMENT_BYTES = 32 * 2**20
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
# Older versions of transformers saved this buffer; it only counts 0, 1, 2 and is made anew.
_OBSOLETE_TENSORS = frozenset({"layoutlm.embeddings.position_ids"})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in memory, its model in float32 and in evaluation mode."""

    model: LayoutLMForTokenClassification
    config: CheckpointConfig
    vocabulary: tuple[str, ...]
    tokenizer_config: Mapping[str, Any]


def fetch_checkpoint(storage: Storage, model_s3_uri: str, folder: Path) -> Path:
    """Download the files that an export needs, and no others, into `folder`.

    Raises:
        CheckpointError: nothing is there, or no checkpoint that can be loaded.
    """
    uri = model_s3_uri if model_s3_uri.endswith("/") else f"{model_s3_uri}/"
    sizes = storage.list_keys(uri)
    _check_listing(uri, sizes)
    folder.mkdir(parents=True, exist_ok=True)
    storage.download_folder(uri, folder, [name for name in _WANTED if name in sizes])
    return folder


def load_checkpoint(folder: Path) -> Checkpoint:
    """Open a checkpoint on disk.

    Raises:
        CheckpointError: it is incomplete, damaged, or of a form that is not loaded.
    """
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder {folder}; pass the folder of a finished checkpoint.")
    _check_listing(str(folder), {path.name: path.stat().st_size for path in folder.iterdir()})
    _check_manifest(folder)
    config = read_config(folder / CONFIG)
    vocabulary = read_vocabulary(folder / VOCABULARY, config.vocab_size, CheckpointError)
    model = _load_model(folder / WEIGHTS, config, vocabulary.index("[PAD]"))
    return Checkpoint(model, config, vocabulary, _read_tokenizer_config(folder / TOKENIZER_CONFIG))


def _check_listing(where: str, sizes: Mapping[str, int]) -> None:
    if not sizes:
        raise CheckpointError(
            f"There is nothing under {where}; pass the folder of a finished checkpoint such as .../best/."
        )
    if WEIGHTS not in sizes:
        raise CheckpointError(_missing_weights(where, sizes))
    missing = [name for name in _NEEDED if name not in sizes]
    if missing:
        raise CheckpointError(
            f"The checkpoint {where} lacks {', '.join(missing)}; pass the folder of a finished checkpoint."
        )
    for name in _WANTED:
        limit = MAX_WEIGHTS_BYTES if name == WEIGHTS else MAX_DOCUMENT_BYTES
        if sizes.get(name, 0) > limit:
            raise CheckpointError(
                f"{name} of {where} has {sizes[name]:,} bytes, more than the {limit:,} that a LayoutLM can "
                "need; it is not loaded. Check that the URI names the right folder."
            )


def _missing_weights(where: str, sizes: Mapping[str, int]) -> str:
    pickles = sorted(name for name in sizes if name.endswith(_PICKLES) and "/" not in name)
    if pickles:
        return (
            f"The weights under {where} are a pickle ({', '.join(pickles[:3])}). A pickle is never loaded, "
            f"since it can run code; re-save the model as safetensors ({WEIGHTS})."
        )
    return f"The folder {where} holds no weights; pass the folder of a finished checkpoint with {WEIGHTS}."


def _check_manifest(folder: Path) -> None:
    path = folder / MANIFEST
    if not path.exists():
        return
    manifest = parse_manifest(path.read_bytes())
    if manifest is None:
        raise CheckpointError(f"{MANIFEST} cannot be read; the checkpoint is damaged. Export another one.")
    listed = {file.name: file for file in manifest.files if file.name in MODEL_FILES}
    present = tuple(name for name in listed if (folder / name).exists())
    found = {file.name: file for file in describe_files(folder, present)}
    wrong = sorted(name for name in listed if found.get(name) != listed[name])
    if wrong:
        raise CheckpointError(
            f"{', '.join(wrong)} is not what {MANIFEST} describes (missing, or another size or SHA-256); "
            "the checkpoint is damaged or half replaced. Export another one."
        )


def _read_tokenizer_config(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    data = read_object(path, CheckpointError)
    refuse_remote_code(path.name, data)
    return data


def _load_model(path: Path, config: CheckpointConfig, pad_id: int) -> LayoutLMForTokenClassification:
    model = LayoutLMForTokenClassification(config.for_transformers(pad_id))
    try:
        _check_shapes(path, model)
        tensors = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} is not a whole safetensors file: {error}. Upload it again."
        ) from error
    for name in _OBSOLETE_TENSORS & tensors.keys():
        del tensors[name]
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{name} in {path.name} holds NaN or infinite weights; the training diverged. "
                "Export an earlier checkpoint."
            )
    model.load_state_dict(tensors)
    return model.float().eval()


def _check_shapes(path: Path, model: LayoutLMForTokenClassification) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    with safe_open(path, framework="pt") as stored:
        found = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118 - no mapping
    for name in _OBSOLETE_TENSORS:
        found.pop(name, None)
    faults = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    faults += [f"{name} is unknown" for name in sorted(found.keys() - expected.keys())]
    faults += [
        f"{name} is {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if faults:
        raise CheckpointError(
            f"{path.name} does not fit {CONFIG} in {len(faults)} places: {'; '.join(faults[:3])}. "
            "Both must come from the same save."
        )
