"""Checkpoints to convert, in S3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from receipt_layoutlm import model_folder
from receipt_layoutlm.coreml.source_checkpoint import fetch_checkpoint, load_checkpoint
from run_records.errors import CheckpointError, Forbidden
from run_records.s3_store import S3Store


def test_only_the_files_that_an_export_needs_are_downloaded(
    trained: Path, tmp_path: Path, root: str, put_folder: Callable[[Path, str], None]
) -> None:
    put_folder(trained, root + "best/")
    folder = fetch_checkpoint(S3Store({"models"}), (root + "best/").removesuffix("/"), tmp_path / "fetched")
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    load_checkpoint(folder)


def test_an_absurd_size_is_refused_before_anything_is_downloaded(
    trained: Path,
    tmp_path: Path,
    root: str,
    put_folder: Callable[[Path, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_folder(trained, root)
    monkeypatch.setattr(model_folder, "MAX_WEIGHTS_BYTES", 1000)
    with pytest.raises(CheckpointError, match=r"model.safetensors of .* more than the 1,000"):
        fetch_checkpoint(S3Store({"models"}), root, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_nothing_under_a_prefix_and_a_foreign_bucket_are_told_apart(root: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"There is nothing under s3://.*such as \.\.\./best/\."):
        fetch_checkpoint(S3Store({"models"}), root, tmp_path / "fetched")
    with pytest.raises(Forbidden, match="not allowed"):
        fetch_checkpoint(S3Store({"models"}), "s3://elsewhere/best/", tmp_path / "fetched")
