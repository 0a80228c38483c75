"""The Hugging Face Trainer with this package's loss, order, evaluation and checkpoint files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, set_seed

from receipt_layoutlm.checkpoint import save_tokenizer
from receipt_layoutlm.errors import Diverged
from receipt_layoutlm.evaluation.evaluate import Evaluation, evaluate
from receipt_layoutlm.training.bucketed_trainer import BucketedTrainer
from receipt_layoutlm.training.config import RunConfig
from receipt_layoutlm.training.ema import MeanCallback, RunningMean
from receipt_layoutlm.training.loss import token_loss, weigh_tags
from receipt_layoutlm.training.prepare import Prepared
from receipt_layoutlm.training.run_state import Run
from receipt_layoutlm.training.speed.batch_memory import BatchPlan, is_out_of_memory
from receipt_layoutlm.training.speed.batches import PAGES, LengthBatches, TrainingCollator, cut_batch
from receipt_layoutlm.training.speed.loss_watch import LossWatch
from receipt_layoutlm.training.speed.optimize_model import optimize_model

log = logging.getLogger(__name__)


class ReceiptTrainer(BucketedTrainer):
    """Trains on windows and scores on whole receipts.

    Attributes:
        evaluation: what the last evaluation gave.
    """

    control: TrainerControl

    def __init__(
        self, run: Run, prepared: Prepared, callbacks: list[TrainerCallback], plan: BatchPlan
    ) -> None:
        config, options, train = run.config, run.config.hyperparameters, prepared.train
        model, tokenizer = prepared.start.model, prepared.start.tokenizer
        epoch, share = lambda: self.state.epoch, run.ranks.share
        batches = LengthBatches(
            train.lengths, plan.windows, options.batch_tokens, options.seed, epoch, share, plan.parts
        )
        arguments = config.training_arguments(len(batches), plan)
        # One device: DataParallel would count the supervised tokens of each replica apart.
        arguments._n_gpu = min(arguments.n_gpu, 1)  # noqa: SLF001
        row_tokens = options.max_seq_length if options.packing else None
        super().__init__(
            batches,
            optimize_model(model, options, arguments.device.type, train.tokens()),
            model=model,
            args=arguments,
            train_dataset=train,
            eval_dataset=list(prepared.held_out.encoded.examples),
            data_collator=TrainingCollator(tokenizer.pad_token_id, row_tokens),
            compute_loss_func=_choose_loss(config, prepared),
            callbacks=callbacks,
        )
        if run.ranks.count > 1:
            set_seed(options.seed + run.ranks.rank)  # else all would drop out the same
        self.evaluation: Evaluation | None = None
        self._mean = RunningMean(self.model, options.ema_decay) if options.ema_decay else None
        if self._mean:
            self.add_callback(MeanCallback(self._mean))
        self._run = run
        self._tokenizer = tokenizer
        self._held_out = prepared.held_out
        self._watch = LossWatch(len(config.labels.tags), arguments.warmup_steps)
        self._parts = 1

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the held-out receipts; the Trainer's own loop is not used."""
        precision, pulse = self._run.config.precision, self._run.pulse
        with self._scored_weights():
            self.evaluation = self._run.ranks.from_first(
                lambda: evaluate(
                    self.model,
                    self._held_out,
                    precision,
                    lambda done, all_: pulse.beat("evaluating", f"{done} of {all_} batches"),
                )
            )
        scores = self.evaluation.scores
        metrics = {"eval_loss": self.evaluation.loss, "eval_f1": scores.f1}
        self.control = self.callback_handler.on_evaluate(
            self.args,
            self.state,
            self.control,
            metrics,
            evaluation=self.evaluation,
            held_out=self._held_out,
        )
        return metrics

    def get_batch_samples(self, *arguments: Any, **options: Any) -> Any:
        """The batches of the next step, timed and counted."""
        self._run.meter.begin_step()
        batches, items = super().get_batch_samples(*arguments, **options)
        self._run.meter.take(batches)
        return batches, items

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """One forward and backward pass.

        Raises:
            Diverged: the loss is not a finite number, or has exploded.
        """
        pages = inputs.pop(PAGES).tolist()
        loss = self._pass(model, inputs, num_items_in_batch)
        value, step = self._run.ranks.mean(loss.item()), self.state.global_step + 1
        fault = self._watch.fault(value * self.current_gradient_accumulation_steps, step)
        if fault:
            raise Diverged(
                f"{fault} at step {step}. Lower learning_rate, raise warmup_ratio, or use precision float32. "
                f"The batch has the receipts {', '.join(self._keys_of(pages))}."
            )
        self._run.loss.total += value
        return loss

    def _pass(self, model: Any, inputs: dict[str, Any], num_items: Any) -> torch.Tensor:
        """The whole batch at once or, from the first shortage of memory on, in two halves."""
        try:
            parts = cut_batch(inputs, self._parts)
            losses = [super(ReceiptTrainer, self).training_step(model, part, num_items) for part in parts]
            return torch.stack(losses).sum()
        except (RuntimeError, MemoryError) as error:
            is_last_resort = self._parts > 1 or len(inputs["input_ids"]) == 1
            # Of several processes one alone cannot pass twice: the others would wait for it.
            if is_last_resort or self._run.ranks.count > 1 or not is_out_of_memory(error):
                raise
        # This batch's gradients are inseparable from those of the step's other batches: the step loses both.
        log.warning("out of memory at step %d: batches go in halves from here", self.state.global_step + 1)
        model.zero_grad()
        self._parts = 2
        return self._pass(model, inputs, num_items)

    def _keys_of(self, pages: Sequence[int]) -> list[str]:
        numbers = {cut.page: number for number, cut in enumerate(self.train_dataset.cuts)}
        keys: list[str] = self.train_dataset.keys_of([numbers[page] for page in pages])
        return keys

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write weights, configuration and vocabulary, without the pickle that the Trainer adds."""
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.args.output_dir)
        with self._scored_weights():
            self.accelerator.unwrap_model(self.model, keep_torch_compile=False).save_pretrained(folder)
        if self._mean:
            self._mean.save_trained(folder)
        save_tokenizer(self._tokenizer, folder)

    def _scored_weights(self) -> AbstractContextManager[None]:
        return self._mean.applied() if self._mean else nullcontext()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self._mean:
            self._mean.resume(Path(resume_from_checkpoint))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with self._run.pulse.working("saving"):
            super()._save_checkpoint(model, trial)


def _choose_loss(config: RunConfig, prepared: Prepared) -> Callable[..., torch.Tensor]:
    options = config.hyperparameters
    words = prepared.train.count_tags(len(config.labels.tags))
    return partial(
        token_loss, smoothing=options.label_smoothing, weights=weigh_tags(words, options.class_weights)
    )
