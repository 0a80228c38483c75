"""The kernel of attention, and attention that is blind across the windows of a packed row.

Measured on one AMX core, bf16, 16 windows of 208 tokens, 12 heads, forward and backward: torch's fused kernel
102 ms, 218 ms with dropout (it then falls back to single operations in float32); products of matrices with
the dropout of this package 71 and 82 ms. So `auto` takes those on a CPU. On CUDA the fused kernel needs no
memory for the scores, and `auto` takes it. A model that is evaluated always takes the fused one, as whoever
loads the checkpoint does, so that its scores are the same.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from receipt_layoutlm.training.speed.dropout import draw_mask

Attention = Literal["auto", "eager", "sdpa"]

MATRICES, FUSED = "receipt_matrices", "receipt_fused"
_BY_DEVICE = {"cpu": MATRICES}
_BY_OPTION = {"eager": MATRICES, "sdpa": FUSED}


def choose_attention(model: Any, option: Attention, device: str) -> None:
    """Let the model compute attention as the option says while it trains on a type of device."""
    AttentionInterface.register(MATRICES, _by_matrices)
    AttentionInterface.register(FUSED, _fused)
    model.set_attn_implementation(_BY_OPTION.get(option) or _BY_DEVICE.get(device, FUSED))


def block_mask(segments: Tensor, dtype: torch.dtype) -> Tensor:
    """The additive mask of packed windows, [rows, 1, n, n]: 0 within a window, else the least number.

    Args:
        segments: each token's window within its row [rows, n]; 0 is padding, which attends only to itself.
        dtype: of the scores.
    """
    same = segments.unsqueeze(1).unsqueeze(3) == segments.unsqueeze(1).unsqueeze(2)
    return torch.zeros(same.shape, dtype=dtype, device=same.device).masked_fill_(
        ~same, torch.finfo(dtype).min
    )


def _by_matrices(  # noqa: PLR0913, PLR0917 - the interface of transformers
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    blocks: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    if not module.training:
        return _fused(module, query, key, value, attention_mask, scaling=scaling, blocks=blocks, **options)
    mask = attention_mask if blocks is None else blocks
    scores = torch.matmul(query * scaling, key.transpose(2, 3))
    if mask is not None:
        scores = scores + mask.to(scores.dtype)
    shares = scores.softmax(-1).to(value.dtype)
    if dropout:
        shares = shares * draw_mask(shares, dropout)
    return torch.matmul(shares, value).transpose(1, 2).contiguous(), None


def _fused(  # noqa: PLR0913, PLR0917 - the interface of transformers
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    blocks: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    mask = attention_mask if blocks is None else blocks
    output: Tensor = sdpa_attention_forward(
        module, query, key, value, mask, scaling=scaling, dropout=dropout, **options
    )[0]
    return output, None
