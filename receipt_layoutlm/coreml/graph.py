"""Records a model's graph for the converter: by tracing, and by torch.export where tracing fails."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LayoutLMForTokenClassification

from messages.export_options import MAX_TOKENS
from receipt_layoutlm.coreml.model import ExportableLayoutLM, Forward, make_inputs, trace_model

log = logging.getLogger(__name__)

_EXAMPLE_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Graph:
    """A recorded graph: `source` is what the converter takes, `run` gives its logits."""

    source: Any
    run: Forward


def record_graph(model: LayoutLMForTokenClassification) -> Graph:
    """Record the graph of the exportable model for every length of 1..512."""
    try:
        traced = trace_model(model)
    except Exception as error:  # noqa: BLE001 - torch announces the end of tracing, and not how it will refuse
        log.warning("torch.jit.trace failed (%s); the graph is recorded by torch.export", error)
        return export_graph(model)
    return Graph(traced, traced)


def export_graph(model: LayoutLMForTokenClassification) -> Graph:
    """Record the graph by torch.export, which looks at Python's code instead of one run of it."""
    length = {1: torch.export.Dim("n", min=1, max=MAX_TOKENS)}
    example = make_inputs(model, _EXAMPLE_TOKENS, seed=0)
    with torch.no_grad(), warnings.catch_warnings():
        # transformers and torch announce to each other what they will rename.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        exported = torch.export.export(
            ExportableLayoutLM(model).eval(), example, dynamic_shapes=(length,) * len(example)
        )
        exported = exported.run_decompositions({})
    return Graph(exported, exported.module())
