"""Predictors from a checkpoint or a bundle."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from messages.export_options import MAX_TOKENS, Shapes
from receipt_layoutlm.checkpoint import Arithmetic, build_tokenizer
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import Collator, EncodedPages, Example
from receipt_layoutlm.errors import BundleError
from receipt_layoutlm.evaluation.predict import (
    Predictions,
    average_windows,
    fastest_arithmetic,
    predict_pages,
)
from receipt_layoutlm.model_folder import load_model, open_checkpoint
from receipt_layoutlm.source_config import CONFIG, read_object
from receipt_layoutlm.tag_transitions import Transitions
from receipt_layoutlm.tokenizer_files import read_tokenizer

_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "bbox")


class Predictor(Protocol):
    """A model with the encoding that it was made for."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the tags in the order of their ids."""
        ...

    @property
    def transitions(self) -> Transitions | None:
        """Tag transitions counted in its training, where they are known."""
        ...

    @property
    def encoder(self) -> Encoder:
        """Makes what the model reads."""
        ...

    def predict(self, encoded: EncodedPages) -> Predictions:
        """Probabilities of the tags of each word."""
        ...


@dataclass(frozen=True, slots=True)
class CheckpointLabeller:
    """A checkpoint, run by torch in batches."""

    model: Any
    tags: tuple[str, ...]
    encoder: Encoder
    precision: Arithmetic
    transitions: Transitions | None = None

    @classmethod
    def open(cls, folder: Path, precision: Arithmetic | None = None) -> CheckpointLabeller:
        """Open a checkpoint's folder.

        Args:
            folder: of this package, or of another one: then with the clients' windows.
            precision: arithmetic of the forward pass; by default the fastest of this machine, which gives the
                same labels but for words that the model is undecided about.

        Raises:
            CheckpointError: the folder holds no model that can be loaded.
        """
        opened = open_checkpoint(folder)
        tokenizer, facts = opened.load_tokenizer(), opened.run
        longest = min(opened.config.max_position_embeddings, MAX_TOKENS)
        encoder = Encoder.of(tokenizer, facts, longest) if facts else Encoder.as_clients(tokenizer, longest)
        learned = facts.transitions if facts else None
        tags = tuple(opened.config.labels)
        return cls(load_model(opened), tags, encoder, precision or fastest_arithmetic(), learned)

    def predict(self, encoded: EncodedPages) -> Predictions:
        """Probabilities of the tags of each word."""
        return predict_pages(self.model, encoded, self.precision)


@dataclass(frozen=True, slots=True)
class BundleLabeller:
    """A bundle's program, which takes one window at a time, of a length that its shapes allow."""

    program: Any
    tags: tuple[str, ...]
    encoder: Encoder
    shapes: Shapes
    transitions: Transitions | None = None

    @classmethod
    def open(cls, folder: Path) -> BundleLabeller:
        """Open a bundle's folder: with CoreML on a Mac, with the reference evaluator elsewhere.

        Raises:
            BundleError: it is not what clients expect of a bundle.
        """
        # Here, because loading coremltools takes seconds that a checkpoint does not need.
        from receipt_layoutlm.coreml.bundle import (  # noqa: PLC0415
            LABEL_MAP,
            PACKAGE,
            TRANSITION_SCORES,
            check_clients_part,
        )
        from receipt_layoutlm.coreml.evaluator import load_on_mac, load_program  # noqa: PLC0415

        shapes = check_clients_part(folder).shapes
        load = load_on_mac if sys.platform == "darwin" else load_program
        label_map = json.loads((folder / LABEL_MAP).read_bytes())
        learned = label_map.get(TRANSITION_SCORES)
        vocab_size = read_object(folder / CONFIG, BundleError)["vocab_size"]
        files = read_tokenizer(folder, vocab_size, BundleError)
        tokenizer = build_tokenizer(list(files.vocabulary), lowercase=files.lowercase)
        encoder = Encoder.as_clients(tokenizer, shapes.longest)
        transitions = learned and Transitions.model_validate(learned)
        program, tags = load(folder / PACKAGE), tuple(label_map["labels"])
        return cls(program, tags, encoder, shapes, transitions)

    def predict(self, encoded: EncodedPages) -> Predictions:
        """Probabilities of the tags of each word."""
        collate = Collator(encoded.pad_token_id)

        def forward(batch: Sequence[Example]) -> torch.Tensor:
            inputs = collate(batch, length=self.shapes.fit(len(batch[0].input_ids)))
            logits = self.program.predict(*(inputs[name].int() for name in _INPUTS))
            return torch.as_tensor(logits)

        return average_windows(forward, encoded, len(self.tags), [[example] for example in encoded.examples])
