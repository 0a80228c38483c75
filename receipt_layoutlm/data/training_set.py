"""The training examples: cut once, encoded per batch, and augmented anew in each epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from torch.utils.data import Dataset

from receipt_layoutlm.data.augment import Augmentation
from receipt_layoutlm.data.encoder import SPECIAL_TOKENS, Encoder
from receipt_layoutlm.data.examples import Example, Window
from receipt_layoutlm.data.page_layout import PageLayout


class TrainingSet(Dataset[Example]):
    """Examples by number.

    What an example is follows from seed, epoch and number alone, so that a resumed epoch goes on in its own.

    Attributes:
        cuts: which words of which page each example has.
        lengths: tokens of each, before changes.
    """

    def __init__(
        self,
        pages: Sequence[PageLayout],
        cuts: Sequence[Window],
        encoder: Encoder,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.cuts = tuple(cuts)
        self._pages, self._encoder, self._augmentation, self._seed = pages, encoder, augmentation, seed
        self._epoch = 0
        self.lengths = [self._count(cut) for cut in self.cuts]

    def __len__(self) -> int:
        return len(self.cuts)

    def __getitem__(self, number: int) -> Example:
        cut = self.cuts[number]
        page = self._pages[cut.page]
        if self._augmentation.is_off:
            return self._encoder.encode_cut(page, cut)
        random = Random(f"{self._seed} {self._epoch} {number}")  # noqa: S311 - seeded, not a secret
        passage, kept = self._augmentation.change(self._encoder.read(page, cut), random)
        changed = Window(cut.page, cut.unit, [cut.words[index] for index in kept], list(passage.tags))
        return self._augmentation.mask(self._encoder.encode_passage(passage, changed), random)

    def set_epoch(self, epoch: int) -> None:
        """Draw the changes of this epoch from now on; the loader calls it."""
        self._epoch = epoch

    def keys_of(self, numbers: Sequence[int]) -> list[str]:
        """The receipts that these examples are of, each once."""
        return sorted({self._pages[self.cuts[number].page].key for number in numbers})

    def tokens(self) -> set[int]:
        """Ids of all tokens that the examples have, before changes."""
        texts = list({text for page in self._pages for text in page.texts})
        special = self._encoder.tokenizer.all_special_ids
        return {*special, *(token for piece in self._encoder.words.of(texts) for token in piece)}

    def count_tags(self, tags: int) -> list[int]:
        """Words of each of so many tags."""
        counts = Counter(tag for cut in self.cuts for tag in cut.tags)
        return [counts[tag] for tag in range(tags)]

    def _count(self, cut: Window) -> int:
        page = self._pages[cut.page]
        if self._encoder.line_separators:
            return len(self._encoder.encode_cut(page, cut).input_ids)
        pieces = self._encoder.words.of([page.texts[word] for word in cut.words])
        longest = self._encoder.max_seq_length
        return min(SPECIAL_TOKENS + sum(len(piece) for piece in pieces), longest)
