"""Checkpoint folders: those that load, and those that are refused with a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.checkpoint import MODEL_FILES, WEIGHTS, Manifest, describe_files, save_tokenizer
from receipt_layoutlm.model_folder import download_model, load_model, open_checkpoint
from receipt_layoutlm.source_config import CONFIG
from receipt_layoutlm.tokenizer_files import VOCABULARY
from receipt_layoutlm.training.pretrained import ModelSource
from run_records.errors import CheckpointError, ConfigurationError
from run_records.labels import resolve_labels
from run_records.s3_store import S3Store

LABELS = resolve_labels(Hyperparameters())
_TEXTS = {"Milk", "TOTAL", "12.50", "Straße", "03/2025"}


def _source(name: str, work_dir: Path, labels: object = LABELS) -> ModelSource:
    return ModelSource(name, labels, 1, 512, work_dir)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, storage: S3Store) -> Path:
    """A whole checkpoint."""
    start = _source("scratch:tiny", tmp_path).load(_TEXTS, storage)
    folder = tmp_path / "model"
    start.model.save_pretrained(folder)
    save_tokenizer(start.tokenizer, folder)
    return folder


def test_a_whole_checkpoint_is_loaded_with_its_vocabulary(folder: Path, storage: S3Store) -> None:
    assert {path.name for path in folder.iterdir()} >= {CONFIG, WEIGHTS, VOCABULARY, "tokenizer_config.json"}
    assert not (folder / "tokenizer.json").exists()
    start = _source(str(folder), folder).load(set(), storage)
    assert start.model.config.id2label[1] == "B-MERCHANT_NAME"
    assert start.tokenizer.tokenize("TOTAL") == open_checkpoint(folder).load_tokenizer().tokenize("TOTAL")


def test_the_clients_plain_bert_tokenizer_reads_the_vocabulary_the_same(folder: Path) -> None:
    from transformers import BertTokenizer  # noqa: PLC0415

    plain = BertTokenizer.from_pretrained(folder)
    ours = open_checkpoint(folder).load_tokenizer()
    for text in _TEXTS | {"unseen words", "7-Eleven", "£3.99"}:
        assert plain(text)["input_ids"] == ours(text)["input_ids"]
    lines = (folder / VOCABULARY).read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert all(lines)
    assert len(lines) == len(set(lines))


def test_the_same_words_give_the_same_vocabulary_in_any_order(tmp_path: Path, storage: S3Store) -> None:
    # Many, since the library that learns them meets them in another order each time.
    words = [
        f"{a}{b}{number}" for a in ("TOT", "Mil", "Str") for b in ("al", "k", "aße") for number in range(90)
    ]
    one = _source("scratch:tiny", tmp_path).load(words, storage)
    two = _source("scratch:tiny", tmp_path).load(words[::-1], storage)
    assert one.tokenizer.get_vocab() == two.tokenizer.get_vocab()
    assert one.model.state_dict().keys() == two.model.state_dict().keys()
    assert all(
        (one.model.state_dict()[name] == value).all() for name, value in two.model.state_dict().items()
    )


def test_a_pickle_is_refused_by_name(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"a pickle \(pytorch_model\.bin\)\. A pickle is never loaded"):
        load_model(open_checkpoint(folder))


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, VOCABULARY])
def test_a_checkpoint_without_one_of_its_files_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"(lacks|with) {name}"):
        load_model(open_checkpoint(folder))


def test_an_empty_folder_and_no_folder_are_refused(tmp_path: Path) -> None:
    for path, sentence in ((tmp_path, "There is nothing under"), (tmp_path / "gone", "There is no folder")):
        with pytest.raises(CheckpointError, match=sentence):
            open_checkpoint(path)


def test_a_model_of_another_type_is_refused(folder: Path) -> None:
    (folder / CONFIG).write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="of model_type 'bert'"):
        load_model(open_checkpoint(folder))


def test_damaged_weights_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        load_model(open_checkpoint(folder))


def test_a_prefix_without_a_model_is_refused_before_anything_is_downloaded(
    storage: S3Store, bucket: str, tmp_path: Path
) -> None:
    uri = f"s3://{bucket}/models/old/"
    storage.write(f"{uri}pytorch_model.bin", b"pickle")
    with pytest.raises(CheckpointError, match="never loaded"):
        download_model(storage, uri, tmp_path / "old")
    assert not (tmp_path / "old").exists()


def test_a_model_in_s3_is_loaded_and_its_head_made_anew_for_other_labels(
    folder: Path, storage: S3Store, bucket: str, tmp_path: Path
) -> None:
    uri = f"s3://{bucket}/models/one/"
    storage.upload_folder(folder, uri)
    few = resolve_labels(Hyperparameters(allowed_labels=("DATE", "TAX")))
    start = _source(uri, tmp_path / "work", few).load(set(), storage)
    assert start.model.config.num_labels == 5
    assert start.model.classifier.weight.shape[0] == 5
    kept = load_model(open_checkpoint(folder)).layoutlm.encoder.layer[0].output.dense.weight
    assert (start.model.layoutlm.encoder.layer[0].output.dense.weight == kept).all()


def test_a_hub_that_cannot_be_reached_says_what_to_do(
    tmp_path: Path, storage: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigurationError, match="use scratch:small"):
        _source("nobody/no-such-model", tmp_path).load(set(), storage)


def test_a_manifest_names_every_file_that_is_not_what_it_was(folder: Path) -> None:
    names = tuple(name for name in MODEL_FILES if (folder / name).exists())
    manifest = Manifest(job_id="j", attempt=1, step=1, epoch=1, files=describe_files(folder, names))
    assert manifest.faults(folder) == []
    body = bytearray((folder / WEIGHTS).read_bytes())
    body[-1] ^= 1
    (folder / WEIGHTS).write_bytes(body)
    (folder / VOCABULARY).unlink()
    assert set(manifest.faults(folder)) == {WEIGHTS, VOCABULARY}
