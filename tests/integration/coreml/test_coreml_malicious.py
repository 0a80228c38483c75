"""Checkpoints that mean harm, or are broken, go nowhere: no code runs, nothing is uploaded, it says why."""

from __future__ import annotations

import json
import pickle
import resource
import struct
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from messages.child_protocol import ErrorClass, ExportTask
from messages.export import ExportJob
from receipt_layoutlm.coreml.export import export
from run_records.errors import CheckpointError
from run_records.job_process.child_main import Reporter, StopRequested, classify

BUCKET = "models"
TEN_GB = 10 * 2**30
WEIGHTS = "model.safetensors"
PutFolder = Callable[[Path, str], None]
Spoil = Callable[[Path, Path], None]


class Bomb:
    """What a pickle can do to whoever loads it: here it leaves a file behind."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


def only_a_pickle(folder: Path, witness: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(witness)))


def a_pickle_under_the_name_of_safetensors(folder: Path, witness: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps(Bomb(witness)))


def a_pickled_tokenizer_in_place_of_a_vocabulary(folder: Path, witness: Path) -> None:
    (folder / "vocab.txt").write_bytes(pickle.dumps(Bomb(witness)))


def code_of_its_own(folder: Path, witness: Path) -> None:
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(witness)!r}).touch()\n")
    edit_config(
        folder, auto_map={"AutoModelForTokenClassification": "evil.Model"}, architectures=["evil.Model"]
    )


def code_of_its_own_in_the_tokenizer(folder: Path, witness: Path) -> None:
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(witness)!r}).touch()\n")
    settings = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def weights_that_are_not_numbers(folder: Path, witness: Path) -> None:
    edit_weights(folder, lambda tensors: tensors["classifier.weight"].fill_(float("nan")))


def weights_of_another_shape(folder: Path, witness: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.update({"classifier.weight": torch.zeros(5, 63)}))


def a_header_that_claims_ten_gigabytes(folder: Path, witness: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(struct.pack("<Q", TEN_GB) + path.read_bytes()[8:])


def a_tensor_that_claims_ten_gigabytes(folder: Path, witness: Path) -> None:
    header = {"classifier.bias": {"dtype": "F32", "shape": [TEN_GB // 4], "data_offsets": [0, TEN_GB]}}
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + bytes(100))


def an_index_that_claims_ten_gigabytes(folder: Path, witness: Path) -> None:
    (folder / WEIGHTS).unlink()
    index = {
        "metadata": {"total_size": TEN_GB},
        "weight_map": {
            "classifier.weight": "../../../../etc/passwd",
            "classifier.bias": "part-2.safetensors",
        },
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def a_config_of_fifty_gigabytes(folder: Path, witness: Path) -> None:
    edit_config(folder, hidden_size=4096, intermediate_size=16_384, num_hidden_layers=64)


def a_manifest_that_claims_ten_gigabytes(folder: Path, witness: Path) -> None:
    file = {"name": WEIGHTS, "size": TEN_GB, "sha256": "0" * 64}
    manifest = {"job_id": "j", "attempt": 1, "step": 1, "epoch": 1.0, "files": [file]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def a_manifest_that_names_other_places(folder: Path, witness: Path) -> None:
    file = {"name": "../../../../etc/cron.d/x", "size": 3, "sha256": "0" * 64}
    manifest = {"job_id": "j", "attempt": 1, "step": 1, "epoch": 1.0, "files": [file]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / WEIGHTS).write_bytes(b"x")


def edit_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    edit(tensors)
    save_file(tensors, folder / WEIGHTS)


CASES: list[tuple[Spoil, str]] = [
    (only_a_pickle, "A pickle is never loaded"),
    (a_pickle_under_the_name_of_safetensors, "is not a whole safetensors file"),
    (a_pickled_tokenizer_in_place_of_a_vocabulary, "vocab.txt"),
    (code_of_its_own, "config.json asks for code of its own (auto_map), which is never run"),
    (code_of_its_own_in_the_tokenizer, "tokenizer_config.json asks for code of its own"),
    (weights_that_are_not_numbers, "classifier.weight in model.safetensors holds NaN"),
    (weights_of_another_shape, "classifier.weight is [5, 63] instead of [5, 64]"),
    (a_header_that_claims_ten_gigabytes, "is not a whole safetensors file"),
    (a_tensor_that_claims_ten_gigabytes, "is not a whole safetensors file"),
    (an_index_that_claims_ten_gigabytes, "are in several files (model.safetensors.index.json)"),
    (a_config_of_fifty_gigabytes, "does not fit config.json"),
    (a_manifest_that_claims_ten_gigabytes, "model.safetensors is not what manifest.json describes"),
    (a_manifest_that_names_other_places, "is not a whole safetensors file"),
]


# A cache reads manifests before anything else; the other faults it does not look at.
@pytest.mark.parametrize(
    ("spoil", "expected", "cached"),
    [
        *((*case, False) for case in CASES),
        *((*case, True) for case in CASES if "manifest" in case[0].__name__),
    ],
)
def test_a_harmful_checkpoint_fails_with_a_reason_and_leaves_no_trace(
    spoil: Spoil,
    expected: str,
    cached: bool,
    checkpoint_folder: Path,
    tmp_path: Path,
    s3: Any,
    root: str,
    put_folder: PutFolder,
) -> None:
    witness = tmp_path / "ran"
    spoil(checkpoint_folder, witness)
    put_folder(checkpoint_folder, root + "runs/x/best/")
    task = ExportTask(
        job=ExportJob(
            export_id=str(uuid.uuid4()),
            job_id="x",
            model_s3_uri=root + "runs/x/best/",
            output_s3_prefix=root + "coreml/x/",
        ),
        attempt=1,
        training_job_id="x",
        training_job_name="x",
        training_created_at="2026-11-20T10:00:00.000000+00:00",
        canonical_bundle_s3_uri=root + "coreml/bundle.zip",
        allowed_buckets=(BUCKET,),
        work_dir=str(tmp_path / "work"),
        cache_dir=str(tmp_path / "cache") if cached else None,
        cache_bytes=10**9,
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as caught:
        export(task, Reporter(None), StopRequested())
    assert expected in str(caught.value)
    assert classify(caught.value)[0] is ErrorClass.CHECKPOINT
    assert not ErrorClass.CHECKPOINT.retryable
    assert not witness.exists()
    prefix = root.removeprefix(f"s3://{BUCKET}/")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix + "coreml/")
    assert listed.get("Contents", []) == []
    assert list((tmp_path / "work").iterdir()) == []
    grown_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kilobytes < 2**20  # a gigabyte of any claimed ten would be too much
