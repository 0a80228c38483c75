"""A checkpoint metric that no evaluation could tell is refused before the training."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from receipt_layoutlm.data.examples import EncodedPages
from receipt_layoutlm.data.page_layout import PageLayout
from receipt_layoutlm.evaluation.evaluate import HeldOut
from receipt_layoutlm.training.checkpoint_metric import check_measurable, check_metric
from run_records.errors import ConfigurationError
from run_records.labels import LabelSet

LABELS = LabelSet(("DATE", "TAX"), MappingProxyType({}))


def held_out(*tags: str) -> HeldOut:
    ids = tuple(LABELS.tags.index(tag) for tag in tags)
    nothing = ("",) * len(ids)
    page = PageLayout("a", nothing, ((0, 0, 0, 0),) * len(ids), ids, tuple(range(len(ids))))
    return HeldOut(LABELS, EncodedPages((page,), (), 0))


@pytest.mark.parametrize("metric", ["f1", "loss", "accuracy", "label:TAX", "macro:DATE,TAX"])
def test_metrics_over_what_the_run_learns_are_taken(metric: str) -> None:
    check_metric(metric, LABELS)
    check_measurable(metric, held_out("O", "B-TAX"))


@pytest.mark.parametrize(
    ("metric", "named"), [("label:TIP", "TIP"), ("macro:DATE,TIP,COUPON", "TIP, COUPON")]
)
def test_a_metric_over_a_label_that_the_run_does_not_learn_is_refused_by_name(
    metric: str, named: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"names {named}, which the run does not learn"):
        check_metric(metric, LABELS)


def test_a_label_that_no_held_out_receipt_has_cannot_choose_a_checkpoint() -> None:
    with pytest.raises(ConfigurationError, match="None of the 1 validation receipts has a TAX"):
        check_measurable("label:TAX", held_out("O", "B-DATE", "I-DATE"))
    check_measurable("macro:DATE,TAX", held_out("O", "B-DATE"))
    check_measurable("f1", held_out("O"))
