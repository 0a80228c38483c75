"""The same checkpoint and settings give the same bytes, in another process and on another day."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from messages.export_options import Quantize
from receipt_layoutlm.coreml.bundle import PACKAGE
from receipt_layoutlm.coreml.coremltools_import import ct
from receipt_layoutlm.coreml.deterministic_archive import MODEL_FILE, PARTS_FILE, make_reproducible
from receipt_layoutlm.coreml.inspection import compare_bundles

BundleOf = Callable[[Quantize], Path]
# The longest way: a float16 program, palettes for its linears, int8 for its tables.
LONGEST: Quantize = "int4"
EXPORT = """
import sys
from pathlib import Path
from receipt_layoutlm.coreml.export import export_local
checkpoint, out, quantize = sys.argv[1:]
export_local(Path(checkpoint), Path(out), quantize, run_name="a-run")
"""


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_two_processes_write_the_same_bundle_but_for_its_identity(
    bundle_of: BundleOf, trained: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    subprocess.run(
        [sys.executable, "-c", EXPORT, str(trained), str(elsewhere), str(LONGEST)],
        env={**os.environ, "PYTHONHASHSEED": "4242"},  # its sets and maps have another order
        check=True,
        capture_output=True,
    )
    here, there = files(bundle_of(LONGEST)), files(elsewhere)
    assert here.keys() == there.keys()
    assert {name for name in here if here[name] != there[name]} == {"model_identity.json"}
    difference = compare_bundles(bundle_of(LONGEST), elsewhere)
    assert (difference.same_content, difference.same_model, difference.logits) == (True, True, 0)
    assert {change.what for change in difference.facts} == {"identity.export_id", "identity.exported_at"}


def test_the_day_of_the_conversion_is_not_in_the_package(bundle_of: BundleOf) -> None:
    spec = ct.utils.load_spec(str(bundle_of("float16") / PACKAGE))
    assert not [name for name in spec.description.metadata.userDefined if "date" in name]


def test_a_package_that_was_written_in_another_order_becomes_the_same_bytes(
    bundle_of: BundleOf, tmp_path: Path
) -> None:
    package = Path(shutil.copytree(bundle_of("float16") / PACKAGE, tmp_path / PACKAGE))
    wanted = files(package)
    spec = ct.proto.Model_pb2.Model.FromString((package / MODEL_FILE).read_bytes())
    said = dict(spec.description.metadata.userDefined)
    spec.description.metadata.userDefined.clear()
    for name in reversed(said):
        spec.description.metadata.userDefined[name] = said[name]
    spec.description.metadata.userDefined["com.github.apple.coremltools.conversion_date"] = "2031-01-01"
    (package / MODEL_FILE).write_bytes(spec.SerializeToString())
    parts = (package / PARTS_FILE).read_text()
    root = parts.split('"rootModelIdentifier": "')[1].split('"')[0]
    (package / PARTS_FILE).write_text(parts.replace(root, "0f0e0d0c-1111-4222-8333-444455556666"))
    assert files(package) != wanted
    make_reproducible(package)
    assert files(package) == wanted
