"""manifest.json, the documents beside it, and the script that proves a bundle on a Mac."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from messages.export_options import RANGE, Quantize, parse_shapes
from receipt_layoutlm.coreml.bundle import check_bundle
from receipt_layoutlm.coreml.inspection import compare_bundles, inspect_bundle
from receipt_layoutlm.coreml.manifest import BundleForm, describe_bundle, read_manifest
from receipt_layoutlm.coreml.source_checkpoint import load_checkpoint
from receipt_layoutlm.coreml.templates import write_templates
from receipt_layoutlm.errors import BundleError

BundleOf = Callable[[Quantize], Path]

# Predicts what the golden cases say, or something else where the test asks for it.
FAKE_COREMLTOOLS = """
import base64, enum, json, os
from pathlib import Path
import numpy as np

ComputeUnit = enum.Enum("ComputeUnit", ["ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"])

class MLModel:
    def __init__(self, package, compute_units):
        self.fault = os.environ.get(f"FAULT_{compute_units.name}")
        self.cases = [json.loads(path.read_text()) for path in (Path(package).parent / "golden").iterdir()]
        if self.fault == "load":
            raise RuntimeError("no such device")

    def predict(self, inputs):
        assert all(value.dtype == np.int32 and value.shape[0] == 1 for value in inputs.values())
        [case] = [case for case in self.cases if [case["input_ids"]] == inputs["input_ids"].tolist()]
        stored = np.frombuffer(base64.b64decode(case["logits"]["base64"]), "<f4")
        logits = np.zeros((1, len(case["input_ids"]), case["logits"]["shape"][1]), np.float32)
        logits[0, : case["logits"]["shape"][0]] = stored.reshape(case["logits"]["shape"])
        if self.fault:
            logits[0, 1, 1] += float(self.fault)
        return {"logits": logits}

class models:
    MLModel = MLModel
"""


def hashed(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_manifest_names_every_file_with_its_hash_but_itself_and_the_identity(
    bundle_of: BundleOf, trained: Path
) -> None:
    bundle = bundle_of("float16")
    data = json.loads((bundle / "manifest.json").read_text())
    paths = {path.relative_to(bundle).as_posix(): path for path in bundle.rglob("*") if path.is_file()}
    listed = {file["name"]: (file["size"], file["sha256"]) for file in data["files"]}
    assert listed.keys() == paths.keys() - {"manifest.json", "model_identity.json"}
    for name, (size, digest) in listed.items():
        assert (size, digest) == (paths[name].stat().st_size, hashed(paths[name]))
    sources = {file["name"]: file["sha256"] for file in data["source_checkpoint"]}
    assert sources["model.safetensors"] == hashed(trained / "model.safetensors")
    assert sources.keys() == {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"}


def test_the_manifest_says_what_the_bundle_is_and_what_made_it(bundle_of: BundleOf) -> None:
    data = json.loads((bundle_of("float16") / "manifest.json").read_text())
    assert (data["schema_version"], data["mode"], data["shapes"]) == (1, "float16", "range")
    assert data["target"] == {"ios": "16", "macos": "13", "specification_version": 7}
    assert data["inputs"][3] == {"name": "bbox", "type": "int32", "shape": [1, "n", 4]}
    assert data["outputs"] == [{"name": "logits", "type": "float32", "shape": [1, "n", 5]}]
    assert data["tools"]["coremltools"] == version("coremltools")
    assert data["runtime_verified"] is False
    assert (data["experimental"], data["known_issues"]) == (False, [])


def test_int4_is_marked_experimental_with_the_open_issues(
    bundle_of: BundleOf, trained: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(bundle_of("int4") / "manifest.json")
    assert manifest.experimental
    [issue] = manifest.known_issues
    assert issue.url == "https://github.com/apple/coremltools/issues/2716"
    assert "experimental" in (bundle_of("int4") / "README.md").read_text()
    form = BundleForm("int4", parse_shapes("enum:64,128"))
    described = describe_bundle(tmp_path, load_checkpoint(trained), form)
    assert [one.url.rsplit("/", 1)[1] for one in described.known_issues] == ["2716", "2688"]


@pytest.mark.parametrize(
    ("quantize", "mode"), [(None, "none"), ("float16", "float16"), ("int8", "int8"), ("int4", "int4")]
)
def test_the_mode_is_the_one_that_was_asked(
    trained: Path, tmp_path: Path, quantize: Quantize, mode: str
) -> None:
    assert describe_bundle(tmp_path, load_checkpoint(trained), BundleForm(quantize)).mode == mode


def test_a_changed_file_is_refused_by_name(bundle: Path) -> None:
    (bundle / "README.md").write_text("other")
    with pytest.raises(BundleError, match=r"README\.md is not what manifest\.json describes"):
        check_bundle(bundle)
    assert inspect_bundle(bundle).faults == (
        "README.md is not what manifest.json describes (another size or SHA-256)",
    )


def test_a_file_that_is_not_listed_and_one_that_is_missing_are_told(bundle: Path) -> None:
    (bundle / "golden" / "case-1.json").rename(bundle / "golden" / "case-9.json")
    with pytest.raises(BundleError, match=r"case-1\.json is missing; .*case-9\.json is not listed"):
        check_bundle(bundle)


def test_a_manifest_of_another_form_is_refused(bundle: Path) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mode": "int2"}))
    with pytest.raises(BundleError, match=r"manifest\.json: mode"):
        check_bundle(bundle)


def test_two_bundles_differ_in_what_they_say_and_how_their_logits_do(bundle_of: BundleOf) -> None:
    difference = compare_bundles(bundle_of("float16"), bundle_of("int4"))
    assert (difference.same_content, difference.same_model) == (False, False)
    facts = {change.what: (change.a, change.b) for change in difference.facts}
    assert facts["manifest.mode"] == ("float16", "int4")
    assert facts["identity.quantize"] == ("float16", "int4")
    assert "LayoutLM.mlpackage/Data/com.apple.CoreML/weights/weight.bin" in {
        change.what for change in difference.files
    }
    assert "vocab.txt" not in {change.what for change in difference.files}
    assert difference.logits is not None
    assert 1e-3 < difference.logits < 5


def test_the_readme_has_no_gap_left(tmp_path: Path, bundle_of: BundleOf) -> None:
    text = (bundle_of("float16") / "README.md").read_text()
    assert "Weights: float16." in text
    assert "any of 1 to 512" in text
    assert "flatMap { $0 }" in text  # Swift's own dollar
    with pytest.raises(KeyError):
        write_templates(tmp_path, {"mode": "float16"})
    assert str(RANGE) == "range"


@pytest.fixture
def verify(bundle: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "coremltools.py").write_text(FAKE_COREMLTOOLS)

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(bundle / "verify_on_mac.py"), *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "fake"), **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def read(bundle: Path) -> Any:
    return json.loads((bundle / "manifest.json").read_text())


def test_a_mac_that_gives_the_golden_logits_on_every_unit_may_say_so(
    bundle: Path, verify: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    answer = verify()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert [line.split()[0] for line in answer.stdout.splitlines()] == [
        "unit", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL", "passed",
    ]  # fmt: skip
    assert read(bundle)["runtime_verified"] is False
    assert verify("--write").returncode == 0
    said = read(bundle)
    assert said["runtime_verified"] is True
    assert said["runtime"]["compute_units"]["CPU_AND_NE"]["worst_difference"] == 0
    check_bundle(bundle)  # the manifest's own hash is nowhere


@pytest.mark.parametrize(
    ("fault", "expected"),
    [("0.5", "5.00e-01"), ("nan", "nan"), ("load", "failed: RuntimeError: no such device")],
)
def test_a_unit_that_gives_something_else_fails_the_bundle(
    bundle: Path,
    verify: Callable[..., subprocess.CompletedProcess[str]],
    fault: str,
    expected: str,
) -> None:
    answer = verify("--write", FAULT_CPU_AND_NE=fault)
    assert answer.returncode == 1
    lines = {line.split()[0]: line for line in answer.stdout.splitlines()}
    assert expected in lines["CPU_AND_NE"]
    assert "FAILED" in answer.stdout
    said = read(bundle)
    assert said["runtime_verified"] is False
    assert [unit for unit, one in said["runtime"]["compute_units"].items() if not one["passed"]] == [
        "CPU_AND_NE"
    ]
    assert inspect_bundle(bundle).faults == ()


def test_a_damaged_bundle_is_not_even_run(
    bundle: Path, verify: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (bundle / "vocab.txt").write_text("other")
    answer = verify()
    assert answer.returncode == 1
    assert "not as manifest.json describes: vocab.txt" in answer.stdout
