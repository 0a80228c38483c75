"""The Hugging Face Trainer with this package's loss, order, evaluation and checkpoint files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerControl

from receipt_layoutlm.checkpoint import save_tokenizer
from receipt_layoutlm.data.examples import IGNORED, Collator
from receipt_layoutlm.errors import Diverged
from receipt_layoutlm.evaluation.evaluate import Evaluation, evaluate
from receipt_layoutlm.training.callbacks import Run
from receipt_layoutlm.training.prepare import Prepared

_BUCKET_BATCHES = 8


class ReceiptTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped here
    """Trains on windows and scores on whole receipts.

    Attributes:
        evaluation: what the last evaluation gave.
    """

    control: TrainerControl

    def __init__(self, run: Run, prepared: Prepared, callbacks: list[TrainerCallback]) -> None:
        config = run.config
        arguments = config.training_arguments(len(prepared.train))
        # One device: DataParallel would count the supervised tokens of each replica apart.
        arguments._n_gpu = min(arguments.n_gpu, 1)  # noqa: SLF001
        super().__init__(
            model=prepared.start.model,
            args=arguments,
            train_dataset=list(prepared.train),
            eval_dataset=list(prepared.held_out.encoded.examples),
            data_collator=Collator(prepared.start.tokenizer.pad_token_id),
            compute_loss_func=partial(token_loss, smoothing=config.hyperparameters.label_smoothing),
            callbacks=callbacks,
        )
        self.evaluation: Evaluation | None = None
        self._run = run
        self._tokenizer = prepared.start.tokenizer
        self._held_out = prepared.held_out

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the held-out receipts; the Trainer's own loop is not used."""
        precision, pulse = self._run.config.precision, self._run.pulse
        self.evaluation = evaluate(
            self.model,
            self._held_out,
            precision,
            lambda done, all_: pulse.beat("evaluating", f"{done} of {all_} batches"),
        )
        scores = self.evaluation.scores
        metrics = {"eval_loss": self.evaluation.loss, "eval_f1": scores.f1}
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics, evaluation=self.evaluation
        )
        return metrics

    def training_step(self, *arguments: Any, **options: Any) -> torch.Tensor:
        """One forward and backward pass.

        Raises:
            Diverged: the loss is not a finite number.
        """
        loss: torch.Tensor = super().training_step(*arguments, **options)
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(
                f"The loss is {value} at step {self.state.global_step + 1}. "
                "Lower learning_rate, raise warmup_ratio, or use precision float32."
            )
        self._run.loss.total += value
        return loss

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write weights, configuration and vocabulary, without the pickle that the Trainer adds."""
        folder = Path(output_dir or self.args.output_dir)
        self.accelerator.unwrap_model(self.model, keep_torch_compile=False).save_pretrained(folder)
        save_tokenizer(self._tokenizer, folder)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with self._run.pulse.working("saving"):
            super()._save_checkpoint(model, trial)

    def _get_train_sampler(self, _dataset: Any = None) -> Sampler[int]:
        lengths = [len(example.input_ids) for example in self.train_dataset]
        return EpochSampler(lengths, self.args.train_batch_size, self.args.seed, lambda: self.state.epoch)


class EpochSampler(Sampler[int]):
    """An order of windows that follows from seed and epoch alone, so that a resumed epoch goes on in its own.

    Windows of like length share a batch, and batches are shuffled: less padding, and no order by length.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, epoch: Callable[[], float | None]
    ) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + int(self._epoch() or 0))
        order = torch.randperm(len(self), generator=generator).tolist()
        bucket = self._batch_size * _BUCKET_BATCHES
        batches: list[list[int]] = []
        for start in range(0, len(order), bucket):
            alike = sorted(order[start : start + bucket], key=lambda index: self._lengths[index])
            batches += [alike[at : at + self._batch_size] for at in range(0, len(alike), self._batch_size)]
        # A batch that is not full has to come last: the loader cuts this sequence again by size.
        partial_batches = [batch for batch in batches if len(batch) < self._batch_size]
        full = [batch for batch in batches if len(batch) == self._batch_size]
        for index in torch.randperm(len(full), generator=generator).tolist():
            yield from full[index]
        for batch in partial_batches:
            yield from batch


def token_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None, smoothing: float = 0.0
) -> torch.Tensor:
    """Cross-entropy in nats, over the supervised tokens of all batches of one optimisation step.

    Args:
        outputs: has `logits` [batch, n, tags].
        labels: tag ids [batch, n], -100 where a token is not supervised.
        num_items_in_batch: supervised tokens of the whole step; of this batch when None.
        smoothing: probability mass spread over all tags.
    """
    total = nn.functional.cross_entropy(
        outputs.logits.float().flatten(0, 1),
        labels.flatten(),
        ignore_index=IGNORED,
        label_smoothing=smoothing,
        reduction="sum",
    )
    return total / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)
