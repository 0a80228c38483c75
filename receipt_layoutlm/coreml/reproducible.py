"""Writes a saved package once more, so that the same model is the same bytes on any day, in any process.

coremltools notes the day, draws the ids of the package's parts, and lets protobuf write its maps in the order
of a hash that each process seeds anew.
"""

from __future__ import annotations

import json
from pathlib import Path

from messages.fields import derive_id
from receipt_layoutlm.coreml.toolkit import ct

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
