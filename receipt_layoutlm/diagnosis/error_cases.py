"""Collects entity and word errors by receipt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from messages.fields import Message
from receipt_layoutlm.data.merchants import merchant_of
from receipt_layoutlm.data.page_layout import PageLayout, lay_out
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.evaluation.decoding import Probabilities, Span, decode_plain, label_of, spans
from receipt_layoutlm.evaluation.entity_scores import EntityCounts
from receipt_layoutlm.evaluation.evaluate import Evaluation, Seen
from run_records.labels import LabelSet


class WordError(Message):
    """A word whose tag, chosen by itself as the clients do, is not the true one.

    Attributes:
        line: the words of its printed line, from the left.
        constrained: its tag in the best sequence that BIO allows.
        confidence, gold_probability: of the tag that was chosen, and of the true one.
        kind: `missed` (a label became none), `spurious` (none became a label), `confused` (another label), or
            `boundary` (the right label, but an entity begins or goes on in the wrong place).
    """

    receipt: str
    merchant: str | None
    line_id: int
    word_id: int
    text: str
    line: str
    gold: str
    predicted: str
    constrained: str
    confidence: float
    gold_probability: float
    kind: str


@dataclass(frozen=True)
class ErrorCase:
    """One receipt; tags are ids, one a word in reading order.

    Attributes:
        seen: whether its merchant was trained on; None where that is not known.
    """

    receipt: Receipt
    page: PageLayout
    seen: bool | None
    labels: LabelSet
    probabilities: Probabilities
    constrained: list[int]

    @cached_property
    def merchant(self) -> str | None:
        """The name of the merchant for people, where it is known."""
        return self.receipt.merchant or merchant_of(self.receipt)

    @cached_property
    def plain(self) -> list[int]:
        """The most probable tag of each word."""
        return decode_plain(self.probabilities, self.labels.tags)

    @cached_property
    def gold_spans(self) -> list[Span]:
        """True entities."""
        return spans([self.labels.tags[tag] for tag in self.page.tags])

    @cached_property
    def found_spans(self) -> list[Span]:
        """Entities of the tags that were chosen word by word."""
        return spans([self.labels.tags[tag] for tag in self.plain])

    @cached_property
    def lost(self) -> list[Span]:
        """True entities that were not found as they are."""
        found = set(self.found_spans)
        return [span for span in self.gold_spans if span not in found]

    def errors(self) -> Iterator[WordError]:
        """The words with a wrong tag, in reading order."""
        for place, (true, said) in enumerate(zip(self.page.tags, self.plain, strict=True)):
            if true != said:
                yield self._error(place, true, said)

    def label_at(self, place: int) -> str | None:
        """The label that a word was given."""
        return label_of(self.labels.tags[self.plain[place]])

    def _error(self, place: int, true: int, said: int) -> WordError:
        word = self.receipt.words[self.page.order[place]]
        gold, predicted = self.labels.tags[true], self.labels.tags[said]
        return WordError(
            receipt=self.receipt.key,
            merchant=self.merchant,
            line_id=word.line_id,
            word_id=word.word_id,
            text=word.text,
            line=" ".join(one.text for one in self.receipt.words if one.line_id == word.line_id),
            gold=gold,
            predicted=predicted,
            constrained=self.labels.tags[self.constrained[place]],
            confidence=round(float(self.probabilities[place, said]), 4),
            gold_probability=round(float(self.probabilities[place, true]), 4),
            kind=_kind(label_of(gold), label_of(predicted)),
        )


@dataclass(frozen=True)
class ErrorCases:
    """All receipts of a diagnosis.

    Attributes:
        cases: one a receipt, in the order of `evaluation.counts`.
        recorded_f1: what the training says of the checkpoint, where it says it.
    """

    labels: LabelSet
    cases: tuple[ErrorCase, ...]
    evaluation: Evaluation
    recorded_f1: float | None = None

    @cached_property
    def errors(self) -> tuple[WordError, ...]:
        """The wrong words of all receipts."""
        return tuple(error for case in self.cases for error in case.errors())

    def counts_of(self, chosen: Sequence[int]) -> EntityCounts:
        """Counts of some receipts, by their indexes."""
        return self.evaluation.counts.of(chosen)

    def where_seen(self, seen: bool) -> list[int]:
        """Indexes of the receipts whose merchants were, or were not, trained on."""
        return [index for index, case in enumerate(self.cases) if case.seen is seen]


def gather_cases(
    labels: LabelSet,
    receipts: Sequence[Receipt],
    seen: Seen,
    evaluation: Evaluation,
    recorded_f1: float | None = None,
) -> ErrorCases:
    """Put receipts and what was said of them together; they have the same order."""
    cases = tuple(
        ErrorCase(receipt, lay_out(receipt, labels), known, labels, probabilities, constrained)
        for receipt, known, probabilities, constrained in zip(
            receipts,
            seen or (None,) * len(receipts),
            evaluation.probabilities,
            evaluation.constrained_tags,
            strict=True,
        )
    )
    return ErrorCases(labels, cases, evaluation, recorded_f1)


def _kind(gold: str | None, predicted: str | None) -> str:
    if gold == predicted:
        return "boundary"
    if predicted is None:
        return "missed"
    return "spurious" if gold is None else "confused"
