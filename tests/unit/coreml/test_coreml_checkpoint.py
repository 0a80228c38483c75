from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from receipt_layoutlm.checkpoint import MODEL_FILES, Manifest, describe_files
from receipt_layoutlm.coreml.source_checkpoint import load_checkpoint
from run_records.errors import CheckpointError

Change = Callable[..., None]
QUERY = "layoutlm.encoder.layer.0.attention.self.query.weight"


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    return str(caught.value)


def test_a_whole_checkpoint_opens_in_float32_and_evaluation_mode(trained: Path) -> None:
    opened = load_checkpoint(trained)
    assert opened.config.labels == ["O", "B-DATE", "I-DATE", "B-TAX", "I-TAX"]
    assert opened.vocabulary[:2] == ("[PAD]", "[UNK]")
    assert not opened.model.training
    assert {tensor.dtype for tensor in opened.model.parameters()} == {torch.float32}


def test_weights_in_half_precision_open_too(checkpoint_folder: Path, change_weights: Change) -> None:
    change_weights(lambda tensors: tensors.update({name: t.half() for name, t in tensors.items()}))
    opened = load_checkpoint(checkpoint_folder)
    assert {tensor.dtype for tensor in opened.model.parameters()} == {torch.float32}


def test_the_position_buffer_of_older_checkpoints_is_passed_over(
    checkpoint_folder: Path, change_weights: Change
) -> None:
    change_weights(
        lambda tensors: tensors.update({"layoutlm.embeddings.position_ids": torch.arange(512)[None]})
    )
    load_checkpoint(checkpoint_folder)


def test_an_empty_folder_is_refused_with_what_to_pass(tmp_path: Path) -> None:
    assert "There is nothing under" in refusal(tmp_path)
    assert "such as .../best/." in refusal(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "There is no folder" in refusal(tmp_path / "gone")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl"])
def test_a_pickle_is_never_loaded(checkpoint_folder: Path, tmp_path: Path, name: str) -> None:
    witness = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (witness,)

    (checkpoint_folder / "model.safetensors").unlink()
    (checkpoint_folder / name).write_bytes(pickle.dumps(Bomb()))
    message = refusal(checkpoint_folder)
    assert name in message
    assert "A pickle is never loaded" in message
    assert "re-save the model as safetensors" in message
    assert not witness.exists()


def test_a_folder_without_weights_is_refused(checkpoint_folder: Path) -> None:
    (checkpoint_folder / "model.safetensors").unlink()
    assert "holds no weights" in refusal(checkpoint_folder)  # optimizer.pt is none


@pytest.mark.parametrize("name", ["config.json", "vocab.txt"])
def test_a_missing_document_is_named(checkpoint_folder: Path, name: str) -> None:
    (checkpoint_folder / name).unlink()
    assert f"lacks {name}" in refusal(checkpoint_folder)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model_type": "bert"}, "model_type"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "asks for code of its own (auto_map)"),
        ({"vocab_size": 10**12}, "vocab_size"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"hidden_size": 65}, "multiple of num_attention_heads"),
        ({"max_2d_position_embeddings": 1000}, "max_2d_position_embeddings"),
        ({"max_position_embeddings": 511}, "max_position_embeddings"),
        ({"hidden_act": "os.system"}, "hidden_act"),
        ({"id2label": None}, "id2label"),
        ({"id2label": {"0": "O", "2": "B-DATE"}}, "without a gap"),
        ({"label2id": {"O": 1}}, "the other way round"),
        ({"num_hidden_layers": 3}, "does not fit config.json"),
        ({"intermediate_size": 256}, "does not fit config.json"),
    ],
)
def test_a_config_that_is_no_sane_layoutlm_is_refused(
    checkpoint_folder: Path, change_config: Change, fields: dict[str, Any], expected: str
) -> None:
    change_config(**fields)
    assert expected in refusal(checkpoint_folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_config_that_is_no_json_object_is_refused(checkpoint_folder: Path, text: str) -> None:
    (checkpoint_folder / "config.json").write_text(text)
    assert "config.json" in refusal(checkpoint_folder)


def test_a_tokenizer_with_code_of_its_own_is_refused(checkpoint_folder: Path) -> None:
    (checkpoint_folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"x": "evil"}}))
    assert "tokenizer_config.json asks for code of its own" in refusal(checkpoint_folder)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda tensors: tensors[QUERY].fill_(float("nan")), "NaN or infinite"),
        (lambda tensors: tensors["classifier.bias"].fill_(float("inf")), "NaN or infinite"),
        (lambda tensors: tensors.pop(QUERY), f"{QUERY} is missing"),
        (lambda tensors: tensors.update({"backdoor": torch.zeros(1)}), "backdoor is unknown"),
        (lambda tensors: tensors.update({"classifier.bias": torch.zeros(9)}), "is [9] instead of [5]"),
    ],
)
def test_weights_that_do_not_fit_or_are_not_finite_are_refused_by_name(
    checkpoint_folder: Path, change_weights: Change, edit: Callable[[Any], Any], expected: str
) -> None:
    change_weights(edit)
    assert expected in refusal(checkpoint_folder)


def test_a_cut_off_weights_file_is_refused(checkpoint_folder: Path) -> None:
    path = checkpoint_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "not a whole safetensors file" in refusal(checkpoint_folder)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda text: text + "\n", "blank line"),
        (lambda text: text.replace("word3\n", "word3 \n"), "white space"),
        (lambda text: text.replace("word3\n", "word4\n"), "again in line"),
        (lambda text: text + "extra\n", "has 61 tokens but the model's vocab_size is 60"),
        (lambda text: text.replace("[SEP]", "[END]"), "lacks [SEP]"),
    ],
)
def test_a_vocabulary_whose_lines_are_not_the_ids_is_refused(
    checkpoint_folder: Path, edit: Callable[[str], str], expected: str
) -> None:
    path = checkpoint_folder / "vocab.txt"
    path.write_text(edit(path.read_text()))
    assert expected in refusal(checkpoint_folder)


def test_a_vocabulary_that_is_not_text_is_refused(checkpoint_folder: Path) -> None:
    (checkpoint_folder / "vocab.txt").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(checkpoint_folder)


def write_manifest(folder: Path) -> None:
    names = tuple(name for name in (*MODEL_FILES, "optimizer.pt") if (folder / name).exists())
    manifest = Manifest(job_id="j", attempt=1, step=1, epoch=1.0, files=describe_files(folder, names))
    (folder / "manifest.json").write_text(manifest.model_dump_json())


def test_files_are_held_to_the_manifest_of_the_training(checkpoint_folder: Path) -> None:
    write_manifest(checkpoint_folder)
    (checkpoint_folder / "optimizer.pt").unlink()  # not fetched, so it is not asked for
    load_checkpoint(checkpoint_folder)
    path = checkpoint_folder / "vocab.txt"
    path.write_text(path.read_text().replace("word3\n", "wurd3\n"))
    assert "vocab.txt is not what manifest.json describes" in refusal(checkpoint_folder)


def test_a_manifest_that_cannot_be_read_is_refused(checkpoint_folder: Path) -> None:
    (checkpoint_folder / "manifest.json").write_text("{}")
    assert "manifest.json cannot be read" in refusal(checkpoint_folder)
