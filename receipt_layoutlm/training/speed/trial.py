"""Tries on an accelerator how many windows fit: nobody else knows what its kernels need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from receipt_layoutlm.data.examples import Collator, Example
from receipt_layoutlm.training.speed.memory import is_out_of_memory

_MOMENT_BYTES = 8  # of a parameter, in AdamW


def try_batches(
    model: Any, longest: Example, pad_token_id: int, device: torch.device, dtype: torch.dtype
) -> Callable[[int], bool]:
    """Whether a training step with so many windows fits beside the optimizer's moments.

    Random numbers are drawn as if nothing had been tried.

    Args:
        model: moved to the device, and left without gradients.
        longest: the window that a batch is made of.
        pad_token_id: of its tokenizer.
        device: an accelerator.
        dtype: arithmetic of the forward pass.
    """
    model.to(device)
    collate = Collator(pad_token_id)
    moments = _MOMENT_BYTES * sum(one.numel() for one in model.parameters() if one.requires_grad)

    def fits(windows: int) -> bool:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            try:
                _step(model, collate, [longest] * windows, device, dtype, moments)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                return False
            finally:
                model.zero_grad(set_to_none=True)
                if device.type == "cuda":
                    torch.cuda.empty_cache()
        return True

    return fits


def _step(  # noqa: PLR0913, PLR0917 - what a step has
    model: Any,
    collate: Collator,
    examples: Sequence[Example],
    device: torch.device,
    dtype: torch.dtype,
    reserved_bytes: int,
) -> None:
    reserve = torch.empty(reserved_bytes, dtype=torch.uint8, device=device)
    batch = {name: tensor.to(device) for name, tensor in collate(examples).items()}
    model.train()
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32):
        loss = model(**batch).loss
    loss.backward()
    del reserve
