"""The training loss: cross-entropy over the first sub-token of each word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from receipt_layoutlm.data.examples import IGNORED

ClassWeights = Literal["none", "sqrt", "balanced"]
_POWERS = {"sqrt": 0.5, "balanced": 1.0}


def token_loss(
    outputs: Any,
    labels: Tensor,
    num_items_in_batch: Tensor | None = None,
    smoothing: float = 0.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy in nats, over the supervised tokens of all batches of one optimisation step.

    Args:
        outputs: has `logits` [batch, n, tags].
        labels: tag ids [batch, n], -100 where a token is not supervised.
        num_items_in_batch: supervised tokens of the whole step; of this batch when None.
        smoothing: probability mass spread over all tags.
        weights: of each tag [tags].
    """
    total = nn.functional.cross_entropy(
        outputs.logits.float().flatten(0, 1),
        labels.flatten(),
        weight=None if weights is None else weights.to(labels.device),
        ignore_index=IGNORED,
        label_smoothing=smoothing,
        reduction="sum",
    )
    return total / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)


def weigh_tags(counts: Sequence[int], how: ClassWeights) -> Tensor | None:
    """The weight of each tag, so that the mean weight of the training's words is 1; None weighs all alike.

    Args:
        counts: training words of each tag; a tag that no word has gets the weight of one that has one word.
        how: by the inverse of the frequency (balanced), or the root of that (sqrt).
    """
    if how == "none":
        return None
    words = torch.tensor(counts, dtype=torch.float64)
    weights = words.clamp(min=1) ** -_POWERS[how]
    return (weights * words.sum() / (weights * words).sum()).float()
