"""An embedding restricted to the rows that training uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_ABSENT = -1


class SubsetEmbedding(nn.Embedding):
    """A table of which some rows are trained; looks up and saves like the whole one.

    Args:
        table: the whole one [rows, width].
        rows: the numbers of those that are trained, in ascending order.
    """

    def __init__(self, table: nn.Embedding, rows: Tensor) -> None:
        padding = None if table.padding_idx is None else _find(rows, table.padding_idx)
        super().__init__(len(rows), table.embedding_dim, padding, _weight=table.weight.detach()[rows].clone())
        self.whole: Tensor
        self.rows: Tensor
        self.places: Tensor
        self.register_buffer("whole", table.weight.detach().clone(), persistent=False)
        self.register_buffer("rows", rows, persistent=False)
        places = torch.full((table.num_embeddings,), _ABSENT).index_copy_(0, rows, torch.arange(len(rows)))
        self.register_buffer("places", places, persistent=False)
        self.register_state_dict_post_hook(_save_whole)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_load_whole)  # type: ignore[no-untyped-call]

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        """Rows of the whole table [..., width]; only the trained ones pass gradients."""
        places = self.places[input]
        trained = super().forward(places.clamp(min=0))
        return torch.where((places == _ABSENT).unsqueeze(-1), self.whole[input], trained)

    def spread(self, values: Tensor, rest: Tensor) -> Tensor:
        """A whole table: these values in the trained rows, `rest` in the others."""
        return rest.clone().index_copy_(0, self.rows, values.detach().to(rest.dtype))


def train_subset(model: Any, used: Iterable[int]) -> SubsetEmbedding | None:
    """Train only the rows of the word embeddings that `used` names; None where that is all of them."""
    embeddings = model.layoutlm.embeddings
    table: nn.Embedding = embeddings.word_embeddings
    rows = torch.tensor(sorted({*used, *([] if table.padding_idx is None else [table.padding_idx])}))
    if len(rows) == table.num_embeddings:
        return None
    subset = SubsetEmbedding(table, rows.to(table.weight.device))
    embeddings.word_embeddings = subset
    return subset


def keep_moments_whole(optimizer: Optimizer, subset: SubsetEmbedding) -> None:
    """Let the optimizer write and read the moments of a subset as those of the whole table."""
    numbers = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    number = next(place for place, one in enumerate(numbers) if one is subset.weight)

    def convert(state: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        if number not in state["state"]:
            return state
        moments = {
            name: change(value) if value.dim() == subset.weight.dim() else value
            for name, value in state["state"][number].items()
        }
        return {**state, "state": {**state["state"], number: moments}}

    def widen(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        return convert(state, lambda moment: subset.spread(moment, torch.zeros_like(subset.whole)))

    def narrow(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        return convert(state, lambda moment: moment[subset.rows.to(moment.device)])

    optimizer.register_state_dict_post_hook(widen)
    optimizer.register_load_state_dict_pre_hook(narrow)


def _find(rows: Tensor, row: int) -> int:
    return int((rows == row).nonzero()[0, 0])


def _save_whole(module: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    assert isinstance(module, SubsetEmbedding)  # noqa: S101 - for mypy; it is registered on nothing else
    state[f"{prefix}weight"] = module.spread(module.weight, module.whole)


def _load_whole(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    assert isinstance(module, SubsetEmbedding)  # noqa: S101 - as above
    name = f"{prefix}weight"
    if name in state:
        module.whole.copy_(state[name])
        state[name] = module.whole[module.rows]
