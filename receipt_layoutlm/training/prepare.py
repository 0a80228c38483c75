"""Prepares the Trainer's inputs from receipts: split, initial model, encoded windows, their counts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from receipt_layoutlm.data.augment import Augmentation, EntitySwaps
from receipt_layoutlm.data.dataset_hash import count_labels
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import drop_empty_windows, outside_ratio
from receipt_layoutlm.data.merchants import seen_merchants
from receipt_layoutlm.data.page_layout import PageLayout, lay_out_all
from receipt_layoutlm.data.receipt_key_lists import read_val_keys
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.split import DRAWS, Split, pin_split
from receipt_layoutlm.data.training_set import TrainingSet
from receipt_layoutlm.evaluation.evaluate import HeldOut
from receipt_layoutlm.tag_transitions import learn_transitions
from receipt_layoutlm.training.checkpoint_metric import check_measurable
from receipt_layoutlm.training.config import RunConfig
from receipt_layoutlm.training.pretrained import ModelSource, Start
from receipt_layoutlm.training.run_state import Resumed
from run_records.errors import ConfigurationError, DataError
from run_records.s3_store import S3Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The prepared data of a training.

    Attributes:
        train: examples to learn from.
        held_out: receipts to score on.
        receipts: number of receipts, training and validation.
    """

    split: Split
    start: Start
    train: TrainingSet
    held_out: HeldOut

    def counts(self) -> dict[str, float]:
        """The counts that are recorded at the start, by metric name."""
        return {
            "num_train_samples": len(self.train),
            "num_val_samples": len(self.held_out.encoded.examples),
            "o_entity_ratio_train": outside_ratio(self.train.cuts),
            "o_entity_ratio_val": outside_ratio(self.held_out.encoded.examples),
        }


def prepare(
    config: RunConfig, receipts: Sequence[Receipt], resumed: Resumed | None, storage: S3Store
) -> Prepared:
    """Split, lay out and encode receipts, and find the model to start from.

    Raises:
        DataError: the receipts cannot be split as asked, or nothing could be scored on what was drawn.
        ConfigurationError: no word carries a label of the run, or none that checkpoint_metric asks for.
    """
    split = choose_split(config, receipts, resumed, storage)
    pages = lay_out_all(split.train, config.labels)
    _check_entities(config, receipts, pages)
    _check_validation(config, split, drawn=resumed is None or not resumed.own)
    start = _source(config, resumed).load({text for page in pages for text in page.texts}, storage)
    options = config.hyperparameters
    encoder = Encoder.of(start.tokenizer, options)
    cuts = encoder.cut(pages)
    if options.o_entity_ratio is not None:
        cuts = drop_empty_windows(cuts, options.o_entity_ratio, options.seed)
    augmentation = Augmentation(options, start.tokenizer.mask_token_id, EntitySwaps(pages))
    train = TrainingSet(pages, cuts, encoder, augmentation, options.seed)
    seen = seen_merchants(split.train, split.validation)
    transitions = learn_transitions(pages, len(config.labels.tags))
    held_out = HeldOut.encode(split.validation, config.labels, encoder, seen, transitions)
    check_measurable(options.checkpoint_metric, held_out)
    return Prepared(split, start, train, held_out)


def choose_split(
    config: RunConfig, receipts: Sequence[Receipt], resumed: Resumed | None, storage: S3Store
) -> Split:
    """The split of an interrupted run where this continues one, else the pinned one, else a drawn one."""
    if resumed is not None and resumed.own:
        state = resumed.state
        split = pin_split(receipts, state.val_receipt_keys, state.val_split_source, "the interrupted run")
        return replace(split, missing=split.missing + state.val_keys_missing)
    uri = config.hyperparameters.val_keys_s3
    if uri is not None:
        return pin_split(receipts, read_val_keys(storage, uri), "persisted_val_receipt_keys", uri)
    return DRAWS[config.hyperparameters.split_by](receipts, config.hyperparameters.seed)


def _source(config: RunConfig, resumed: Resumed | None) -> ModelSource:
    options = config.hyperparameters
    # The checkpoint's own vocabulary: one built anew from today's words would give its ids other meanings.
    name = str(resumed.folder) if resumed else options.resume_from_s3 or options.pretrained_model
    return ModelSource(name, config.labels, options.seed, options.max_seq_length, config.work_dir)


def _check_validation(config: RunConfig, split: Split, *, drawn: bool) -> None:
    """Refuse a split drawn now on which every score would be 0; one that was pinned is a choice."""
    learned = config.labels.learned
    if any(learned(word.label) for receipt in split.validation for word in receipt.words):
        return
    said = (
        f"None of the {len(split.validation)} validation receipts has a word with a label of the run "
        f"({', '.join(config.labels.names)}), so every score would be 0"
    )
    if drawn and split.source == "seeded":
        raise DataError(
            f"{said}. Validate the labels of more receipts, draw others by another seed, or pin receipts "
            "that have some by val_keys_s3."
        )
    log.warning("%s. They are pinned, so the training goes on; `findings` says so, too.", said)


def _check_entities(config: RunConfig, receipts: Sequence[Receipt], pages: Sequence[PageLayout]) -> None:
    if not any(page.entity_words for page in pages):
        raise ConfigurationError(
            f"No training word carries a label of the run ({', '.join(config.labels.names)}); the receipts "
            f"have {', '.join(count_labels(receipts))}. Change allowed_labels or the merges."
        )
