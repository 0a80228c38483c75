"""The same package run by CoreML itself, behind the evaluator's interface; only macOS can."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from receipt_layoutlm.coreml.coremltools_import import ct
from receipt_layoutlm.coreml.model import INPUT_NAMES
from run_records.errors import ConfigurationError

ComputeUnits = Literal["ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"]
COMPUTE_UNITS: tuple[ComputeUnits, ...] = ("ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE")


@dataclass(frozen=True, slots=True)
class MacProgram:
    """A package that CoreML has compiled for some compute units."""

    model: Any

    def predict(self, input_ids: Any, attention_mask: Any, token_type_ids: Any, bbox: Any) -> Tensor:
        """Arguments and result as those of `Program.predict`."""
        given = zip(INPUT_NAMES, (input_ids, attention_mask, token_type_ids, bbox), strict=True)
        inputs = {name: np.asarray(value, dtype=np.int32) for name, value in given}
        return torch.as_tensor(np.asarray(self.model.predict(inputs)["logits"], dtype=np.float32))


def load_on_mac(package: Path, compute_units: ComputeUnits = "ALL") -> MacProgram:
    """Let CoreML compile a package.

    Args:
        package: the .mlpackage folder.
        compute_units: what may run it, by coremltools' names.

    Raises:
        ConfigurationError: this host is no Mac.
    """
    if sys.platform != "darwin":
        raise ConfigurationError(
            f"CoreML runs {package.name} only on macOS. Use the evaluator here, or repeat this on a Mac."
        )
    return MacProgram(ct.models.MLModel(str(package), compute_units=ct.ComputeUnit[compute_units]))
