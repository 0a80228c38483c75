"""A Hugging Face Trainer with length-bucketed batches and a subset embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import DataLoader
from transformers import Trainer

from receipt_layoutlm.training.distributed import save_random_state
from receipt_layoutlm.training.speed.batches import LengthBatches
from receipt_layoutlm.training.speed.loader_workers import PipedCollator, startable_workers
from receipt_layoutlm.training.speed.subset_embedding import SubsetEmbedding, keep_moments_whole


class BucketedTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped here
    """Trains on batches of windows of like length.

    Args:
        batches: the windows of each.
        subset: the table of word embeddings, where only a part of it is trained.
        options: of the Trainer.
    """

    def __init__(self, batches: LengthBatches, subset: SubsetEmbedding | None, **options: Any) -> None:
        super().__init__(**options)
        self._batches = batches
        self._subset = subset

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The batches, in the order of the epoch."""
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=self._batches,
            collate_fn=PipedCollator(self.data_collator),
            num_workers=startable_workers(self.args.dataloader_num_workers),
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared = cast(DataLoader[Any], self.accelerator.prepare(loader))
        if self.args.world_size > 1:
            # The batches are this process's share already; sharing them once more would lose windows.
            shard = cast(BatchSamplerShard, prepared.batch_sampler)
            shard.num_processes, shard.process_index = 1, 0
        return prepared

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW, which writes and reads the moments of whole tables."""
        optimizer = super().create_optimizer(model)
        if self._subset:
            keep_moments_whole(optimizer, self._subset)
        return optimizer

    def _save_rng_state(self, output_dir: str) -> None:
        if self.args.world_size == 1:
            super()._save_rng_state(output_dir)
        elif self.args.should_save:
            save_random_state(Path(output_dir) / "rng_state.pth")
