"""Refuses a checkpoint metric that the run cannot measure."""

from __future__ import annotations

from receipt_layoutlm.evaluation.evaluate import HeldOut
from run_records.epoch_record import labels_of_metric
from run_records.errors import ConfigurationError
from run_records.labels import LabelSet


def check_metric(metric: str, labels: LabelSet) -> None:
    """Refuse a metric over labels that the run does not learn.

    Raises:
        ConfigurationError: naming them.
    """
    unknown = [name for name in labels_of_metric(metric) if name not in labels.names]
    if unknown:
        raise ConfigurationError(
            f"checkpoint_metric {metric} names {', '.join(unknown)}, which the run does not learn (it learns "
            f"{', '.join(labels.names)}). Name one of these, or change allowed_labels or the merges."
        )


def check_measurable(metric: str, held_out: HeldOut) -> None:
    """Refuse a metric over labels that no held-out receipt has: it would be 0 after every epoch.

    Raises:
        ConfigurationError: saying so.
    """
    wanted = labels_of_metric(metric)
    tags = {held_out.labels.tags[tag] for page in held_out.gold for tag in page}
    if wanted and not any(f"B-{name}" in tags for name in wanted):
        raise ConfigurationError(
            f"None of the {len(held_out.gold)} validation receipts has a {' or a '.join(wanted)}, so "
            f"checkpoint_metric {metric} would be 0 in every evaluation. Choose another metric, or a "
            "validation split that has some."
        )
