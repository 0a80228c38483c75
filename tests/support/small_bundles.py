"""A small LayoutLM with random weights and its bundles, each converted once; fixtures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LayoutLMConfig, LayoutLMForTokenClassification

from messages.export_options import Quantize
from receipt_layoutlm.coreml.export import export_local

LABELS = ["O", "B-DATE", "I-DATE", "B-TAX", "I-TAX"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{number}" for number in range(55))]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint's folder that nobody may change."""
    folder = tmp_path_factory.mktemp("trained")
    config = LayoutLMConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    torch.manual_seed(7)
    model = LayoutLMForTokenClassification(config)
    # Fresh weights give nearly equal logits; larger ones make a wrong graph visible.
    tensors = {name: tensor * 3 for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "name_or_path": "/home/someone/model", "tokenizer_file": "x"})
    )
    (folder / "optimizer.pt").write_bytes(b"state that resuming needs")
    return folder


@pytest.fixture
def checkpoint_folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint for one test to spoil."""
    return Path(shutil.copytree(trained, tmp_path / "checkpoint"))


@pytest.fixture
def change_config(checkpoint_folder: Path) -> Callable[..., None]:
    """Sets fields of the copy's config.json; None removes one."""

    def change(**fields: Any) -> None:
        path = checkpoint_folder / "config.json"
        data = {**json.loads(path.read_text()), **fields}
        path.write_text(json.dumps({name: value for name, value in data.items() if value is not None}))

    return change


@pytest.fixture
def change_weights(checkpoint_folder: Path) -> Callable[[Callable[[dict[str, torch.Tensor]], Any]], None]:
    """Applies a function to the copy's tensors and saves them again."""

    def change(edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
        path = checkpoint_folder / "model.safetensors"
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        edit(tensors)
        save_file(tensors, path)

    return change


@pytest.fixture(scope="session")
def bundle_of(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Quantize], Path]:
    """The bundle of the checkpoint in a weight format, converted when first asked for."""
    folder = tmp_path_factory.mktemp("bundles")

    def convert_once(quantize: Quantize) -> Path:
        bundle = folder / str(quantize)
        return bundle if bundle.exists() else export_local(trained, bundle, quantize, run_name="a-run")

    return convert_once


@pytest.fixture
def bundle(bundle_of: Callable[[Quantize], Path], tmp_path: Path) -> Path:
    """A copy of the float16 bundle for one test to spoil."""
    return Path(shutil.copytree(bundle_of("float16"), tmp_path / "bundle"))
