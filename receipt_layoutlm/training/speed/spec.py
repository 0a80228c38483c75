"""The rungs of the ladder, from how a LayoutLM is often trained to how it is trained here."""

from __future__ import annotations

from dataclasses import dataclass

from messages.fields import Message


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to train.

    Attributes:
        says: what it does, for people.
        padded: whether each window is padded to 512 tokens, else to the longest of its batch.
        checkpointing: whether activations are computed again.
        fast_arithmetic: whether in bf16 where the machine has it.
        ours: whether in batches of like length and with this package's modules.
    """

    says: str
    padded: bool = False
    checkpointing: bool = False
    fast_arithmetic: bool = False
    ours: bool = False


RUNGS = {
    "naive": Rung("float32, padded to 512, gradient checkpointing", padded=True, checkpointing=True),
    "dynamic": Rung("float32, padded to the longest of a batch"),
    "bf16": Rung("as before, in bf16 where there are units for it", fast_arithmetic=True),
    "ours": Rung("what this package does by default", fast_arithmetic=True, ours=True),
}


class RungTask(Message):
    """What to measure.

    Attributes:
        rung: its name.
        model: as the hyperparameter pretrained_model.
        data: SROIE's receipts, one JSON object a line; synthetic ones when None.
        windows: of a batch.
        tokens: the least and the most that a window may have, special ones included.
        steps: timed ones; one more comes before.
        parity_steps: without dropout, on the same windows in each rung.
        seed: of weights and order.
    """

    rung: str
    model: str = "scratch:base"
    data: str | None = None
    windows: int = 16
    tokens: tuple[int, int] = (0, 512)
    steps: int = 4
    parity_steps: int = 0
    seed: int = 0


class Measured(Message):
    """What was found.

    Attributes:
        tokens_per_second: real ones, without padding.
        tokens_per_cpu_second: of all threads; says more where others use the machine, too.
        padding: share of the tokens that were computed.
        utilisation: operations of the model a second, as a share of `peak_flops`.
        peak_flops: of the machine, in the best product of matrices that was seen.
        memory_bytes: the most that the process held, or the accelerator's part of it.
        losses: of the parity steps, in nats.
    """

    rung: str
    arithmetic: str
    device: str
    tokens_per_second: float
    tokens_per_cpu_second: float
    padding: float
    utilisation: float
    peak_flops: float
    memory_bytes: int
    losses: tuple[float, ...] = ()
