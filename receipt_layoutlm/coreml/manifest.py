"""The model of a bundle's `manifest.json`: its sources, its target systems, and the hash of every file.

It says nothing that differs between two exports of the same checkpoint with the same settings. Only
model_identity.json does, which therefore stands outside: no hash here covers it.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic
from pydantic import Field

from messages.export_options import RANGE, Quantize, Shapes, ShapesText
from messages.fields import Message
from receipt_layoutlm.checkpoint import ManifestFile, describe_files
from receipt_layoutlm.coreml.interface import OUTPUT_NAME, input_shape, target_of
from receipt_layoutlm.coreml.model import INPUT_NAMES
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint
from receipt_layoutlm.errors import BundleError
from receipt_layoutlm.source_config import describe, read_object

MANIFEST = "manifest.json"
IDENTITY = "model_identity.json"
_TOOLS = ("receipt-layoutlm", "coremltools", "torch", "transformers", "numpy", "protobuf")
_SHOWN = 3

M = TypeVar("M", bound=Message)
Mode = Literal["none", "float16", "int8", "int4"]


@dataclass(frozen=True, slots=True)
class BundleForm:
    """The requested form of an export: the format of the weights (None is float32) and the lengths."""

    quantize: Quantize = "float16"
    shapes: Shapes = RANGE

    @property
    def is_experimental(self) -> bool:
        """Whether Apple's runtime is known to fail with it."""
        return self.quantize == "int4"


class KnownIssue(Message):
    """An open fault in other software that users of this bundle should know."""

    title: str
    url: str
    effect: str


class TargetSystems(Message):
    """The oldest systems that load the package."""

    ios: str
    macos: str
    specification_version: int


class Feature(Message):
    """One input or output; "n" stands for the tokens."""

    name: str
    type: Literal["int32", "float32"]
    shape: tuple[int | Literal["n"], ...]


class BundleManifest(Message):
    """The whole document."""

    schema_version: Literal[1] = 1
    mode: Mode = Field(description="Format of the weights; none is float32.")
    experimental: bool
    known_issues: tuple[KnownIssue, ...]
    target: TargetSystems
    shapes: ShapesText
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    tools: dict[str, str]
    source_checkpoint: tuple[ManifestFile, ...] = Field(description="Files that the bundle was made from.")
    files: tuple[ManifestFile, ...] = Field(description="Every file but this one and model_identity.json.")
    runtime_verified: bool = Field(
        False, description="Whether a Mac has run the package and found the golden cases."
    )
    runtime: dict[str, Any] | None = Field(None, description="Which Mac, and what it measured.")


_PALETTES = KnownIssue(
    title="coremltools #2716: 4-bit palettes of version 9.0 crash or give other numbers on Apple's runtime",
    url="https://github.com/apple/coremltools/issues/2716",
    effect="Open when this was written. Run verify_on_mac.py on each system that shall use this bundle.",
)
_PALETTES_ON_18 = KnownIssue(
    title="coremltools #2688: palettes for iOS 18 fail to load on the Neural Engine",
    url="https://github.com/apple/coremltools/pull/2688",
    effect="Open when this was written. Prefer shapes that iOS 16 can load.",
)


def known_issues(form: BundleForm) -> tuple[KnownIssue, ...]:
    """Known issues of bundles of this form."""
    if not form.is_experimental:
        return ()
    return (_PALETTES, _PALETTES_ON_18) if form.shapes.kind == "enum" else (_PALETTES,)


def describe_bundle(folder: Path, checkpoint: Checkpoint, form: BundleForm) -> BundleManifest:
    """Describe the files that lie in a bundle's folder now, and what they were made of."""
    target, labels = target_of(form.shapes), len(checkpoint.config.labels)
    return BundleManifest(
        mode=form.quantize or "none",
        experimental=form.is_experimental,
        known_issues=known_issues(form),
        target=TargetSystems(
            ios=target.ios, macos=target.macos, specification_version=target.specification_version
        ),
        shapes=form.shapes,
        inputs=tuple(Feature(name=name, type="int32", shape=input_shape(name, "n")) for name in INPUT_NAMES),
        outputs=(Feature(name=OUTPUT_NAME, type="float32", shape=(1, "n", labels)),),
        tools={"python": platform.python_version(), **{name: version(name) for name in _TOOLS}},
        source_checkpoint=checkpoint.files,
        files=describe_files(folder, tuple(sorted(_names(folder)))),
    )


def read_manifest(path: Path) -> BundleManifest:
    """Read manifest.json; raises BundleError as `read_document` does."""
    return read_document(path, BundleManifest)


def read_document(path: Path, kind: type[M]) -> M:
    """Read one of a bundle's documents.

    Raises:
        BundleError: it is no JSON object, or of another form.
    """
    try:
        return kind.model_validate(read_object(path, BundleError))
    except pydantic.ValidationError as error:
        raise BundleError(f"{path.name}: {describe(error)}. Export it again.") from error


def find_changes(folder: Path, manifest: BundleManifest) -> list[str]:
    """Differences between a bundle's files and its manifest, one sentence each."""
    listed = {file.name: file for file in manifest.files}
    found = _names(folder)
    present = tuple(sorted(found & listed.keys()))
    changed = [file.name for file in describe_files(folder, present) if file != listed[file.name]]
    return [
        *(f"{name} is missing" for name in sorted(listed.keys() - found)),
        *(f"{name} is not what {MANIFEST} describes (another size or SHA-256)" for name in changed),
        *(f"{name} is not listed in {MANIFEST}" for name in sorted(found - listed.keys())),
    ]


def check_files(folder: Path, manifest: BundleManifest) -> None:
    """Hold a bundle's files to its manifest.

    Raises:
        BundleError: naming what is missing, changed or not listed.
    """
    changes = find_changes(folder, manifest)
    if changes:
        raise BundleError(
            f"The bundle is damaged or was changed: {'; '.join(changes[:_SHOWN])}"
            f"{f' and {len(changes) - _SHOWN} more' if len(changes) > _SHOWN else ''}. Export it again."
        )


def _names(folder: Path) -> set[str]:
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return set(files) - {MANIFEST, IDENTITY}
