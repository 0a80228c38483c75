"""The benchmark's rungs; runs each in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from messages.fields import Message
from run_records.errors import ConfigurationError


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
    """The settings of one measurement.

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
    """The results of one measurement.

    Attributes:
        tokens_per_second: real ones, without padding.
        tokens_per_cpu_second: of all threads; more reliable where other programs use the machine, too.
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


_NAIVE_SHARE = 4
_MODULE = "receipt_layoutlm.training.benchmark.rung"


@dataclass(frozen=True, slots=True)
class Standing:
    """A rung over all rounds.

    Attributes:
        measured: each round's.
        times: how many times as many tokens a second as the first rung, in the medians.
        loss_gap: the largest difference to the first rung's loss in any parity step, relative to it.
    """

    measured: tuple[Measured, ...]
    times: float
    loss_gap: float

    @property
    def tokens_per_second(self) -> float:
        """The median."""
        return statistics.median(one.tokens_per_second for one in self.measured)

    @property
    def tokens_per_cpu_second(self) -> float:
        """The median."""
        return statistics.median(one.tokens_per_cpu_second for one in self.measured)


def climb(
    task: RungTask, rounds: int, say: Callable[[Measured], None] = lambda _: None
) -> dict[str, Standing]:
    """Measure every rung in every round, A B C D A B C D; the first round also compares losses.

    Args:
        task: what to measure; its rung is not looked at. The naive rung has a quarter of the steps.
        rounds: how often.
        say: told each result as it comes.

    Raises:
        NetworkError, ConfigurationError: the hub does not answer, or does not give out the model.
    """
    # A rung can only say that it failed; of the hub it is to be known how.
    from receipt_layoutlm.training.hub import fetch_from_hub, is_on_hub  # noqa: PLC0415 - loads torch

    if is_on_hub(task.model):
        fetch_from_hub(task.model)
    found: dict[str, list[Measured]] = {name: [] for name in RUNGS}
    for number in range(rounds):
        for name in RUNGS:
            steps = max(task.steps // _NAIVE_SHARE, 1) if name == "naive" else task.steps
            parity = task.parity_steps if number == 0 else 0
            one = measure_apart(
                task.model_copy(update={"rung": name, "steps": steps, "parity_steps": parity})
            )
            found[name].append(one)
            say(one)
    return compare(found)


def measure_apart(task: RungTask, environ: Mapping[str, str] | None = None) -> Measured:
    """Measure one rung in a new process.

    Raises:
        ConfigurationError: the process has failed, with what it said last.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.json"
        path.write_text(task.model_dump_json(), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - this package's own module
            [sys.executable, "-m", _MODULE, str(path)],
            capture_output=True,
            text=True,
            check=False,
            env=None if environ is None else dict(environ),
        )
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2].removesuffix(".") or f"exit code {done.returncode}"
        raise ConfigurationError(
            f"The rung {task.rung} could not be measured: {last}. Try a smaller --model."
        )
    return Measured.model_validate_json(done.stdout.strip().rpartition("\n")[2])


def compare(found: Mapping[str, Sequence[Measured]]) -> dict[str, Standing]:
    """Each rung beside the first one."""
    first = next(iter(found.values()))
    base = statistics.median(one.tokens_per_second for one in first)
    wanted = first[0].losses
    standings = {}
    for name, measured in found.items():
        speed = statistics.median(one.tokens_per_second for one in measured)
        gaps = [abs(loss / other - 1) for loss, other in zip(measured[0].losses, wanted, strict=True)]
        standings[name] = Standing(tuple(measured), speed / base, max(gaps, default=0.0))
    return standings
