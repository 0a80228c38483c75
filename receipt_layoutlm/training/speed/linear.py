"""Linear layers in bf16 whose weights' gradients are computed in the order that the CPU's units are fast in.

A product whose left side is a transposed view runs at half the speed. One core with AMX, 3,328 tokens, 3,072
and 768 channels: 32 ms as torch does it; 20 ms when the smaller side is copied first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class NarrowLinear(nn.Linear):
    """A linear layer that shares the weights of another one, and computes what it computes."""

    def __init__(self, linear: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.train(linear.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        """The product [..., out_features], in bf16 where training does so."""
        is_narrow = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
        if not (self.training and is_narrow):
            return super().forward(input)
        rows: Tensor = _Product.apply(  # type: ignore[no-untyped-call]
            input.bfloat16().flatten(0, -2), self.weight, self.bias
        )
        return rows.view(*input.shape[:-1], self.out_features)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        narrow = weight.bfloat16()
        ctx.save_for_backward(rows, narrow)
        return functional.linear(rows, narrow, bias.bfloat16())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows, weight = ctx.saved_tensors
        (gradient,) = gradients
        gradient = gradient.contiguous()
        return gradient @ weight, _of_weight(gradient, rows), gradient.sum(0, dtype=torch.float32)


def _of_weight(gradient: Tensor, rows: Tensor) -> Tensor:
    """The gradient of the weight [out, in] in float32, from that of the output and from the input."""
    if gradient.shape[1] <= rows.shape[1]:
        return (gradient.t().contiguous() @ rows).float()
    product = rows.t().contiguous() @ gradient
    return torch.empty(product.shape[::-1], dtype=torch.float32).copy_(product.t())


def swap_linear(layers: nn.Module) -> None:
    """Put it in place of every linear layer with a bias below a module."""
    for module in list(layers.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear and child.bias is not None:
                setattr(module, name, NarrowLinear(child))
