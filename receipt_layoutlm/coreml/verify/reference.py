"""The checkpoint's model with a package's own weights in it: what the package's graph has to equal."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from transformers import LayoutLMForTokenClassification

from messages.export_options import Quantize
from receipt_layoutlm.coreml.model import ExportableLayoutLM
from receipt_layoutlm.coreml.verify.match import Match

_SMALLEST = 2.0**-24
"""Of float16; coremltools keeps a constant at that rather than at 0."""


def copy_back(
    model: LayoutLMForTokenClassification, matches: Sequence[Match], quantize: Quantize
) -> LayoutLMForTokenClassification:
    """Build a model with the stored weights instead of the checkpoint's.

    The two numbers of the graph that are no parameters, the scale of attention and the epsilon of layer
    norms, become what they have to be in the package's format. All others are whole.
    """
    parameters = dict(ExportableLayoutLM(model).named_parameters())
    # The copy takes the stored weights as they are in memory, where filling one would hold them twice.
    replaced = {
        id(parameters[match.parameter]): _fill(parameters[match.parameter], match) for match in matches
    }
    copied = copy.deepcopy(model, replaced)
    if quantize is not None:
        for module in copied.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = max(_as_float16(module.eps), _SMALLEST)
        for layer in copied.layoutlm.encoder.layer:
            layer.attention.self.scaling = _as_float16(layer.attention.self.scaling)
    return copied


def _fill(parameter: nn.Parameter, match: Match) -> nn.Parameter:
    """The stored numbers; rows that a fixed length never uses, and that are not stored, stay as they are."""
    rest = parameter.detach()[len(match.value) :]
    return nn.Parameter(torch.cat([match.value, rest]) if len(rest) else match.value, requires_grad=False)


def _as_float16(number: float) -> float:
    return float(np.float16(number))
