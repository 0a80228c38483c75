"""The same package and zip bytes for the same model."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from messages.fields import derive_id
from receipt_layoutlm.coreml.coremltools_import import ct

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that the format can name
_UNIX = 3
_MODE = 0o100644


def zip_bundle(folder: Path, path: Path) -> Path:
    """Write a bundle's files to a zip, at its root; returns the zip's path."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            _add(archive, name, files[name])
    return path


def _add(archive: zipfile.ZipFile, name: str, file: Path) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    # Weights hardly shrink, and what a compressor writes differs from one zlib to the next.
    entry.compress_type = zipfile.ZIP_STORED
    entry.create_system = _UNIX
    entry.external_attr = _MODE << 16
    entry.file_size = file.stat().st_size  # lets a file above 4 GiB get the header it needs
    with file.open("rb") as source, archive.open(entry, "w") as target:
        shutil.copyfileobj(source, target, 2**20)


MODEL_FILE = Path("Data") / "com.apple.CoreML" / "model.mlmodel"
PARTS_FILE = "Manifest.json"
_DAY = "com.github.apple.coremltools.conversion_date"


def make_reproducible(package: Path) -> None:
    """Rewrite the model's description and the list of parts; the weights are the same each time anyway."""
    _rewrite_model(package / MODEL_FILE)
    _rewrite_parts(package / PARTS_FILE)


def _rewrite_model(path: Path) -> None:
    spec = ct.proto.Model_pb2.Model.FromString(path.read_bytes())
    spec.description.metadata.userDefined.pop(_DAY, None)
    path.write_bytes(spec.SerializeToString(deterministic=True))


def _rewrite_parts(path: Path) -> None:
    listed = json.loads(path.read_bytes())
    ids = {old: derive_id("mlpackage", part["path"]) for old, part in listed["itemInfoEntries"].items()}
    listed["itemInfoEntries"] = {ids[old]: part for old, part in listed["itemInfoEntries"].items()}
    listed["rootModelIdentifier"] = ids[listed["rootModelIdentifier"]]
    text = json.dumps(listed, indent=4, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
