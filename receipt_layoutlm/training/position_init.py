"""Initial weights of LayoutLM's position embeddings; a few hundred receipts are too few to learn them."""

from __future__ import annotations

import math
from typing import Any

import torch

FIXED = "fixed_positions"
"""Key of the model's configuration: its tables of positions are not trained."""

_PAIRS = 8
# Channels of the hidden state in which each table begins, and how many pairs of sine and cosine it has there.
_POSITION, _Y, _X, _WIDTH, _HEIGHT = (0, _PAIRS), (16, _PAIRS), (32, _PAIRS), (48, 4), (56, 4)
_PLACE_CHANNELS = 64
# Tokens: 3 to 112 apart; coordinates: 40 to 1400 of the 1000 that a receipt is high.
_POSITION_RATES = [2.0 * 0.6**pair for pair in range(_PAIRS)]
_BOX_RATES = [2 * math.pi / 40 * 0.6**pair for pair in range(_PAIRS)]
# What each head of a layer looks at first: the tokens around it, then its line. Further heads begin anywhere.
_TOKENS_AWAY = (-1, 1, -2, 2, -3, 3)
_TOKEN_FOCUS = 1.5
_LINE_FOCUS = 1.0


@torch.no_grad()
def init_positions(model: Any) -> None:
    """Fill the tables of positions and point the first heads of each layer, then fix the tables."""
    tables = model.layoutlm.embeddings
    amplitude = model.config.initializer_range * math.sqrt(2)
    for tokens in (tables.word_embeddings, tables.token_type_embeddings):
        tokens.weight[:, :_PLACE_CHANNELS] = 0
    _fill(tables.position_embeddings.weight, _POSITION, _POSITION_RATES, 2 * amplitude)
    # The model adds x and y of both corners, so each table gives half of what the others give.
    _fill(tables.y_position_embeddings.weight, _Y, _BOX_RATES, amplitude)
    _fill(tables.x_position_embeddings.weight, _X, _BOX_RATES, amplitude)
    _fill(tables.w_position_embeddings.weight, _WIDTH, _BOX_RATES[::2], 2 * amplitude)
    _fill(tables.h_position_embeddings.weight, _HEIGHT, _BOX_RATES[::2], 2 * amplitude)
    for layer in model.layoutlm.encoder.layer:
        _point_heads(layer.attention.self)
    model.config.update({FIXED: True})
    fix_positions(model)


def fix_positions(model: Any) -> None:
    """Take the tables of positions out of training where the model's configuration says so."""
    if not getattr(model.config, FIXED, False):
        return
    tables = model.layoutlm.embeddings
    for table in (
        tables.position_embeddings,
        tables.x_position_embeddings,
        tables.y_position_embeddings,
        tables.w_position_embeddings,
        tables.h_position_embeddings,
    ):
        table.weight.requires_grad_(False)


def _fill(table: torch.Tensor, channels: tuple[int, int], rates: list[float], amplitude: float) -> None:
    start, pairs = channels
    angles = torch.arange(table.shape[0]).unsqueeze(1) * torch.tensor(rates)
    table.zero_()
    table[:, start : start + 2 * pairs : 2] = angles.sin() * amplitude
    table[:, start + 1 : start + 2 * pairs : 2] = angles.cos() * amplitude


def _point_heads(attention: Any) -> None:
    size = attention.attention_head_size
    for head in range(min(attention.num_attention_heads, len(_TOKENS_AWAY) + 1)):
        rows = slice(head * size, head * size + 2 * _PAIRS)
        query, key = attention.query.weight[rows], attention.key.weight[rows]
        if head < len(_TOKENS_AWAY):
            _point(
                query,
                key,
                _POSITION[0],
                [rate * _TOKENS_AWAY[head] for rate in _POSITION_RATES],
                _TOKEN_FOCUS,
            )
        else:
            _point(query, key, _Y[0], [0.0] * _PAIRS, _LINE_FOCUS)


def _point(query: torch.Tensor, key: torch.Tensor, channel: int, turns: list[float], focus: float) -> None:
    """Let query . key be largest where the key's angles are the query's plus `turns` (radians)."""
    query.zero_()
    key.zero_()
    for pair, turn in enumerate(turns):
        sine, cosine = channel + 2 * pair, channel + 2 * pair + 1
        query[2 * pair, sine] = query[2 * pair + 1, cosine] = focus
        key[2 * pair, sine] = key[2 * pair + 1, cosine] = focus * math.cos(turn)
        key[2 * pair, cosine] = -focus * math.sin(turn)
        key[2 * pair + 1, sine] = focus * math.sin(turn)
