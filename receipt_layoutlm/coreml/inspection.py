"""Reads the documents of a bundle, and lists the differences of two bundles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from messages.fields import Message
from receipt_layoutlm.checkpoint import ManifestFile, describe_files
from receipt_layoutlm.coreml.bundle import VERIFICATION, ModelIdentity, read_identity, read_verification
from receipt_layoutlm.coreml.golden import GoldenCase, read_golden
from receipt_layoutlm.coreml.manifest import (
    IDENTITY,
    MANIFEST,
    BundleManifest,
    find_changes,
    read_manifest,
)
from receipt_layoutlm.coreml.verify import Verification
from receipt_layoutlm.errors import BundleError

T = TypeVar("T")


class BundleFacts(Message):
    """One bundle; a document that is missing or cannot be read is None, and among the faults.

    Attributes:
        files: what lies there, hashed now.
        faults: what is wrong, one sentence each.
    """

    identity: ModelIdentity | None
    manifest: BundleManifest | None
    verification: Verification | None
    files: tuple[ManifestFile, ...]
    faults: tuple[str, ...]


class Difference(Message):
    """One thing that two bundles have in different ways; None where one does not have it."""

    what: str
    a: str | None
    b: str | None


class BundleDifference(Message):
    """The differences of two bundles.

    Attributes:
        same_content: whether all files but model_identity.json are the same, byte for byte.
        same_model: whether the packages are.
        facts: of identity, manifest and verification.
        files: by SHA-256.
        logits: largest difference over the golden cases whose inputs both have; None where there is none.
        labels: words of those cases that get different labels.
    """

    same_content: bool
    same_model: bool
    facts: tuple[Difference, ...]
    files: tuple[Difference, ...]
    logits: float | None
    labels: int | None


def inspect_bundle(folder: Path) -> BundleFacts:
    """Read the documents of a bundle, and check that its files agree with them."""
    faults: list[str] = []

    def read(name: str, reader: Callable[[Path], T]) -> T | None:
        try:
            if (folder / name).is_file():
                return reader(folder / name)
            faults.append(f"{name} is missing")
        except BundleError as error:
            faults.append(str(error))
        return None

    manifest = read(MANIFEST, read_manifest)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return BundleFacts(
        identity=read(IDENTITY, read_identity),
        manifest=manifest,
        verification=read(VERIFICATION, read_verification),
        files=describe_files(folder, tuple(names)),
        faults=(*faults, *(find_changes(folder, manifest) if manifest else ())),
    )


def compare_bundles(a: Path, b: Path) -> BundleDifference:
    """Compare two bundles' folders."""
    ours, theirs = inspect_bundle(a), inspect_bundle(b)
    files = _changes(_hashes(ours), _hashes(theirs))
    logits, labels = _compare_golden(a, b)
    return BundleDifference(
        same_content=all(change.what == IDENTITY for change in files),
        same_model=not any(".mlpackage/" in change.what for change in files),
        facts=_changes(_facts(ours), _facts(theirs)),
        files=files,
        logits=logits,
        labels=labels,
    )


def _hashes(facts: BundleFacts) -> dict[str, str]:
    return {file.name: file.sha256 for file in facts.files}


def _facts(facts: BundleFacts) -> dict[str, str]:
    """Everything that a bundle's documents say but the list of files, as flat names and texts."""
    parts: Mapping[str, Message | None] = {"identity": facts.identity, "manifest": facts.manifest}
    found = dict(
        line
        for name, part in parts.items()
        if part
        for line in _flatten(name, part.model_dump(mode="json", exclude={"files"}))
    )
    for gate in facts.verification.gates if facts.verification else ():
        for number in gate.numbers:
            found[f"verification.{gate.name}.{number.name}"] = f"{number.value:g}"
    return found


def _flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(f"{name}.{key}", inner)
    elif isinstance(value, list) and value and all(isinstance(one, dict) and "name" in one for one in value):
        for one in value:
            yield from _flatten(f"{name}.{one['name']}", {key: one[key] for key in one if key != "name"})
    else:
        yield name, str(value)


def _changes(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[Difference, ...]:
    names = sorted(a.keys() | b.keys())
    return tuple(
        Difference(what=name, a=a.get(name), b=b.get(name)) for name in names if a.get(name) != b.get(name)
    )


def _compare_golden(a: Path, b: Path) -> tuple[float | None, int | None]:
    theirs = {_key(case): case for case in read_golden(b)}
    pairs = [(case, theirs[_key(case)]) for case in read_golden(a) if _key(case) in theirs]
    if not pairs:
        return None, None
    logits = max(
        float(np.abs(one.logits.unpack() - other.logits.unpack()).max())
        if one.logits.shape == other.logits.shape
        else float("inf")
        for one, other in pairs
    )
    labels = sum(
        mine != other for one, two in pairs for mine, other in zip(one.labels, two.labels, strict=True)
    )
    return logits, labels


def _key(case: GoldenCase) -> tuple[Any, ...]:
    return case.input_ids, case.bbox, case.attention_mask, case.first_tokens
