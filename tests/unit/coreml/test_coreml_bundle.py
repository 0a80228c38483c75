from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from messages.export_options import Quantize
from receipt_layoutlm.coreml.bundle import PACKAGE, check_bundle
from receipt_layoutlm.coreml.deterministic_archive import zip_bundle
from receipt_layoutlm.errors import BundleError

BundleOf = Callable[[Quantize], Path]
CONTRACT = {
    "LayoutLM.mlpackage",
    "vocab.txt",
    "config.json",
    "label_map.json",
    "tokenizer_config.json",
    "model_identity.json",
}
FILES = CONTRACT | {"manifest.json", "verification.json", "golden", "verify_on_mac.py", "README.md"}
FOLDERS = {"LayoutLM.mlpackage", "golden"}


def edit_json(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def refusal(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        check_bundle(bundle)
    return str(caught.value)


@pytest.mark.parametrize("quantize", [None, "float16", "int8", "int4"])
def test_a_bundle_holds_the_files_of_the_contract_and_passes_its_check(
    bundle_of: BundleOf, quantize: Quantize
) -> None:
    bundle = bundle_of(quantize)
    assert {path.name for path in bundle.iterdir()} == FILES
    check_bundle(bundle)
    identity = json.loads((bundle / "model_identity.json").read_text())
    assert set(identity) == {
        "export_id",
        "training_job_id",
        "source_checkpoint_s3_uri",
        "quantize",
        "exported_at",
    }
    assert identity["quantize"] == quantize
    assert identity["exported_at"].endswith("+00:00")


def test_labels_and_vocabulary_say_what_the_checkpoint_said(bundle_of: BundleOf, trained: Path) -> None:
    bundle = bundle_of("float16")
    labels = ["O", "B-DATE", "I-DATE", "B-TAX", "I-TAX"]
    id2label = {str(number): label for number, label in enumerate(labels)}
    label2id = {label: number for number, label in enumerate(labels)}
    config = json.loads((bundle / "config.json").read_text())
    assert (config["num_labels"], config["id2label"], config["label2id"]) == (5, id2label, label2id)
    assert (config["hidden_size"], config["vocab_size"], config["pad_token_id"]) == (64, 60, 0)
    assert json.loads((bundle / "label_map.json").read_text()) == {
        "id2label": id2label,
        "label2id": label2id,
        "labels": labels,
        "transitions": [
            [1, 1, 0, 1, 0],
            [1, 0, 1, 1, 0],
            [1, 0, 1, 1, 0],
            [1, 1, 0, 0, 1],
            [1, 1, 0, 0, 1],
        ],
    }
    assert (bundle / "vocab.txt").read_bytes() == (trained / "vocab.txt").read_bytes()


def test_the_tokenizers_settings_come_without_the_training_hosts_paths(bundle_of: BundleOf) -> None:
    settings = json.loads((bundle_of("float16") / "tokenizer_config.json").read_text())
    assert settings["do_lower_case"] is True
    assert settings["pad_token"] == "[PAD]"
    assert settings["model_max_length"] == 512
    assert not {"name_or_path", "tokenizer_file"} & set(settings)


def test_a_tokenizer_json_is_refused(bundle: Path) -> None:
    (bundle / "tokenizer.json").write_text("{}")
    assert "tokenizer.json is in the bundle" in refusal(bundle)


@pytest.mark.parametrize("name", sorted(FILES - FOLDERS))
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert f"lacks {name}" in refusal(bundle)


def test_a_file_that_is_no_part_of_a_bundle_is_named(bundle: Path) -> None:
    (bundle / "optimizer.pt").touch()
    assert "holds optimizer.pt" in refusal(bundle)


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("config.json", {"num_labels": 4}, "num_labels is 4 but id2label has 5"),
        ("config.json", {"id2label": {"1": "O", "0": "B-DATE"}}, "id2label must have the keys"),
        ("config.json", {"id2label": ["O"]}, "id2label must have the keys"),
        ("config.json", {"label2id": {"O": 0}}, "config.json: label2id"),
        ("config.json", {"vocab_size": 61}, "vocab.txt has 60 tokens"),
        ("config.json", {"vocab_size": None}, "no vocab_size"),
        ("label_map.json", {"labels": ["O"]}, "label_map.json: labels"),
        ("label_map.json", {"id2label": {}}, "label_map.json: id2label"),
        ("label_map.json", {"transitions": [[1] * 5] * 5}, "label_map.json: transitions"),
        ("model_identity.json", {"quantize": "int8"}, "weights are int8, manifest.json that they are"),
        ("model_identity.json", {"export_id": "x"}, "model_identity.json: export_id"),
        ("model_identity.json", {"extra": 1}, "model_identity.json: extra"),
    ],
)
def test_a_document_that_contradicts_the_others_is_refused(
    bundle: Path, name: str, fields: dict[str, Any], expected: str
) -> None:
    edit_json(bundle / name, **fields)
    assert expected in refusal(bundle)


def test_a_vocabulary_with_a_blank_line_is_refused(bundle: Path) -> None:
    path = bundle / "vocab.txt"
    path.write_text(path.read_text().replace("word3\n", "\n"))
    assert "vocab.txt has a blank line, 9" in refusal(bundle)


def test_a_package_without_its_weights_is_refused(bundle: Path) -> None:
    (bundle / PACKAGE / "Data" / "com.apple.CoreML" / "weights" / "weight.bin").unlink()
    assert "cannot be read back" in refusal(bundle)


def test_the_zip_holds_the_bundle_flat_and_is_the_same_each_time(bundle: Path, tmp_path: Path) -> None:
    first = zip_bundle(bundle, tmp_path / "first.zip")
    for path in bundle.iterdir():
        path.touch()
    second = zip_bundle(bundle, tmp_path / "second.zip")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {name.split("/")[0] for name in names} == FILES
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    check_bundle(tmp_path / "unpacked")
