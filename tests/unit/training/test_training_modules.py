"""The modules that are exchanged for a training: what they compute, and what a checkpoint sees of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LayoutLMForTokenClassification

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.data.examples import Collator, Example
from receipt_layoutlm.training.scratch import SIZES, build_model
from receipt_layoutlm.training.speed.attention import choose_attention
from receipt_layoutlm.training.speed.batches import PAGES, TrainingCollator
from receipt_layoutlm.training.speed.dropout import ByteDropout, draw_mask
from receipt_layoutlm.training.speed.linear import NarrowLinear
from receipt_layoutlm.training.speed.optimize_model import optimize_model
from receipt_layoutlm.training.speed.subset_embedding import SubsetEmbedding, keep_moments_whole, train_subset

VOCABULARY = 200
USED = [0, 2, 3, *range(20, 60)]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make_model(seed: int = 0) -> Any:
    return build_model(SIZES["tiny"], VOCABULARY, seed, num_labels=5)


def example(page: int, tokens: int) -> Example:
    generator = torch.Generator().manual_seed(page)
    ids = torch.randint(20, 60, (tokens,), generator=generator).tolist()
    boxes = [(x, 7 * page + x, x + 30, 7 * page + x + 12) for x in range(tokens)]
    return Example(page, 0, [0, 1], [1, 3], ids, boxes, [1, 2])


def batch_of(*tokens: int) -> dict[str, torch.Tensor]:
    return Collator(0)([example(page, count) for page, count in enumerate(tokens)])


def step(model: Any, optimizer: torch.optim.Optimizer, batch: dict[str, torch.Tensor]) -> float:
    loss = model(**batch).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def make_optimizer(model: Any) -> torch.optim.AdamW:
    trained = [one for one in model.parameters() if one.requires_grad]
    return torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.1)


def test_dropout_drops_as_often_as_asked_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    mask = draw_mask(torch.empty(1000, 1003), 0.1)
    assert float((mask == 0).float().mean()) == pytest.approx(26 / 256, abs=2e-3)
    assert float(mask.mean()) == pytest.approx(1, abs=3e-3)
    # Bytes of one word are drawn apart: what is dropped says nothing about its neighbour.
    beside = (mask[:, 1:] == 0) & (mask[:, :-1] == 0)
    assert float(beside.float().mean()) == pytest.approx((26 / 256) ** 2, abs=1e-3)


def test_dropout_follows_the_generator_and_stops_in_evaluation() -> None:
    dropout, values = ByteDropout(0.5), torch.ones(7, 5)
    drawn = [dropout(values) for _ in range(2) if torch.manual_seed(3)]
    assert torch.equal(*drawn)
    assert set(drawn[0].unique().tolist()) == {0.0, 2.0}
    assert dropout.eval()(values) is values


def test_every_dropout_of_a_model_is_exchanged_and_its_weights_are_not() -> None:
    model, names = make_model(), set(make_model().state_dict())
    optimize_model(model, Hyperparameters(), "cpu", USED)
    assert set(model.state_dict()) == names
    assert not [one for one in model.modules() if isinstance(one, nn.Dropout) and one.p > 0]
    assert len([one for one in model.modules() if isinstance(one, ByteDropout)]) == 1 + 2 * 2 + 1


@pytest.mark.parametrize("option", ["auto", "eager", "sdpa"])
def test_training_computes_the_logits_of_the_stock_model_and_evaluation_its_very_bits(option: str) -> None:
    stock, ours, batch = make_model(), make_model(), batch_of(40, 17, 33)
    for model in (stock, ours):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    optimize_model(ours, Hyperparameters(attention=option), "cpu", USED)
    with torch.no_grad():
        assert torch.allclose(stock.train()(**batch).logits, ours.train()(**batch).logits, atol=1e-5)
        assert torch.equal(stock.eval()(**batch).logits, ours.eval()(**batch).logits)


def test_attention_drops_its_shares_where_the_model_asks_for_it() -> None:
    model, batch = make_model(), batch_of(24)
    for layer in model.layoutlm.encoder.layer:
        layer.attention.self.attention_dropout = 0.5
    choose_attention(model, "eager", "cpu")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        assert not torch.allclose(model.train()(**batch).logits, model.eval()(**batch).logits, atol=1e-3)


@pytest.mark.parametrize("option", ["eager", "sdpa"])
def test_packed_windows_have_the_logits_of_padded_ones(option: str) -> None:
    model = make_model().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    choose_attention(model, option, "cpu")  # type: ignore[arg-type]
    windows = [example(page, tokens) for page, tokens in enumerate((30, 21, 16, 9))]
    with torch.no_grad():
        alone = model(**Collator(0)(windows)).logits
        batch = TrainingCollator(0, row_tokens=64)(windows)
        del batch[PAGES]
        packed = model(**batch).logits
    assert packed.shape[:2] == (2, 64)
    for number, (row, start) in enumerate([(0, 0), (0, 30), (1, 0), (0, 51)]):
        count = len(windows[number].input_ids)
        assert torch.allclose(packed[row, start : start + count], alone[number, :count], atol=1e-4)


def test_sums_between_layers_are_in_bf16_in_training_only() -> None:
    model, batch, seen = make_model(), batch_of(16), []
    optimize_model(model, Hyperparameters(), "cpu", USED)
    model.layoutlm.encoder.layer[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model.train()(**batch)
        model.eval()(**batch)
    with torch.no_grad():
        model.train()(**batch)
    assert seen == [torch.bfloat16, torch.float32, torch.float32]


def test_a_part_of_the_vocabulary_trains_as_the_whole_does_and_the_rest_keeps_its_bits() -> None:
    whole, part, batch = make_model(), make_model(), batch_of(40, 40)
    before = part.layoutlm.embeddings.word_embeddings.weight.detach().clone()
    subset = train_subset(part, USED)
    assert subset is not None
    assert subset.weight.shape == (len(USED), 128)
    losses = []
    for model in (whole, part):
        torch.manual_seed(1)
        optimizer = make_optimizer(model.train())
        losses.append([step(model, optimizer, batch) for _ in range(3)])
    assert losses[0] == losses[1]
    name = "layoutlm.embeddings.word_embeddings.weight"
    after = part.state_dict()[name]
    assert after.shape == (VOCABULARY, 128)
    unused = torch.tensor([row for row in range(VOCABULARY) if row not in USED])
    assert torch.equal(after[unused], before[unused])
    # The whole table's other rows have decayed: nothing but the weight decay tells the two apart.
    assert not torch.equal(whole.state_dict()[name][unused], before[unused])
    assert torch.equal(after[torch.tensor(USED)], whole.state_dict()[name][torch.tensor(USED)])


def test_tokens_that_training_has_not_are_looked_up_in_the_rest_of_the_table() -> None:
    whole, part = make_model().eval(), make_model().eval()
    train_subset(part, USED)
    batch = batch_of(30)
    batch["input_ids"][0, 3:9] = torch.tensor([1, 4, 60, 199, 25, 7])
    with torch.no_grad():
        assert torch.equal(whole(**batch).logits, part(**batch).logits)


def test_a_table_that_is_used_throughout_is_left_alone() -> None:
    model = make_model()
    table = model.layoutlm.embeddings.word_embeddings
    assert train_subset(model, range(VOCABULARY)) is None
    assert model.layoutlm.embeddings.word_embeddings is table


def test_a_checkpoint_of_a_part_is_one_of_the_whole_and_goes_on_on_other_data(tmp_path: Path) -> None:
    part, batch = make_model(), batch_of(40)
    subset = train_subset(part, USED)
    assert subset is not None
    optimizer = make_optimizer(part.train())
    keep_moments_whole(optimizer, subset)
    step(part, optimizer, batch)
    part.save_pretrained(tmp_path)
    loaded = LayoutLMForTokenClassification.from_pretrained(tmp_path)
    assert torch.equal(part.state_dict()["classifier.weight"], loaded.classifier.weight)
    name = "layoutlm.embeddings.word_embeddings.weight"
    assert torch.equal(loaded.state_dict()[name], part.state_dict()[name])

    state = optimizer.state_dict()
    shapes = [
        one["exp_avg"].shape
        for one in state["state"].values()
        if one["exp_avg"].shape[0] in {VOCABULARY, len(USED)}
    ]
    assert torch.Size((VOCABULARY, 128)) in shapes
    assert torch.Size((len(USED), 128)) not in shapes
    assert optimizer.state[subset.weight]["exp_avg"].shape == (len(USED), 128)

    other = make_model(seed=5)
    others = train_subset(other, range(10, 40))
    assert others is not None
    going_on = make_optimizer(other.train())
    keep_moments_whole(going_on, others)
    other.load_state_dict(part.state_dict())
    going_on.load_state_dict(state)
    shared = torch.arange(20, 40)
    assert torch.equal(other.state_dict()[name], part.state_dict()[name])
    assert torch.equal(
        going_on.state[others.weight]["exp_avg"][others.places[shared]],
        optimizer.state[subset.weight]["exp_avg"][subset.places[shared]],
    )
    step(other, going_on, batch)


def test_changed_text_has_the_whole_vocabulary_trained() -> None:
    for options in ({"augment_digits": 0.1}, {"augment_characters": 0.1}, {"vocabulary_subset": False}):
        model = make_model()
        assert optimize_model(model, Hyperparameters(**options), "cpu", USED) is None
        assert not isinstance(model.layoutlm.embeddings.word_embeddings, SubsetEmbedding)


@pytest.mark.parametrize(("wide", "narrow"), [(64, 24), (24, 64)])
def test_a_linear_layer_has_the_result_and_the_gradients_of_the_one_whose_weights_it_shares(
    wide: int, narrow: int
) -> None:
    torch.manual_seed(0)
    stock = nn.Linear(wide, narrow)
    ours, given = NarrowLinear(stock), torch.randn(3, 10, wide)
    found = []
    for layer in (stock, ours):
        inputs = given.clone().requires_grad_()
        stock.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            output = layer(inputs)
        (output.float() ** 2).sum().backward()
        found.append([output, inputs.grad, stock.weight.grad.clone(), stock.bias.grad.clone()])  # type: ignore[union-attr]
    for expected, got in zip(*found, strict=True):
        assert got.dtype == expected.dtype
        assert got.is_contiguous()
        assert torch.allclose(got.float(), expected.float(), rtol=2e-2, atol=5e-2)
    assert ours.weight is stock.weight


def test_a_linear_layer_is_the_stock_one_in_float32_and_in_evaluation() -> None:
    stock, given = nn.Linear(16, 8), torch.randn(5, 16)
    ours = NarrowLinear(stock)
    assert torch.equal(ours.train()(given), stock(given))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours.eval()(given), stock(given))
