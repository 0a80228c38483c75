"""`export-coreml`, `validate-coreml`, `bundle inspect` and `bundle diff`, on this disk and in S3."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from layoutlm_cli.main import app
from receipt_layoutlm.training.scratch import SPECIAL_TOKENS, Size, build_model
from workers.local_aws.local_stack import LocalStack

LABELS = ["O", "B-DATE", "I-DATE"]
SMALL = Size(layers=1, width=128, heads=4, feed_forward=128, vocabulary=60, dropout=0.0)


def write_checkpoint(folder: Path, seed: int) -> Path:
    vocabulary = [*SPECIAL_TOKENS, *(f"word{number}" for number in range(55))]
    labels = {
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: number for number, label in enumerate(LABELS)},
    }
    build_model(SMALL, len(vocabulary), seed, **labels).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return folder


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("one"), seed=1)


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A bundle with its zip beside it, and what the command printed."""
    out = tmp_path_factory.mktemp("out") / "bundle"
    answer = invoke(
        "export-coreml", checkpoint, out, "--shapes", "enum:16,32", "--run-name", "my-run", "--zip"
    )
    assert answer.exit_code == 0, answer.output
    return out, answer.output


@pytest.fixture
def bundle(exported: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy for one test to spoil."""
    return Path(shutil.copytree(exported[0], tmp_path / "bundle"))


@pytest.fixture
def in_s3(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], str]:
    """Puts a file or folder into the stack's bucket, and lets the commands see that bucket."""
    for name, value in stack.environ.items():
        monkeypatch.setenv(name, value)
    bucket, client = stack.environ["LAYOUTLM_TRAINING_BUCKET"], stack.client("s3")

    def put(path: Path, key: str) -> str:
        for file in [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]:
            name = "" if path.is_file() else file.relative_to(path).as_posix()
            client.put_object(Bucket=bucket, Key=key + name, Body=file.read_bytes())
        return f"s3://{bucket}/{key}"

    return put


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_an_export_by_hand_says_what_it_wrote_measured_and_needs(exported: tuple[Path, str]) -> None:
    out, said = exported
    assert "will need iOS 18 or macOS 15" in said
    for name in ("LayoutLM.mlpackage/Manifest.json", "golden/padded.json", "arithmetic", "of memory"):
        assert name in said
    with zipfile.ZipFile(out.with_name("bundle.zip")) as archive:
        assert set(archive.namelist()) == {
            path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()
        }
    assert json.loads((out / "model_identity.json").read_text())["training_job_id"] == "my-run"


@pytest.mark.parametrize(
    ("option", "expected"),
    [(("--shapes", "fixed:0"), "fixed:N"), (("--quantize", "int2"), "must be float16")],
)
def test_a_wrong_option_is_refused_before_any_work(
    checkpoint: Path, tmp_path: Path, option: tuple[str, str], expected: str
) -> None:
    answer = invoke("export-coreml", checkpoint, tmp_path / "out", *option)
    assert answer.exit_code != 0
    assert expected in str(answer.exception)
    assert not (tmp_path / "out").exists()


def test_a_bundle_is_valid_for_its_own_checkpoint(
    checkpoint: Path, exported: tuple[Path, str], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    answer = invoke("validate-coreml", checkpoint, exported[0], "--output-json", report)
    assert answer.exit_code == 0, answer.output
    assert answer.output.rstrip().endswith("passed")
    said = json.loads(report.read_text())
    assert said["passed"]
    results = {check["name"]: check["passed"] for check in said["checks"]}
    assert results == {
        "files": True,
        "source": True,
        "static": True,
        "structure": True,
        "weights": True,
        "arithmetic": True,
        "quality": None,
        "headroom": True,
        "golden": True,
    }


def test_a_bundle_of_another_checkpoint_fails_by_name_and_number(
    exported: tuple[Path, str], tmp_path: Path
) -> None:
    other = write_checkpoint(tmp_path / "other", seed=2)
    answer = invoke("validate-coreml", other, exported[0], "--output-json", "-")
    assert answer.exit_code == 1
    checks = {check["name"]: check for check in json.loads(answer.stdout)["checks"]}
    assert checks["source"]["passed"] is False
    assert "model.safetensors" in checks["source"]["sentence"]
    assert checks["weights"]["passed"] is False
    assert "relative L2 error" in checks["weights"]["sentence"]
    assert checks["golden"]["passed"] is True  # the bundle is whole; it is of another model


def test_a_bundle_whose_cases_do_not_hold_fails(checkpoint: Path, bundle: Path) -> None:
    path = bundle / "golden" / "case-1.json"
    edit(path, tolerance=1e-9)
    answer = invoke("validate-coreml", checkpoint, bundle)
    assert answer.exit_code == 1
    assert answer.output.rstrip().endswith("FAILED")
    assert "5 of 6 cases give the logits that they should" in answer.output


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has CoreML")
def test_on_another_system_than_a_macs_coreml_is_not_asked(
    checkpoint: Path, exported: tuple[Path, str]
) -> None:
    answer = invoke("validate-coreml", checkpoint, exported[0], "--on-mac")
    assert answer.exit_code != 0
    assert "only on macOS" in str(answer.exception)


def test_checkpoint_and_bundle_may_both_lie_in_s3(
    checkpoint: Path, exported: tuple[Path, str], in_s3: Callable[[Path, str], str]
) -> None:
    source = in_s3(checkpoint, "runs/my-run/best/")
    zipped = in_s3(exported[0].with_name("bundle.zip"), "coreml/bundle.zip")
    answer = invoke("validate-coreml", source, zipped)
    assert answer.exit_code == 0, answer.output
    prefix = in_s3(exported[0], "coreml/my-run/")
    in_s3(exported[0], "coreml/my-run/fixed-16/")  # another bundle below is no part of this one
    same = invoke("bundle", "diff", prefix, zipped)
    assert same.exit_code == 0, same.output
    assert "content: the same" in same.output


def test_inspect_shows_what_a_bundle_is(exported: tuple[Path, str]) -> None:
    answer = invoke("bundle", "inspect", exported[0].with_name("bundle.zip"))
    assert answer.exit_code == 0, answer.output
    for word in ("iOS 18, macOS 15", "enum:16,32", "weight.bin", "headroom", "run on a Mac"):
        assert word in answer.output
    facts = json.loads(invoke("bundle", "inspect", exported[0], "--json").stdout)
    assert facts["faults"] == []
    assert facts["manifest"]["mode"] == "float16"


def test_inspect_tells_what_was_changed_and_shows_bundles_of_older_days(bundle: Path) -> None:
    (bundle / "vocab.txt").write_text("other")
    answer = invoke("bundle", "inspect", bundle)
    assert answer.exit_code == 1
    assert "vocab.txt is not what manifest.json describes" in answer.output
    (bundle / "manifest.json").unlink()
    (bundle / "verification.json").unlink()
    answer = invoke("bundle", "inspect", bundle)
    assert answer.exit_code == 1
    assert "manifest.json is missing" in answer.output
    assert "training_job_id" in answer.output


def test_diff_shows_what_differs(exported: tuple[Path, str], bundle: Path) -> None:
    (bundle / "vocab.txt").write_text("other")
    edit(bundle / "model_identity.json", training_job_id="another-run")
    answer = invoke("bundle", "diff", exported[0], bundle)
    assert answer.exit_code == 1
    assert "identity.training_job_id" in answer.output
    assert "another-run" in answer.output
    assert "model: the same" in answer.output
    said = json.loads(invoke("bundle", "diff", exported[0], bundle, "--json").stdout)
    assert [change["what"] for change in said["files"]] == ["model_identity.json", "vocab.txt"]
    assert said["same_content"] is False


def test_a_folder_that_is_no_bundle_fails_every_check_that_needs_one(
    checkpoint: Path, tmp_path: Path
) -> None:
    answer = invoke("validate-coreml", checkpoint, tmp_path, "--output-json", "-")
    assert answer.exit_code == 1
    results = {check["name"]: check["passed"] for check in json.loads(answer.stdout)["checks"]}
    assert results == {"files": False, "source": False, "static": False, "golden": None}


def test_a_zip_or_prefix_that_is_not_in_s3_is_told(in_s3: Callable[[Path, str], str], tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    bucket = in_s3(tmp_path / "x", "x").rsplit("/", 1)[0]
    for where in ("coreml/gone.zip", "coreml/gone/"):
        assert "There is no bundle" in str(invoke("bundle", "inspect", f"{bucket}/{where}").exception)


def test_what_is_not_there_is_told() -> None:
    said = str(invoke("bundle", "inspect", "gone").exception)
    assert said == "There is no bundle gone; pass its folder, its .zip, or an s3:// URI of either."


def test_a_bucket_that_is_not_allowed_is_not_asked() -> None:
    answer = invoke("bundle", "inspect", "s3://bucket-of-others/x.zip")
    assert "The bucket of s3://bucket-of-others/x.zip is not allowed" in str(answer.exception)


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda archive: archive.writestr("../outside", "x"), r"names '\.\./outside', outside"),
        (lambda archive: archive.writestr("/etc/outside", "x"), "outside of itself"),
        (lambda archive: [archive.writestr(str(number), "") for number in range(1001)], "1,001 files"),
    ],
)
def test_a_zip_that_means_harm_is_not_unpacked(
    tmp_path: Path, write: Callable[[zipfile.ZipFile], Any], expected: str
) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        write(archive)
    answer = invoke("bundle", "inspect", path)
    assert answer.exit_code != 0
    assert expected.replace("\\", "") in str(answer.exception)
    assert not (tmp_path / "outside").exists()


def test_a_zip_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_text("no zip")
    assert "is no zip that can be read" in str(invoke("bundle", "inspect", tmp_path / "bad.zip").exception)
