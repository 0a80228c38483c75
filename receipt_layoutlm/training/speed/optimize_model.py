"""Applies the faster modules to a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.training.speed.attention import choose_attention
from receipt_layoutlm.training.speed.dropout import swap_dropout
from receipt_layoutlm.training.speed.linear import swap_linear
from receipt_layoutlm.training.speed.subset_embedding import SubsetEmbedding, train_subset


def optimize_model(
    model: Any, options: Hyperparameters, device: str, used_tokens: Iterable[int]
) -> SubsetEmbedding | None:
    """Exchange what is slow in training; evaluated, the model computes what it computed before.

    Args:
        model: a LayoutLM token classifier.
        options: the request.
        device: type of the device that it will train on.
        used_tokens: ids that the training examples have.

    Returns:
        The table of word embeddings where only a part of it is trained.
    """
    choose_attention(model, options.attention, device)
    if device == "cpu":
        swap_dropout(model)
        model.layoutlm.embeddings.register_forward_hook(_narrow)
        swap_linear(model.layoutlm.encoder)
    # Changed text has tokens that the data has not, and they are to be learned.
    if not options.vocabulary_subset or options.augment_digits or options.augment_characters:
        return None
    return train_subset(model, used_tokens)


def _narrow(module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
    """Begin in the arithmetic of autocast, for else what goes from layer to layer stays in float32.

    Layer norms compute in float32 whatever comes in.
    """
    if module.training and torch.is_autocast_enabled("cpu"):
        return output.to(torch.get_autocast_dtype("cpu"))
    return output
