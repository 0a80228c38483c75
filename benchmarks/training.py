"""Training a base-size model on real receipts: this package against the usual ways, interleaved."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import print_row
from receipt_layoutlm.training.benchmark.ladder import RUNGS, RungTask, Standing, climb, measure_apart

SROIE = Path(__file__).parent.parent.parent / "shared" / "data" / "sroie" / "train.jsonl"
ROUNDS = 2
STEPS = 6
PARITY_STEPS = 5
OVER_NAIVE = 12
OVER_PLAIN = 1.6
MOST_PADDING = 0.05
LOSS_NOISE = 1.5
MOST_MEMORY = 6e9


def measure() -> None:
    """The ladder of `layoutlm-cli bench train` with its limits, and the memory of one size of batch."""
    task = RungTask(rung="", data=str(SROIE), steps=STEPS, parity_steps=PARITY_STEPS)
    standings = climb(task, ROUNDS)
    for name, standing in standings.items():
        _print_rung(name, standing)
    naive, plain, ours = standings["naive"], standings["bf16"], standings["ours"]
    for what, one, limit in (("naive", naive, OVER_NAIVE), ("bf16", plain, OVER_PLAIN)):
        cpu = ours.tokens_per_cpu_second / one.tokens_per_cpu_second
        print_row(
            f"training, ours against {what}",
            f"{ours.tokens_per_second / one.tokens_per_second:.2f} times; by processor time {cpu:.2f}",
            f"{limit} times",
        )
    padding = max(one.padding for one in ours.measured)
    print_row("training, padding of ours", f"{padding:.1%}", f"{MOST_PADDING:.0%}")
    print_row(
        f"training, loss against float32 in {PARITY_STEPS} steps without dropout",
        f"ours {ours.loss_gap:.2%} off, stock bf16 {plain.loss_gap:.2%}",
        f"{LOSS_NOISE} times stock bf16",
    )
    alike = measure_apart(task.model_copy(update={"rung": "ours", "tokens": (201, 208), "parity_steps": 0}))
    print_row(
        "training, memory of 16 windows of 208 tokens",
        f"{alike.memory_bytes / 1e9:.1f} GB",
        f"{MOST_MEMORY / 1e9:.0f} GB",
    )


def _print_rung(name: str, standing: Standing) -> None:
    rates = ", ".join(f"{one.tokens_per_second:.0f}" for one in standing.measured)
    best = max(one.utilisation for one in standing.measured)
    memory = max(one.memory_bytes for one in standing.measured) / 1e9
    first = standing.measured[0]
    print_row(
        f"training base size, {name}: {RUNGS[name].says} ({first.arithmetic}, {first.device})",
        f"{rates} tokens a second, {standing.tokens_per_cpu_second:.0f} a core second; padding "
        f"{first.padding:.1%}; {best:.0%} of the peak; {memory:.1f} GB",
    )
