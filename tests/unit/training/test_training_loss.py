"""The loss acts as each option says, and the mean of the weights is what is scored and kept."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from receipt_layoutlm.data.examples import IGNORED
from receipt_layoutlm.training.ema import TRAINED_WEIGHTS, RunningMean
from receipt_layoutlm.training.loss import token_loss, weigh_tags

LOGITS = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]]])
LABELS = torch.tensor([[0, 2, IGNORED]])


def loss(**options: object) -> float:
    return float(token_loss(SimpleNamespace(logits=LOGITS), LABELS, **options))  # type: ignore[arg-type]


def by_hand(weights: tuple[float, float, float] = (1, 1, 1), smoothing: float = 0.0) -> float:
    total = 0.0
    for row, tag in ((LOGITS[0, 0], 0), (LOGITS[0, 1], 2)):
        log = row.log_softmax(-1).tolist()
        total -= (1 - smoothing) * weights[tag] * log[tag]
        total -= smoothing / 3 * sum(weight * one for weight, one in zip(weights, log, strict=True))
    return total / 2


def test_unsupervised_tokens_count_neither_above_nor_below() -> None:
    assert loss() == pytest.approx(by_hand())
    assert loss(num_items_in_batch=torch.tensor(4)) == pytest.approx(by_hand() / 2)


def test_label_smoothing_changes_the_loss_as_defined() -> None:
    assert loss(smoothing=0.3) == pytest.approx(by_hand(smoothing=0.3))
    assert loss(smoothing=0.3) != pytest.approx(loss())


def test_class_weights_weigh_each_word_by_its_tag() -> None:
    weights = torch.tensor([0.5, 1.0, 2.0])
    assert loss(weights=weights) == pytest.approx(by_hand((0.5, 1.0, 2.0)))


@pytest.mark.parametrize(("how", "ratio"), [("balanced", 90.0), ("sqrt", math.sqrt(90))])
def test_rare_tags_weigh_more_and_the_mean_word_weighs_one(how: str, ratio: float) -> None:
    counts = [900, 10, 0]
    weights = weigh_tags(counts, how)  # type: ignore[arg-type]
    assert weights is not None
    assert float(weights[1] / weights[0]) == pytest.approx(ratio)
    assert float((weights * torch.tensor(counts)).sum()) / sum(counts) == pytest.approx(1)
    assert torch.isfinite(weights).all()
    assert weigh_tags(counts, "none") is None


def model(value: float) -> torch.nn.Module:
    made = torch.nn.Linear(2, 1)
    made.bias.requires_grad_(False)
    torch.nn.init.constant_(made.weight, value)
    return made


def first(net: torch.nn.Module) -> float:
    return float(net.get_parameter("weight").detach()[0, 0])


def test_the_mean_follows_the_weights_and_is_there_only_inside_its_block() -> None:
    net = model(0.0)
    mean = RunningMean(net, 0.9)
    mean.update(1)
    for step in range(2, 60):
        torch.nn.init.constant_(net.get_parameter("weight"), float(step))
        mean.update(step)
    with mean.applied():
        inside = first(net)
    assert 45 < inside < 55, "about nine steps behind"
    assert first(net) == 59


def test_early_steps_are_soon_forgotten() -> None:
    net = model(100.0)
    mean = RunningMean(net, 0.999)
    mean.update(1)
    torch.nn.init.constant_(net.get_parameter("weight"), 1.0)
    for step in range(2, 40):
        mean.update(step)
    with mean.applied():
        assert first(net) < 2


def test_training_goes_on_with_its_own_weights_after_a_resume(tmp_path: Path) -> None:
    net = model(1.0)
    mean = RunningMean(net, 0.5)
    mean.update(100)
    torch.nn.init.constant_(net.get_parameter("weight"), 3.0)
    mean.update(101)
    mean.save_trained(tmp_path)
    with mean.applied():
        kept = {name: weight.clone() for name, weight in net.state_dict().items()}
    again = model(0.0)
    again.load_state_dict(kept)
    resumed = RunningMean(again, 0.5)
    resumed.resume(tmp_path)
    assert first(again) == 3
    with resumed.applied():
        assert first(again) == pytest.approx(2)


def test_another_runs_weights_that_do_not_fit_leave_the_mean_to_go_on_with(tmp_path: Path) -> None:
    RunningMean(torch.nn.Linear(5, 5), 0.5).save_trained(tmp_path)
    assert (tmp_path / TRAINED_WEIGHTS).is_file()
    net = model(2.0)
    RunningMean(net, 0.5).resume(tmp_path)
    assert first(net) == 2
