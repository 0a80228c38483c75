"""Whole runs under each option of speed: they learn, they end where they should, and they recover."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LayoutLMForTokenClassification

from receipt_layoutlm.checkpoint import save_tokenizer
from receipt_layoutlm.errors import Diverged
from receipt_layoutlm.model_folder import download_model, load_model, open_checkpoint
from receipt_layoutlm.training.run import train
from receipt_layoutlm.training.scratch import SIZES, build_model, train_tokenizer
from receipt_layoutlm.training.trainer import ReceiptTrainer
from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.s3_store import S3Store
from tests.support.small_receipts import make_receipts
from tests.support.small_trainings import MakeTask, StopAfter, read_json

QUIET = Reporter(None)
GO_ON = StopRequested()


def weights_at(storage: S3Store, run_uri: str, step: int, folder: Path) -> dict[str, torch.Tensor]:
    download_model(storage, f"{run_uri}checkpoints/checkpoint-{step}/", folder)
    return dict(load_model(open_checkpoint(folder)).state_dict())


def losses_of(storage: S3Store, run_uri: str) -> list[float]:
    return [epoch["train_loss"] for epoch in read_json(storage, f"{run_uri}run.json")["epoch_metrics"]]


def steps_of(storage: S3Store, run_uri: str) -> list[int]:
    return [epoch["global_step"] for epoch in read_json(storage, f"{run_uri}run.json")["epoch_metrics"]]


def test_gradient_checkpointing_trains_the_encoder_to_the_same_weights(
    make_task: MakeTask, storage: S3Store, tmp_path: Path
) -> None:
    kept = make_task("kept", precision="float32")
    again = make_task("again", precision="float32", gradient_checkpointing="on")
    for task in (kept, again):
        train(task, QUIET, GO_ON)
    one = weights_at(storage, kept.run_s3_uri, 5, tmp_path / "kept")
    two = weights_at(storage, again.run_s3_uri, 5, tmp_path / "again")
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)
    later = weights_at(storage, again.run_s3_uri, 10, tmp_path / "later")
    layers = [name for name in two if ".encoder.layer." in name and name.endswith("weight")]
    assert all(not torch.equal(two[name], later[name]) for name in layers)


def test_a_token_budget_sets_the_number_of_steps(make_task: MakeTask, storage: S3Store) -> None:
    # 18 windows of 24 to 32 tokens: 96 tokens are three or four of them.
    task = make_task("budget", epochs=2, batch_tokens=96)
    train(task, QUIET, GO_ON)
    first, second = steps_of(storage, task.run_s3_uri)
    assert second == 2 * first
    assert first > 18 / 4


def test_an_automatic_batch_is_kept_when_the_run_goes_on(
    make_task: MakeTask, storage: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = "receipt_layoutlm.training.batch_plan.free_bytes"
    monkeypatch.setattr(plan, lambda _: 0)  # room for one window only
    with pytest.raises(Stopped):
        train(make_task("auto", batch_size="auto"), QUIET, StopAfter(6))
    monkeypatch.setattr(plan, lambda _: 2**40)
    task = make_task("auto", batch_size="auto", attempt=2)
    train(task, QUIET, GO_ON)
    assert steps_of(storage, task.run_s3_uri) == [3, 6]  # 18 windows, 8 to a step


def test_batches_that_another_process_prepares_are_the_same(make_task: MakeTask, storage: S3Store) -> None:
    losses = []
    for workers in (0, 1):
        task = make_task(f"{workers}-workers", dataloader_workers=workers, augment_mask_tokens=0.3)
        train(task, QUIET, GO_ON)
        losses.append(losses_of(storage, task.run_s3_uri))
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[0][1]


def test_packed_windows_train_as_padded_ones(make_task: MakeTask, storage: S3Store, tmp_path: Path) -> None:
    models = {}
    for name, packing in (("padded", False), ("packed", True)):
        task = make_task(
            name, epochs=1, precision="float32", packing=packing, pretrained_model=str(_model(tmp_path))
        )
        train(task, QUIET, GO_ON)
        models[name] = losses_of(storage, task.run_s3_uri)
    assert models["packed"] == pytest.approx(models["padded"], rel=1e-4)


def _model(tmp_path: Path) -> Path:
    """A model without dropout."""
    folder = tmp_path / "without-dropout"
    if not folder.is_dir():
        tokenizer = train_tokenizer(
            {word.text for receipt in make_receipts(20) for word in receipt.words}, SIZES["tiny"]
        )
        model = build_model(SIZES["tiny"], len(tokenizer), 0, num_labels=45)
        model.config.hidden_dropout_prob = 0.0
        model.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)
    return folder


def test_a_shortage_of_memory_halves_the_batches_once_and_the_run_ends_as_it_would_have(
    make_task: MakeTask,
    storage: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options: dict[str, Any] = {"epochs": 1, "precision": "float32", "pretrained_model": str(_model(tmp_path))}
    roomy = make_task("roomy", **options)
    train(roomy, QUIET, GO_ON)
    forward = LayoutLMForTokenClassification.forward
    sizes = []

    def forward_in_little_memory(model: Any, **batch: Any) -> Any:
        if model.training:
            sizes.append(len(batch["input_ids"]))
            if sizes[-1] > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(model, **batch)

    monkeypatch.setattr(LayoutLMForTokenClassification, "forward", forward_in_little_memory)
    narrow = make_task("narrow", **options)
    with caplog.at_level(logging.WARNING):
        train(narrow, QUIET, GO_ON)
    assert "out of memory at step 1" in caplog.text
    assert sizes[0] == 4
    assert set(sizes[1:]) <= {1, 2}
    assert losses_of(storage, narrow.run_s3_uri) == pytest.approx(
        losses_of(storage, roomy.run_s3_uri), rel=1e-4
    )


def test_a_second_shortage_of_memory_ends_the_run(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward_without_memory(_model: Any, **_batch: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(LayoutLMForTokenClassification, "forward", forward_without_memory)
    with pytest.raises(torch.OutOfMemoryError):
        train(make_task(), QUIET, GO_ON)


def test_a_loss_that_explodes_names_step_and_receipts(
    make_task: MakeTask, storage: S3Store, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def exploding(self: ReceiptTrainer, model: Any, inputs: dict[str, Any], _items: Any) -> torch.Tensor:
        steps.append(len(inputs["input_ids"]))
        return torch.tensor(1.0 if len(steps) < 60 else 40.0)

    monkeypatch.setattr(ReceiptTrainer, "_pass", exploding)
    with pytest.raises(Diverged, match=r"The loss has grown from 1 to 40 at step 60\. Lower") as caught:
        train(make_task(epochs=4, batch_size=1, early_stopping_patience=0), QUIET, GO_ON)
    named = str(caught.value).rpartition("The batch has the receipts ")[2].rstrip(".").split(", ")
    assert len(named) == steps[-1]
    assert all("#" in key for key in named)
