"""Brings one finished checkpoint here and opens it, refusing early whatever could not be exported safely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import LayoutLMConfig, LayoutLMForTokenClassification

from receipt_layoutlm.checkpoint import (
    CONFIG,
    MANIFEST,
    MODEL_FILES,
    TOKENIZER_CONFIG,
    VOCABULARY,
    WEIGHTS,
    ManifestFile,
    RunFacts,
    describe_files,
    parse_manifest,
    read_run_facts,
)
from receipt_layoutlm.coreml.cache import CheckpointCache
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
_DAMAGED = (
    f"{{names}} is not what {MANIFEST} describes (missing, or another size or SHA-256); the checkpoint is "
    "damaged or half replaced. Export another one."
)
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_INDEX = f"{WEIGHTS}.index.json"
# What a training keeps beside the weights.
_STATES = frozenset({"optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "training_args.bin"})
# Older versions of transformers saved this buffer; it only counts 0, 1, 2 and is made anew.
_OBSOLETE_TENSORS = frozenset({"layoutlm.embeddings.position_ids"})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        model: in float32 and in evaluation mode.
        config, vocabulary, tokenizer_config: what its documents say.
        files: size and SHA-256 of everything that it was read from.
        run: how this package trained it; None for a checkpoint from elsewhere.
    """

    model: LayoutLMForTokenClassification
    config: CheckpointConfig
    vocabulary: tuple[str, ...]
    tokenizer_config: Mapping[str, Any]
    files: tuple[ManifestFile, ...]
    run: RunFacts | None

    @property
    def is_trained(self) -> bool:
        """Whether its labels mean something, as far as it says."""
        return self.run is not None and self.run.step > 0


def fetch_checkpoint(
    storage: Storage, model_s3_uri: str, folder: Path, cache: CheckpointCache | None = None
) -> Path:
    """Download the files that an export needs, and no others, into `folder`.

    Args:
        storage: where the bucket is allowed.
        model_s3_uri: the checkpoint, with or without a trailing slash.
        folder: where the files go.
        cache: keeps them for the next time, and what has come so far of a download that broke off.

    Raises:
        CheckpointError: nothing is there, or no checkpoint that can be loaded.
    """
    uri = model_s3_uri if model_s3_uri.endswith("/") else f"{model_s3_uri}/"
    sizes = storage.list_keys(uri)
    _check_listing(uri, sizes)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in _WANTED if name in sizes]
    if cache and MANIFEST in sizes:
        cached = _fetch_cached(storage, uri, sizes, folder, cache)
        wanted = [name for name in wanted if name not in cached]
    storage.download_folder(uri, folder, wanted)
    return folder


def load_checkpoint(folder: Path) -> Checkpoint:
    """Open a checkpoint on disk.

    Raises:
        CheckpointError: it is incomplete, damaged, or of a form that is not loaded.
    """
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder {folder}; pass the folder of a finished checkpoint.")
    _check_listing(str(folder), {path.name: path.stat().st_size for path in folder.iterdir()})
    files = describe_files(folder, tuple(name for name in _WANTED if (folder / name).is_file()))
    _check_manifest(folder, files)
    config = read_config(folder / CONFIG)
    vocabulary = read_vocabulary(folder / VOCABULARY, config.vocab_size, CheckpointError)
    model = _load_model(folder / WEIGHTS, config, vocabulary.index("[PAD]"))
    settings = _read_tokenizer_config(folder / TOKENIZER_CONFIG)
    return Checkpoint(model, config, vocabulary, settings, files, read_run_facts(folder))


def _fetch_cached(
    storage: Storage, uri: str, sizes: Mapping[str, int], folder: Path, cache: CheckpointCache
) -> frozenset[str]:
    """Put into the folder what the cache can provide; returns the names."""
    manifest = parse_manifest(storage.read(uri + MANIFEST))
    if manifest is None:
        return frozenset()  # then it is downloaded like the others, and refused with the reason
    listed = {file.name: file.size for file in manifest.files if file.name in sizes and file.name in _WANTED}
    wrong = [name for name, size in listed.items() if sizes[name] != size]
    if wrong:
        raise CheckpointError(_DAMAGED.format(names=", ".join(wrong)))
    provided = cache.provide(storage, uri, manifest, tuple(listed), folder)
    return frozenset(listed) if provided else frozenset()


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
    if _INDEX in sizes:
        return (
            f"The weights under {where} are in several files ({_INDEX}), which are not loaded; re-save the "
            f"model as one file ({WEIGHTS})."
        )
    files = (name for name in sizes if name.endswith(_PICKLES) and "/" not in name)
    pickles = sorted(set(files) - _STATES)
    if pickles:
        return (
            f"The weights under {where} are a pickle ({', '.join(pickles[:3])}). A pickle is never loaded, "
            f"since it can run code; re-save the model as safetensors ({WEIGHTS})."
        )
    return f"The folder {where} holds no weights; pass the folder of a finished checkpoint with {WEIGHTS}."


def _check_manifest(folder: Path, files: tuple[ManifestFile, ...]) -> None:
    path = folder / MANIFEST
    if not path.exists():
        return
    manifest = parse_manifest(path.read_bytes())
    if manifest is None:
        raise CheckpointError(f"{MANIFEST} cannot be read; the checkpoint is damaged. Export another one.")
    listed = {file.name: file for file in manifest.files if file.name in MODEL_FILES}
    found = {file.name: file for file in files}
    wrong = sorted(name for name in listed if found.get(name) != listed[name])
    if wrong:
        raise CheckpointError(_DAMAGED.format(names=", ".join(wrong)))


def _read_tokenizer_config(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    data = read_object(path, CheckpointError)
    refuse_remote_code(path.name, data)
    return data


def _load_model(path: Path, config: CheckpointConfig, pad_id: int) -> LayoutLMForTokenClassification:
    settings = config.for_transformers(pad_id)
    try:
        _check_shapes(path, settings)
        model = LayoutLMForTokenClassification(settings)
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


def _check_shapes(path: Path, settings: LayoutLMConfig) -> None:
    # Without memory: a configuration may claim far more weights than the file holds.
    with torch.device("meta"):
        model = LayoutLMForTokenClassification(settings)
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
