"""Downloads, checks and loads the checkpoint to convert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import LayoutLMForTokenClassification

from messages.export_options import MAX_TOKENS
from receipt_layoutlm.checkpoint import MANIFEST, ManifestFile, RunFacts, parse_manifest
from receipt_layoutlm.coreml.cache import CheckpointCache
from receipt_layoutlm.model_folder import DAMAGED, FILES, check_listing, load_model, open_checkpoint
from receipt_layoutlm.source_config import CONFIG, CheckpointConfig
from run_records.errors import CheckpointError
from run_records.s3_store import S3Store


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
        """Whether the classifier was trained, as far as the checkpoint tells."""
        return self.run is not None and self.run.step > 0


def fetch_checkpoint(
    storage: S3Store, model_s3_uri: str, folder: Path, cache: CheckpointCache | None = None
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
    check_listing(uri, sizes)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in FILES if name in sizes]
    if cache and MANIFEST in sizes:
        cached = _fetch_cached(storage, uri, sizes, folder, cache)
        wanted = [name for name in wanted if name not in cached]
    storage.download_folder(uri, folder, wanted)
    return folder


def load_checkpoint(folder: Path) -> Checkpoint:
    """Open a checkpoint on disk.

    Raises:
        CheckpointError: it is incomplete, damaged, of a form that is not loaded, or too short for clients.
    """
    opened = open_checkpoint(folder)
    positions = opened.config.max_position_embeddings
    if positions < MAX_TOKENS:
        raise CheckpointError(
            f"{CONFIG}: max_position_embeddings is {positions}, and clients send up to {MAX_TOKENS} tokens. "
            "Export a model with as many positions."
        )
    return Checkpoint(
        load_model(opened),
        opened.config,
        opened.vocabulary,
        opened.tokenizer_files.settings,
        opened.files,
        opened.run,
    )


def _fetch_cached(
    storage: S3Store, uri: str, sizes: Mapping[str, int], folder: Path, cache: CheckpointCache
) -> frozenset[str]:
    """Put into the folder what the cache can provide; returns the names."""
    manifest = parse_manifest(storage.read(uri + MANIFEST))
    if manifest is None:
        return frozenset()  # then it is downloaded like the others, and refused with the reason
    listed = {file.name: file.size for file in manifest.files if file.name in sizes and file.name in FILES}
    wrong = [name for name, size in listed.items() if sizes[name] != size]
    if wrong:
        raise CheckpointError(DAMAGED.format(names=", ".join(wrong)))
    provided = cache.provide(storage, uri, manifest, tuple(listed), folder)
    return frozenset(listed) if provided else frozenset()
