"""Builds a small LayoutLM and its vocabulary from scratch, for machines without a pretrained one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from string import printable
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer
from transformers import LayoutLMConfig, LayoutLMForTokenClassification

from receipt_layoutlm.checkpoint import build_tokenizer
from receipt_layoutlm.training.position_init import init_positions

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CONTINUED = "##"
_POSITIONS = 512
_COORDINATES = 1024
# Wider than BERT's 0.02, with which narrow layers pass little on at first.
_INITIAL_STD = 0.05


@dataclass(frozen=True, slots=True)
class Size:
    """Layers, width, heads, width of the feed-forward layer, most entries of the vocabulary, dropout."""

    layers: int
    width: int
    heads: int
    feed_forward: int
    vocabulary: int
    dropout: float


SIZES = {
    "tiny": Size(layers=2, width=128, heads=8, feed_forward=512, vocabulary=2000, dropout=0.1),
    "small": Size(layers=4, width=256, heads=8, feed_forward=1024, vocabulary=2000, dropout=0.1),
    "base": Size(layers=12, width=768, heads=12, feed_forward=3072, vocabulary=30000, dropout=0.1),
}


def train_tokenizer(texts: Iterable[str], size: Size) -> Any:
    """A lower-case WordPiece tokenizer of the words that training sees; the same words give the same one.

    In any process: an attempt that begins anew has to train the very model that the one before it began.
    """
    tokenizer = Tokenizer(WordPiece(unk_token=SPECIAL_TOKENS[1]))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    ordered = sorted(texts)
    characters = sorted({*printable.lower(), *tokenizer.normalizer.normalize_str("".join(ordered))})
    visible = [character for character in characters if not character.isspace()]
    # Every character alone and continued, so that an unseen word falls into pieces and not into [UNK].
    alphabet = [*visible, *(_CONTINUED + character for character in visible)]
    # The trainer meets words in an order of its own, another one each time. Where it does not number the
    # characters as it meets them, all that it learns follows from how often pieces stand side by side.
    trainer = WordPieceTrainer(
        vocab_size=size.vocabulary,
        min_frequency=2,
        special_tokens=[*SPECIAL_TOKENS, *alphabet],
        show_progress=False,
    )
    tokenizer.train_from_iterator(ordered, trainer)
    learned = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    return build_tokenizer([token for token, _ in learned])


def build_model(size: Size, vocabulary: int, seed: int, **labels: Any) -> Any:
    """A token classifier with fresh weights; `labels` go to its configuration."""
    torch.manual_seed(seed)
    config = LayoutLMConfig(
        vocab_size=vocabulary,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.feed_forward,
        hidden_dropout_prob=size.dropout,
        # Dropout inside attention has no fast kernel on CPUs and doubles a step's time.
        attention_probs_dropout_prob=0.0,
        initializer_range=_INITIAL_STD,
        max_position_embeddings=_POSITIONS,
        max_2d_position_embeddings=_COORDINATES,
        **labels,
    )
    model = LayoutLMForTokenClassification(config)
    init_positions(model)
    return model
