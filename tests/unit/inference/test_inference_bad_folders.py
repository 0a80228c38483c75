"""Folders of models that would label wrongly: refused with one sentence, whoever opens them."""

from __future__ import annotations

import codecs
import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from layoutlm_cli.main import main
from receipt_layoutlm.checkpoint import MANIFEST, MODEL_FILES, RUN_FACTS, WEIGHTS, read_run_facts
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.evaluation.evaluate import evaluate_checkpoint
from receipt_layoutlm.inference.label import label_receipt
from receipt_layoutlm.inference.predictors import CheckpointLabeller
from receipt_layoutlm.model_folder import open_checkpoint
from receipt_layoutlm.source_config import CONFIG
from receipt_layoutlm.tokenizer_files import FAST_TOKENIZER, TOKENIZER_CONFIG, VOCABULARY
from receipt_layoutlm.training.checkpoint_store import Identity, seal
from receipt_layoutlm.training.pretrained import ModelSource
from run_records.errors import CheckpointError, ConfigurationError
from run_records.s3_store import S3Store
from tests.support.learned import LABELS

Spoil = Callable[[Path], Any]
POSITIONS = "layoutlm.embeddings.position_embeddings.weight"


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A sealed copy of the checkpoint, for one test to spoil; its manifest is not copied with it."""
    copy = Path(shutil.copytree(checkpoint, tmp_path / "best"))
    facts = read_run_facts(copy)
    assert facts is not None
    seal(copy, MODEL_FILES, facts, Identity("a-job", 1, {}))
    (copy / MANIFEST).unlink()
    return copy


def edit_json(folder: Path, name: str, **changes: Any) -> None:
    """Set fields of a document; None removes one."""
    path = folder / name
    data = {**json.loads(path.read_bytes()), **changes}
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def edit_vocabulary(folder: Path, edit: Callable[[list[str]], list[str]]) -> None:
    path = folder / VOCABULARY
    tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    path.write_text("".join(f"{token}\n" for token in edit(tokens)), encoding="utf-8")


def swap_words(tokens: list[str]) -> list[str]:
    """Another run's vocabulary of the same length: the special tokens stay, the others mean other words."""
    return [*tokens[:5], *tokens[:4:-1]]


def cut_positions(folder: Path, positions: int = 256) -> None:
    edit_json(folder, CONFIG, max_position_embeddings=positions)
    edit_weights(folder, lambda tensors: tensors.update({POSITIONS: tensors[POSITIONS][:positions].clone()}))


def forget_the_run(folder: Path) -> None:
    """As a checkpoint of other software, or of an older version of this one."""
    (folder / RUN_FACTS).unlink()


def name_no_labels(folder: Path) -> None:
    forget_the_run(folder)
    names = [f"LABEL_{number}" for number in range(len(LABELS.tags))]
    edit_json(
        folder,
        CONFIG,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )


def save_with_transformers(folder: Path, *, lowercase: bool = True) -> None:
    """What transformers 5 leaves of a tokenizer: tokenizer.json, and no vocab.txt."""
    opened = open_checkpoint(folder)
    files = dataclasses.replace(opened.tokenizer_files, settings={"do_lower_case": lowercase})
    dataclasses.replace(opened, tokenizer_files=files).load_tokenizer().save_pretrained(folder)
    (folder / VOCABULARY).unlink()
    assert (folder / FAST_TOKENIZER).exists()


def change_fast_vocabulary(folder: Path) -> None:
    forget_the_run(folder)
    save_with_transformers(folder)
    data = json.loads((folder / FAST_TOKENIZER).read_bytes())
    ids = data["model"]["vocab"]
    one, two = sorted(ids, key=ids.__getitem__)[10:12]
    ids[one], ids[two] = ids[two], ids[one]
    (folder / FAST_TOKENIZER).write_text(json.dumps(data))


def both_vocabularies_that_differ(folder: Path) -> None:
    before = (folder / VOCABULARY).read_bytes()
    change_fast_vocabulary(folder)
    (folder / VOCABULARY).write_bytes(before)


BAD_FOR_ALL: dict[str, tuple[Spoil, str]] = {
    "another run's vocabulary": (
        lambda folder: edit_vocabulary(folder, swap_words),
        "The vocabulary is not the one that a-run was trained with",
    ),
    "two lines of the vocabulary exchanged": (
        lambda folder: edit_vocabulary(
            folder, lambda tokens: [*tokens[:60], tokens[61], tokens[60], *tokens[62:]]
        ),
        "The vocabulary is not the one that a-run was trained with",
    ),
    "vocab.txt and tokenizer.json of two runs": (both_vocabularies_that_differ, "differ: token 11 is"),
    "a shorter vocabulary": (
        lambda folder: edit_vocabulary(folder, lambda tokens: tokens[:-1]),
        "tokens but the model's vocab_size is",
    ),
    "a longer vocabulary": (
        lambda folder: edit_vocabulary(folder, lambda tokens: [*tokens, "more"]),
        "tokens but the model's vocab_size is",
    ),
    "a byte-order mark": (
        lambda folder: (folder / VOCABULARY).write_bytes(
            codecs.BOM_UTF8 + (folder / VOCABULARY).read_bytes()
        ),
        "vocab.txt has a byte-order mark in line 1",
    ),
    "a vocabulary in another encoding": (
        lambda folder: (folder / VOCABULARY).write_bytes("£\n".encode("cp1252")),
        "vocab.txt is not UTF-8",
    ),
    "a tokenizer_config that is no object": (
        lambda folder: (folder / TOKENIZER_CONFIG).write_text("[1]"),
        "tokenizer_config.json must hold a JSON object, not list",
    ),
    "a tokenizer_config that is no JSON": (
        lambda folder: (folder / TOKENIZER_CONFIG).write_text("{"),
        "tokenizer_config.json is not JSON",
    ),
    "a case that is neither": (
        lambda folder: edit_json(folder, TOKENIZER_CONFIG, do_lower_case="false"),
        "do_lower_case must be true or false, not 'false'",
    ),
    "a tokenizer.json of another kind": (
        lambda folder: (folder / FAST_TOKENIZER).write_text('{"model": {"type": "BPE", "vocab": {}}}'),
        "tokenizer.json is not that of a WordPiece tokenizer",
    ),
    "no tokenizer": (lambda folder: (folder / VOCABULARY).unlink(), "tokenizer.save_pretrained(FOLDER)"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "holds no weights"),
    "truncated weights": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1000]),
        "model.safetensors is not a whole safetensors file",
    ),
    "weights without a layer": (
        lambda folder: edit_weights(
            folder, lambda tensors: tensors.pop("layoutlm.encoder.layer.1.output.dense.weight")
        ),
        "does not fit config.json",
    ),
    "weights that are no numbers": (
        lambda folder: edit_weights(
            folder, lambda tensors: tensors["layoutlm.encoder.layer.0.output.dense.bias"].fill_(float("nan"))
        ),
        "holds NaN or infinite weights",
    ),
    "a configuration of another width": (
        lambda folder: edit_json(folder, CONFIG, intermediate_size=256),
        "does not fit config.json",
    ),
    "a configuration that is no object": (
        lambda folder: (folder / CONFIG).write_text("null"),
        "config.json must hold a JSON object",
    ),
}
BAD_WITHOUT_LABELS: dict[str, tuple[Spoil, str]] = {
    "no classifier": (
        lambda folder: edit_weights(
            folder, lambda tensors: [tensors.pop(f"classifier.{name}") for name in ("weight", "bias")]
        ),
        "classifier.bias is missing; classifier.weight is missing",
    ),
    "labels without names": (name_no_labels, "the labels LABEL_0, LABEL_1, LABEL_2 are no tags"),
    "labels of another run": (
        lambda folder: edit_json(
            folder,
            CONFIG,
            id2label=dict(enumerate(["O", *LABELS.tags[:0:-1]])),
            label2id={tag: number for number, tag in enumerate(["O", *LABELS.tags[:0:-1]])},
        ),
        "config.json has other labels than a-run was trained with",
    ),
}


@pytest.fixture
def receipt_file(tmp_path: Path) -> Path:
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps({"words": [{"text": "TOTAL", "box": [0.1, 0.1, 0.3, 0.15]}]}))
    return path


def infer(
    folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[Any, str]:
    """Exit code and standard error of `layoutlm-cli infer`."""
    monkeypatch.setattr(sys, "argv", ["layoutlm-cli", "infer", str(file), "--checkpoint", str(folder)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize("name", BAD_FOR_ALL | BAD_WITHOUT_LABELS)
def test_a_folder_that_would_label_wrongly_is_refused_by_infer_and_by_an_evaluation(
    folder: Path,
    unseen: list[Receipt],
    receipt_file: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil, sentence = (BAD_FOR_ALL | BAD_WITHOUT_LABELS)[name]
    spoil(folder)
    code, said = infer(folder, receipt_file, monkeypatch, capsys)
    assert code == 65
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert sentence in said
    with pytest.raises(CheckpointError) as caught:
        evaluate_checkpoint(folder, unseen)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", BAD_FOR_ALL)
def test_no_training_starts_from_a_folder_that_would_label_wrongly(
    folder: Path, tmp_path: Path, name: str
) -> None:
    spoil, sentence = BAD_FOR_ALL[name]
    spoil(folder)
    with pytest.raises(CheckpointError) as caught:
        start_from(folder, tmp_path)
    expected = "would have random weights" if sentence == "does not fit config.json" else sentence
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", BAD_WITHOUT_LABELS.keys() - {"labels of another run"})
def test_a_training_needs_no_labels_of_the_model_that_it_starts_from(
    folder: Path, tmp_path: Path, name: str
) -> None:
    BAD_WITHOUT_LABELS[name][0](folder)
    assert start_from(folder, tmp_path).model.config.id2label == dict(enumerate(LABELS.tags))


def start_from(folder: Path, tmp_path: Path, max_tokens: int = 512) -> Any:
    return ModelSource(str(folder), LABELS, 1, max_tokens, tmp_path / "work").load(set(), S3Store(()))


def test_a_start_reads_the_weights_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LayoutLMForTokenClassification  # noqa: PLC0415

    built = []
    initialise = LayoutLMForTokenClassification.__init__

    def count(self: Any, *arguments: Any, **options: Any) -> None:
        built.append(self)
        initialise(self, *arguments, **options)

    monkeypatch.setattr(LayoutLMForTokenClassification, "__init__", count)
    start = start_from(folder, tmp_path)
    assert built == [start.model]
    # The tags are the same, so the classifier is kept.
    learned = load_file(folder / WEIGHTS)["classifier.weight"]
    assert torch.equal(start.model.classifier.weight, learned)


def test_a_checkpoint_that_transformers_saved_is_read_from_its_tokenizer_json(
    folder: Path, unseen: list[Receipt]
) -> None:
    before = label_receipt(CheckpointLabeller.open(folder, "float32"), unseen[0])
    save_with_transformers(folder)
    assert label_receipt(CheckpointLabeller.open(folder, "float32"), unseen[0]) == before


@pytest.mark.parametrize("lowercase", [True, False])
def test_the_case_of_a_tokenizer_json_counts_where_no_settings_say_it(
    folder: Path, *, lowercase: bool
) -> None:
    save_with_transformers(folder, lowercase=lowercase)
    (folder / TOKENIZER_CONFIG).unlink()
    assert open_checkpoint(folder).tokenizer_files.lowercase is lowercase


def test_a_model_of_few_positions_reads_a_long_receipt_in_windows_that_it_has_room_for(folder: Path) -> None:
    cut_positions(folder)
    forget_the_run(folder)
    words = tuple(
        Word(line, word, "telephone", (word * 0.1, 1 - line * 0.01, word * 0.1 + 0.09, 1 - line * 0.01))
        for line in range(1, 81)
        for word in range(8)
    )
    labeller = CheckpointLabeller.open(folder, "float32")
    assert len(label_receipt(labeller, Receipt("a", 1, words)).words) == 640


def test_a_training_of_longer_examples_than_the_model_has_positions_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    cut_positions(folder)
    with pytest.raises(ConfigurationError, match="Pass max_seq_length 256 at most"):
        start_from(folder, tmp_path)
    assert start_from(folder, tmp_path, 256).model.config.max_position_embeddings == 256
