"""LayoutLM as CoreML can run it: the same modules, with a mask and boxes that are safe in float16.

transformers masks with the lowest float32, which a float16 program can only hold as minus infinity, and
infinity times zero is NaN for every token.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from transformers import LayoutLMForTokenClassification

from receipt_layoutlm.coreml.coremltools_import import quiet
from receipt_layoutlm.errors import BundleError

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids", "bbox")
MAX_TOKENS = 512
MAX_COORDINATE = 1000
PARITY_LENGTHS = (1, 7, 128, 512)
PARITY_TOLERANCE = 1e-4
_MASKED = -1e4  # exp(-1e4) is 0 in every precision, and float16 reaches to -65504
_TRACED_TOKENS = 16

Forward = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class ExportableLayoutLM(nn.Module):
    """The checkpoint's own embeddings, encoder and classifier behind the clients' four inputs."""

    def __init__(self, model: LayoutLMForTokenClassification) -> None:
        super().__init__()
        self.embeddings = model.layoutlm.embeddings
        self.encoder = model.layoutlm.encoder
        self.classifier = model.classifier

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, bbox: Tensor
    ) -> Tensor:
        """Score every token.

        Args:
            input_ids: [1, n] ids of the vocabulary.
            attention_mask: [1, n], 1 for a token and 0 for padding.
            token_type_ids: [1, n].
            bbox: [1, n, 4], x0, y0, x1, y1; brought into 0..1000 and into order.

        Returns:
            Logits [1, n, num_labels].
        """
        mask = (1.0 - attention_mask[:, None, None, :].float()) * _MASKED
        hidden = self.embeddings(input_ids=input_ids, bbox=clamp_boxes(bbox), token_type_ids=token_type_ids)
        logits: Tensor = self.classifier(self.encoder(hidden, mask).last_hidden_state)
        return logits


def clamp_boxes(bbox: Tensor) -> Tensor:
    """Bring boxes [1, n, 4] into 0..1000 with x1 >= x0 and y1 >= y0.

    Coordinates and their differences are rows of embeddings; CoreML reads another weight, or crashes, where
    torch would raise an IndexError.
    """
    inside = bbox.clamp(0, MAX_COORDINATE)
    top_left = inside[:, :, :2]
    bottom_right = torch.maximum(inside[:, :, 2:], top_left)
    return torch.cat([top_left, bottom_right], dim=-1)


def trace_model(model: LayoutLMForTokenClassification) -> torch.jit.ScriptModule:
    """Record the graph of the exportable model, without training's dropout and without gradients."""
    example = make_inputs(model, _TRACED_TOKENS, seed=0)
    with quiet(), warnings.catch_warnings(), torch.no_grad():
        # With a mask there is no other branch, whatever the length.
        warnings.filterwarnings("ignore", category=TracerWarning, module=r".*\.sdpa_attention")
        traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            ExportableLayoutLM(model).eval(), example, check_trace=False
        )
    return traced


def check_parity(candidate: Forward, model: LayoutLMForTokenClassification) -> float:
    """Compare a candidate's logits with the checkpoint's own in float32, at the tokens that are not padding.

    Returns:
        The largest absolute difference over all lengths of PARITY_LENGTHS.

    Raises:
        BundleError: it is above PARITY_TOLERANCE or not a number; the message has each length's number.
    """
    differences = {length: _difference(candidate, model, length) for length in PARITY_LENGTHS}
    if not all(difference <= PARITY_TOLERANCE for difference in differences.values()):
        numbers = ", ".join(
            f"{difference:.2e} at {length} tokens" for length, difference in differences.items()
        )
        raise BundleError(
            f"The graph to convert gives other logits than the checkpoint: {numbers}; allowed are "
            f"{PARITY_TOLERANCE:.0e}. Run the tests against the installed versions of torch and transformers."
        )
    return max(differences.values())


def make_inputs(
    model: LayoutLMForTokenClassification, length: int, seed: int, real: int | None = None
) -> tuple[Tensor, ...]:
    """Draw valid int32 inputs in the order of INPUT_NAMES.

    Args:
        model: whose vocabulary and types are drawn from.
        length: tokens, padding included.
        seed: of the draw.
        real: tokens before the padding; without it, the last third is padding.
    """
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    real = length - length // 3 if real is None else real

    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator, dtype=torch.int32)

    ids, types = draw(config.vocab_size, 1, length), draw(config.type_vocab_size, 1, length)
    corners = draw(MAX_COORDINATE + 1, 1, length, 2, 2).sort(dim=2).values
    mask = torch.ones(1, length, dtype=torch.int32)
    ids[:, real:], types[:, real:], corners[:, real:], mask[:, real:] = config.pad_token_id or 0, 0, 0, 0
    return ids, mask, types, corners.flatten(2)


def _difference(candidate: Forward, model: LayoutLMForTokenClassification, length: int) -> float:
    ids, mask, types, boxes = make_inputs(model, length, seed=length)
    with torch.no_grad():
        wanted = model(input_ids=ids, attention_mask=mask, token_type_ids=types, bbox=boxes).logits
        got = candidate(ids, mask, types, boxes)
    if got.shape != wanted.shape:
        return float("inf")
    return float((got - wanted)[mask.bool()].abs().max())
