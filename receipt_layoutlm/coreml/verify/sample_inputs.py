"""Inputs that the gates run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LayoutLMForTokenClassification

from messages.export_options import Shapes
from receipt_layoutlm.coreml.model import MAX_COORDINATE, PARITY_LENGTHS, make_inputs

_LEAST_PADDED = 2
_WILD_COORDINATES = (-300, 1500)


@dataclass(frozen=True, slots=True)
class SampleInput:
    """One input as a client sends it, and what it means.

    Attributes:
        name: for people.
        inputs: int32, in the order of INPUT_NAMES, [1, n] and [1, n, 4].
        real: tokens that are not padding; they come first.
        boxes: [1, real, 4], what the model has to make of the boxes.
    """

    name: str
    inputs: tuple[Tensor, ...]
    real: int
    boxes: Tensor

    @property
    def is_padded(self) -> bool:
        """Whether there is padding behind the tokens."""
        return self.real < self.inputs[0].shape[1]

    def reference(self, model: LayoutLMForTokenClassification) -> Tensor:
        """Logits [1, real, num_labels] of a torch model that is given the tokens alone."""
        ids, _, types, _ = (tensor[:, : self.real] for tensor in self.inputs)
        with torch.no_grad():
            logits: Tensor = model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                token_type_ids=types,
                bbox=self.boxes,
            ).logits
        return logits


def draw_cases(model: LayoutLMForTokenClassification, shapes: Shapes) -> tuple[SampleInput, ...]:
    """Inputs of lengths 1, 7, 128 and 512, as far as the shapes allow them, padded and not."""
    return tuple(_draw(model, shapes))


def with_other_padding(case: SampleInput) -> tuple[Tensor, ...]:
    """The case's inputs with other tokens, types and boxes where the mask is 0."""
    generator = torch.Generator().manual_seed(case.real)
    ids, mask, types, boxes = (tensor.clone() for tensor in case.inputs)
    ids[:, case.real :] = ids[:, torch.randint(case.real, (ids.shape[1] - case.real,), generator=generator)]
    types[:, case.real :] = types[:, :1]
    boxes[:, case.real :] = _draw_wild_boxes(ids.shape[1] - case.real, generator)
    return ids, mask, types, boxes


def _draw(model: LayoutLMForTokenClassification, shapes: Shapes) -> Iterator[SampleInput]:
    lengths = [length for length in PARITY_LENGTHS if shapes.accepts(length)] or list(shapes.lengths)
    for length in lengths:
        yield _case(f"{length} tokens", make_inputs(model, length, seed=length, real=length))
        if length >= _LEAST_PADDED:
            padded = make_inputs(model, length, seed=length + 1)
            real = int(padded[1].sum())
            yield _case(f"{real} tokens padded to {length}", padded)
    # One token's box can hardly be wrong in all ways; among the others, the shortest costs least.
    yield _with_wild_boxes(model, next((length for length in lengths if length >= _LEAST_PADDED), lengths[0]))


def _case(name: str, inputs: tuple[Tensor, ...]) -> SampleInput:
    real = int(inputs[1].sum())
    return SampleInput(name, inputs, real, inputs[3][:, :real])


def _with_wild_boxes(model: LayoutLMForTokenClassification, length: int) -> SampleInput:
    ids, mask, types, _ = make_inputs(model, length, seed=length + 2, real=length)
    wild = _draw_wild_boxes(length, torch.Generator().manual_seed(length))[None]
    x0, y0, x1, y1 = (wild.clamp(0, MAX_COORDINATE)[..., corner] for corner in range(4))
    tame = torch.stack([x0, y0, x1.maximum(x0), y1.maximum(y0)], dim=-1)
    return SampleInput(
        f"{length} tokens with boxes out of range and order", (ids, mask, types, wild), length, tame
    )


def _draw_wild_boxes(count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(*_WILD_COORDINATES, (count, 4), generator=generator, dtype=torch.int32)
