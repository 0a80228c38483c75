"""A bundle labels as the checkpoint that it was made of, whatever lengths its program takes."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from messages.export_options import RANGE, Shapes, parse_shapes
from receipt_layoutlm.coreml.bundle import CONTRACT_NAMES
from receipt_layoutlm.coreml.export import export_local
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.errors import BundleError
from receipt_layoutlm.inference.label import label_receipts
from receipt_layoutlm.inference.predictors import BundleLabeller, CheckpointLabeller, Predictor
from receipt_layoutlm.inference.resolve import open_model
from run_records.errors import CheckpointError, ConfigurationError
from run_records.s3_store import S3Store
from tests.support.learned import LABELS

NOWHERE = S3Store([])


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_local(str(checkpoint), tmp_path_factory.mktemp("bundle") / "float16")


@pytest.fixture(scope="module")
def as_clients(checkpoint: Path) -> CheckpointLabeller:
    """The checkpoint in the clients' windows, which are a bundle's."""
    labeller = CheckpointLabeller.open(checkpoint, "float32")
    return dataclasses.replace(labeller, encoder=Encoder(labeller.encoder.tokenizer, 512, 200, 150))


def probabilities(labeller: Predictor, receipts: list[Receipt]) -> np.ndarray[Any, Any]:
    encoded = labeller.encoder.encode(lay_out_all(receipts, LABELS))
    return np.concatenate(labeller.predict(encoded).probabilities)


def test_a_bundle_off_a_mac_labels_as_its_checkpoint(
    bundle: Path, as_clients: CheckpointLabeller, unseen: list[Receipt]
) -> None:
    with open_model("bundle", str(bundle), NOWHERE) as labeller:
        assert labeller.tags == LABELS.tags
        said, wanted = probabilities(labeller, unseen[:6]), probabilities(as_clients, unseen[:6])
        np.testing.assert_allclose(said, wanted, rtol=0, atol=0.01)
        ours, theirs = label_receipts(labeller, unseen[:6]), label_receipts(as_clients, unseen[:6])
    assert [one.entities for one in ours] != []
    for one, other in zip(ours, theirs, strict=True):
        assert [(entity.label, entity.text) for entity in one.entities] == [
            (entity.label, entity.text) for entity in other.entities
        ]


def test_a_bundle_of_older_software_labels_too(bundle: Path, tmp_path: Path, unseen: list[Receipt]) -> None:
    older = tmp_path / "older"
    shutil.copytree(bundle, older)
    for path in older.iterdir():
        if path.name not in CONTRACT_NAMES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with (
        open_model("bundle", str(older), NOWHERE) as one,
        open_model("bundle", str(bundle), NOWHERE) as other,
    ):
        assert label_receipts(one, unseen[:2]) == label_receipts(other, unseen[:2])


class Recorded:
    """A torch model behind a program's interface, which notes what it is given."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.given: list[tuple[torch.Tensor, ...]] = []

    @torch.no_grad()
    def predict(self, *inputs: torch.Tensor) -> Any:
        self.given.append(inputs)
        ids, mask, types, boxes = inputs
        return self._model(
            input_ids=ids, attention_mask=mask, token_type_ids=types, bbox=boxes
        ).logits.numpy()


@pytest.mark.parametrize(
    "shapes", [RANGE, parse_shapes("fixed:128"), parse_shapes("enum:64,96,512")], ids=str
)
def test_a_program_is_given_one_window_at_a_time_in_a_length_that_it_takes(
    as_clients: CheckpointLabeller, unseen: list[Receipt], shapes: Shapes
) -> None:
    program = Recorded(as_clients.model)
    encoder = Encoder(as_clients.encoder.tokenizer, shapes.longest, 200, 150)
    labeller = BundleLabeller(program, as_clients.tags, encoder, shapes)
    wanted = probabilities(dataclasses.replace(as_clients, encoder=encoder), unseen)
    np.testing.assert_allclose(probabilities(labeller, unseen), wanted, rtol=0, atol=1e-5)
    padded = 0
    for ids, mask, types, boxes in program.given:
        assert shapes.accepts(ids.shape[1])
        assert ids.shape == mask.shape == types.shape == (1, ids.shape[1])
        assert boxes.shape == (1, ids.shape[1], 4)
        assert {tensor.dtype for tensor in (ids, mask, types, boxes)} == {torch.int32}
        tokens = int(mask.sum())
        assert not ids[0, tokens:].any()
        assert not boxes[0, tokens:].any()
        padded += ids.shape[1] > tokens
    assert bool(padded) == (shapes.kind != "range")


def test_a_bundle_that_was_changed_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no bundle"), open_model("bundle", "gone", NOWHERE):
        pass
    (tmp_path / "vocab.txt").write_text("[PAD]\n")
    with pytest.raises(BundleError), open_model("bundle", str(tmp_path), NOWHERE):
        pass


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(CheckpointError, match="There is nothing under"),
        open_model("checkpoint", str(tmp_path), NOWHERE),
    ):
        pass
