"""Writes the folder that clients download, and checks any such folder against their expectations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from messages.export_options import RANGE, Quantize
from messages.fields import Message, Uuid
from receipt_layoutlm.coreml.deterministic_archive import make_reproducible
from receipt_layoutlm.coreml.golden import GOLDEN, read_golden
from receipt_layoutlm.coreml.interface import target_of
from receipt_layoutlm.coreml.manifest import (
    IDENTITY,
    MANIFEST,
    BundleForm,
    BundleManifest,
    check_files,
    describe_bundle,
    read_document,
    read_manifest,
)
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint
from receipt_layoutlm.coreml.templates import README, VERIFY_ON_MAC, write_templates
from receipt_layoutlm.coreml.verify import Verification
from receipt_layoutlm.coreml.verify.static import check_package
from receipt_layoutlm.errors import BundleError
from receipt_layoutlm.evaluation.decoding import transitions
from receipt_layoutlm.source_config import CONFIG, other_than_tags, read_object
from receipt_layoutlm.tokenizer_files import TOKENIZER_CONFIG, VOCABULARY, read_tokenizer

PACKAGE = "LayoutLM.mlpackage"
LABEL_MAP = "label_map.json"
VERIFICATION = "verification.json"
CONTRACT_NAMES = frozenset({PACKAGE, VOCABULARY, CONFIG, LABEL_MAP, TOKENIZER_CONFIG, IDENTITY})
"""Files that clients read; the other files are for people and tests."""
BUNDLE_NAMES = CONTRACT_NAMES | {MANIFEST, VERIFICATION, GOLDEN, README, VERIFY_ON_MAC}
FORBIDDEN_NAME = "tokenizer.json"
TRANSITIONS = "transitions"
"""Key of the label map: which tag may follow which, for clients that decode as `infer` does."""

TRANSITION_SCORES = "transition_scores"
"""Key of the label map: what to add to the logarithm of a tag's probability, by the tag before it."""

_TOKENIZER_DEFAULTS: Mapping[str, Any] = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    "strip_accents": None,
    "tokenize_chinese_chars": True,
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


class ModelIdentity(Message):
    """model_identity.json: which export made this bundle, of what."""

    export_id: Uuid
    training_job_id: str
    source_checkpoint_s3_uri: str
    quantize: Quantize
    exported_at: str


def write_bundle(folder: Path, mlmodel: Any, checkpoint: Checkpoint, identity: ModelIdentity) -> None:
    """Write a converted model and what clients read beside it into a new folder."""
    folder.mkdir(parents=True)
    mlmodel.save(str(folder / PACKAGE))
    make_reproducible(folder / PACKAGE)
    (folder / VOCABULARY).write_text("\n".join(checkpoint.vocabulary) + "\n", encoding="utf-8", newline="\n")
    labels = _label_maps(checkpoint.config.labels)
    _write_json(
        folder / CONFIG,
        {
            **checkpoint.config.sizes(),
            "pad_token_id": checkpoint.vocabulary.index("[PAD]"),
            "num_labels": len(checkpoint.config.labels),
            **labels,
        },
    )
    _write_json(
        folder / LABEL_MAP,
        {
            **labels,
            "labels": checkpoint.config.labels,
            TRANSITIONS: transitions(checkpoint.config.labels),
            **_transition_scores(checkpoint),
        },
    )
    _write_json(folder / TOKENIZER_CONFIG, _tokenizer_config(checkpoint))
    _write_json(folder / IDENTITY, identity.model_dump(mode="json"))


def _transition_scores(checkpoint: Checkpoint) -> dict[str, Any]:
    learned = checkpoint.run.transitions if checkpoint.run else None
    return {} if learned is None else {TRANSITION_SCORES: learned.model_dump(mode="json")}


def complete_bundle(
    folder: Path, checkpoint: Checkpoint, form: BundleForm, verification: Verification
) -> None:
    """Write what proves and explains the model; the manifest comes last and covers all of it."""
    _write_json(folder / VERIFICATION, verification.model_dump(mode="json"))
    write_templates(folder, _facts(checkpoint, form))
    manifest = describe_bundle(folder, checkpoint, form)
    _write_json(folder / MANIFEST, manifest.model_dump(mode="json", exclude_none=True))


def check_bundle(folder: Path) -> None:
    """Hold a bundle's folder to what clients expect of it, and to its own manifest.

    Raises:
        BundleError: with the file and what is wrong with it.
    """
    _check_names(folder, BUNDLE_NAMES)
    manifest = read_manifest(folder / MANIFEST)
    _check_mode(read_identity(folder / IDENTITY), manifest)
    check_clients_part(folder)
    read_verification(folder / VERIFICATION)
    read_golden(folder)
    check_files(folder, manifest)


def check_clients_part(folder: Path) -> BundleForm:
    """Hold a bundle's folder to what clients expect of it, as those of older software are, too.

    Returns:
        Its weights and lengths.

    Raises:
        BundleError: with the file and what is wrong with it.
    """
    _check_names(folder, CONTRACT_NAMES)
    config = read_object(folder / CONFIG, BundleError)
    labels = _check_config(config)
    vocab_size = config.get("vocab_size")
    if not isinstance(vocab_size, int):
        raise BundleError(f"{CONFIG} has no vocab_size.")
    read_tokenizer(folder, vocab_size, BundleError)
    _check_label_map(read_object(folder / LABEL_MAP, BundleError), labels)
    form = form_of(folder)
    check_package(folder / PACKAGE, num_labels=len(labels), quantize=form.quantize, shapes=form.shapes)
    return form


def form_of(folder: Path) -> BundleForm:
    """Weights and lengths of a bundle; one of older days has no manifest and takes any length.

    Raises:
        BundleError: it does not say so in any form.
    """
    if not (folder / MANIFEST).is_file():
        return BundleForm(read_identity(folder / IDENTITY).quantize, RANGE)
    manifest = read_manifest(folder / MANIFEST)
    return BundleForm(None if manifest.mode == "none" else manifest.mode, manifest.shapes)


def read_identity(path: Path) -> ModelIdentity:
    """Read model_identity.json; raises BundleError for another form."""
    return read_document(path, ModelIdentity)


def read_verification(path: Path) -> Verification:
    """Read verification.json; raises BundleError for another form."""
    return read_document(path, Verification)


def package_bytes(folder: Path) -> int:
    """Size of the bundle's package in bytes."""
    return sum(path.stat().st_size for path in (folder / PACKAGE).rglob("*") if path.is_file())


def _label_maps(labels: list[str]) -> dict[str, Any]:
    return {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def _tokenizer_config(checkpoint: Checkpoint) -> dict[str, Any]:
    # Only these fields: the others say where the training's machine kept its files.
    known = checkpoint.tokenizer_config
    chosen = {name: known.get(name, default) for name, default in _TOKENIZER_DEFAULTS.items()}
    return {**chosen, "model_max_length": checkpoint.config.max_position_embeddings}


def _facts(checkpoint: Checkpoint, form: BundleForm) -> dict[str, str]:
    """Facts of this bundle for its README."""
    target, lengths = target_of(form.shapes), form.shapes.lengths
    return {
        "mode": form.quantize or "float32",
        "experimental": " (experimental: see known_issues in manifest.json)" if form.is_experimental else "",
        "ios": target.ios,
        "macos": target.macos,
        "lengths": f"any of {lengths[0]} to {lengths[1]}"
        if form.shapes.kind == "range"
        else " or ".join(map(str, lengths)),
        "labels": str(len(checkpoint.config.labels)),
        "pad": str(checkpoint.vocabulary.index("[PAD]")),
    }


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def _check_names(folder: Path, needed: frozenset[str]) -> None:
    names = {path.name for path in folder.iterdir()}
    if FORBIDDEN_NAME in names:
        raise BundleError(
            f"{FORBIDDEN_NAME} is in the bundle; with it clients pick another tokenizer. Remove it."
        )
    missing, unknown = sorted(needed - names), sorted(names - BUNDLE_NAMES)
    if missing:
        raise BundleError(f"The bundle lacks {', '.join(missing)}. Export it again.")
    if unknown:
        raise BundleError(f"The bundle holds {', '.join(unknown)}, which is no part of one. Remove it.")
    if not (folder / PACKAGE).is_dir():
        raise BundleError(f"{PACKAGE} is not a folder. Export it again.")


def _check_config(config: Mapping[str, Any]) -> list[str]:
    id2label = config.get("id2label")
    if not isinstance(id2label, dict) or list(id2label) != [str(number) for number in range(len(id2label))]:
        raise BundleError(f'{CONFIG}: id2label must have the keys "0", "1" and so on, in order.')
    labels = list(id2label.values())
    if config.get("num_labels") != len(labels) or not labels:
        raise BundleError(
            f"{CONFIG}: num_labels is {config.get('num_labels')} but id2label has {len(labels)}."
        )
    if config.get("label2id") != {label: number for number, label in enumerate(labels)}:
        raise BundleError(f"{CONFIG}: label2id is not id2label the other way round.")
    if others := other_than_tags(map(str, labels)):
        raise BundleError(
            f"{CONFIG}: {', '.join(others[:3])} are no tags, which are O, B-NAME and I-NAME; clients would "
            "show none of these words. Export a model that knows its labels."
        )
    return labels


def _check_label_map(label_map: Mapping[str, Any], labels: list[str]) -> None:
    expected = {**_label_maps(labels), "labels": labels}
    if TRANSITIONS in label_map:  # bundles of earlier versions have none
        expected[TRANSITIONS] = transitions(labels)
    for name, wanted in expected.items():
        if label_map.get(name) != wanted:
            raise BundleError(f"{LABEL_MAP}: {name} does not say the same as {CONFIG}.")


def _check_mode(identity: ModelIdentity, manifest: BundleManifest) -> None:
    if (identity.quantize or "none") != manifest.mode:
        raise BundleError(
            f"{IDENTITY} says that the weights are {identity.quantize or 'none'}, {MANIFEST} that they are "
            f"{manifest.mode}. Export it again."
        )
