"""Opens the folder of a LayoutLM and checks that its files agree with each other, for every use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import LayoutLMConfig, LayoutLMForTokenClassification
from transformers.utils import logging as transformers_logging

from receipt_layoutlm.checkpoint import (
    MANIFEST,
    MODEL_FILES,
    WEIGHTS,
    ManifestFile,
    RunFacts,
    build_tokenizer,
    describe_files,
    parse_manifest,
    read_run_facts,
)
from receipt_layoutlm.source_config import CONFIG, CheckpointConfig, ModelConfig, read_config
from receipt_layoutlm.tokenizer_files import (
    FAST_TOKENIZER,
    VOCABULARY,
    TokenizerFiles,
    hash_vocabulary,
    read_tokenizer,
)
from run_records.errors import CheckpointError
from run_records.s3_store import S3Store

FILES = (*MODEL_FILES, FAST_TOKENIZER, MANIFEST)
"""Files that are read from a folder, where they exist."""

MAX_WEIGHTS_BYTES = 8 * 2**30
MAX_DOCUMENT_BYTES = 32 * 2**20
DAMAGED = (
    f"{{names}} is not what {MANIFEST} describes (missing, or another size or SHA-256); the checkpoint is "
    "damaged or half replaced. Use another one."
)
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_INDEX = f"{WEIGHTS}.index.json"
# What a training keeps beside the weights.
_STATES = frozenset({"optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "training_args.bin"})
# Older versions of transformers saved this buffer; it only counts 0, 1, 2 and is made anew.
_OBSOLETE_TENSORS = frozenset({"layoutlm.embeddings.position_ids"})
# What a training makes anew: the classifier is of its own labels, and nothing reads the pooler.
_FRESH = ("classifier.", "layoutlm.pooler.")

_C = TypeVar("_C", bound=ModelConfig)


@dataclass(frozen=True, slots=True)
class ModelFolder(Generic[_C]):
    """A folder whose documents fit each other.

    Attributes:
        path: where it lies.
        config: config.json; a `CheckpointConfig` where the model has learned its labels.
        tokenizer_files: vocabulary and settings.
        files: size and SHA-256 of everything that is read of it.
        run: how this package trained it; None for a model from elsewhere.
    """

    path: Path
    config: _C
    tokenizer_files: TokenizerFiles
    files: tuple[ManifestFile, ...]
    run: RunFacts | None

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The tokens in the order of their ids."""
        return self.tokenizer_files.vocabulary

    def load_tokenizer(self) -> Any:
        """The tokenizer, from its vocabulary alone as the clients do it."""
        return build_tokenizer(list(self.vocabulary), lowercase=self.tokenizer_files.lowercase)


def download_model(storage: S3Store, uri: str, folder: Path) -> None:
    """Download the files of a model, and only those, from a prefix.

    Raises:
        CheckpointError: the prefix holds no model that can be loaded.
    """
    sizes = storage.list_keys(uri)
    check_listing(uri, sizes)
    storage.download_folder(uri, folder, [name for name in FILES if name in sizes])


def open_checkpoint(folder: Path) -> ModelFolder[CheckpointConfig]:
    """Open the folder of a model that has learned its labels; its weights are not read yet.

    Raises:
        CheckpointError: it is incomplete, damaged, or of a form that is not loaded.
    """
    return _open(folder, CheckpointConfig)


def open_start(folder: Path) -> ModelFolder[ModelConfig]:
    """Open the folder of a model to train on, with any labels or none; errors as of `open_checkpoint`."""
    return _open(folder, ModelConfig)


def load_model(opened: ModelFolder[CheckpointConfig]) -> LayoutLMForTokenClassification:
    """The model of a checkpoint, in float32 and in evaluation mode, every weight from the file.

    Raises:
        CheckpointError: the weights are damaged, not finite, or do not fit the configuration.
    """
    path = opened.path / WEIGHTS
    settings = opened.config.for_transformers(opened.vocabulary.index("[PAD]"))
    try:
        _check_shapes(path, settings)
        model = LayoutLMForTokenClassification(settings)
        tensors = load_file(path)
    except SafetensorError as error:
        raise _not_whole(path, error) from error
    for name in _OBSOLETE_TENSORS & tensors.keys():
        del tensors[name]
    _check_finite(path, tensors)
    model.load_state_dict(tensors)
    return model.float().eval()


def load_start(opened: ModelFolder[ModelConfig], **settings: Any) -> Any:
    """A model to train on, in float32, with fresh weights for what it has not learned.

    Args:
        opened: whatever LayoutLM: with a classifier of any labels, or none.
        settings: of the new classifier, for `from_pretrained`.

    Raises:
        CheckpointError: the weights are damaged, not finite, or do not fit the configuration.
    """
    path = opened.path / WEIGHTS
    transformers_logging.disable_progress_bar()
    try:
        model, report = LayoutLMForTokenClassification.from_pretrained(
            opened.path,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **settings,
        )
    except SafetensorError as error:
        raise _not_whole(path, error) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{opened.path} cannot be loaded: {error}. Use an undamaged model.") from error
    absent = {*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])}
    faults = sorted(name for name in absent if not name.startswith(_FRESH))
    if faults:
        raise CheckpointError(
            f"{path.name} does not fit {CONFIG} in {len(faults)} places: {', '.join(faults[:3])} would have "
            "random weights. Both must come from the same save of a LayoutLM."
        )
    _check_finite(path, model.state_dict())
    return model


def _open(folder: Path, kind: type[_C]) -> ModelFolder[_C]:
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder {folder}; pass the folder of a finished checkpoint.")
    check_listing(str(folder), {path.name: path.stat().st_size for path in folder.iterdir()})
    files = describe_files(folder, tuple(name for name in FILES if (folder / name).is_file()))
    _check_manifest(folder, files)
    config = read_config(folder / CONFIG, kind)
    tokenizer = read_tokenizer(folder, config.vocab_size, CheckpointError)
    run = read_run_facts(folder)
    if run is not None:
        _check_run(run, config, tokenizer)
    return ModelFolder(folder, config, tokenizer, files, run)


def check_listing(where: str, sizes: Mapping[str, int]) -> None:
    """Refuse what the names and sizes of a folder's files tell already.

    Raises:
        CheckpointError: saying what is missing and what to do.
    """
    if not sizes:
        raise CheckpointError(
            f"There is nothing under {where}; pass the folder of a finished checkpoint such as .../best/."
        )
    if WEIGHTS not in sizes:
        raise CheckpointError(_missing_weights(where, sizes))
    if CONFIG not in sizes:
        raise CheckpointError(f"The checkpoint {where} lacks {CONFIG}; pass the folder of a finished one.")
    if VOCABULARY not in sizes and FAST_TOKENIZER not in sizes:
        raise CheckpointError(
            f"The checkpoint {where} lacks {VOCABULARY}, and has no {FAST_TOKENIZER} in its place; save its "
            "tokenizer into the same folder (tokenizer.save_pretrained(FOLDER))."
        )
    for name in FILES:
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
        raise CheckpointError(f"{MANIFEST} cannot be read; the checkpoint is damaged. Use another one.")
    listed = {file.name: file for file in manifest.files if file.name in MODEL_FILES}
    found = {file.name: file for file in files}
    wrong = sorted(name for name in listed if found.get(name) != listed[name])
    if wrong:
        raise CheckpointError(DAMAGED.format(names=", ".join(wrong)))


def _check_run(run: RunFacts, config: ModelConfig, tokenizer: TokenizerFiles) -> None:
    """Hold the documents to what the training has recorded of them, since each may have been copied alone."""
    if run.vocabulary_sha256 not in {None, hash_vocabulary(tokenizer.vocabulary)}:
        raise CheckpointError(
            f"The vocabulary is not the one that {run.job_name} was trained with, so the model would read "
            "other words. Copy the whole folder of the checkpoint again."
        )
    if isinstance(config, CheckpointConfig) and tuple(config.labels) != run.label_list:
        raise CheckpointError(
            f"{CONFIG} has other labels than {run.job_name} was trained with. Copy the whole folder of the "
            "checkpoint again."
        )


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


def _check_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{name} in {path.name} holds NaN or infinite weights; the training diverged. "
                "Use an earlier checkpoint."
            )


def _not_whole(path: Path, error: SafetensorError) -> CheckpointError:
    return CheckpointError(f"{path.name} is not a whole safetensors file: {error}. Upload it again.")
