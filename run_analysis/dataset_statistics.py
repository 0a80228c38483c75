"""The model of the data set's statistics."""

from __future__ import annotations

from pydantic import Field

from run_records.lenient_model import LenientModel


class LabelStatistics(LenientModel):
    """One label.

    Attributes:
        by_status: words that carry it, by the label's status.
        words: words that training learns it from: VALID, and the newest of its word.
        entities: stretches of such words on one receipt.
        receipts: receipts that have one.
        merchants: merchants whose receipts have one.
        share: of all labelled words, 0..1.
    """

    label: str
    by_status: dict[str, int] = Field(default_factory=dict)
    words: int = 0
    entities: int = 0
    receipts: int = 0
    merchants: int = 0
    share: float = 0.0


class MerchantStatistics(LenientModel):
    """One merchant, by the name that its receipts carry."""

    merchant: str
    receipts: int
    labelled_words: int


class LabelConflict(LenientModel):
    """A word with several VALID labels, the one that counts first."""

    receipt: str
    line_id: int
    word_id: int
    text: str
    labels: tuple[str, ...]


class DatasetStatistics(LenientModel):
    """The whole table.

    Attributes:
        receipts: all, and `receipts_labelled` those that training can use.
        words_labelled: words with a VALID label.
        labels: the labels that occur, those with most words first, then core labels that do not.
        imbalance: words of the most frequent label for one of the rarest that occurs; None below two labels.
        labels_unknown: labels that are no core labels, with their words: training passes them over.
        merchants: those with most receipts first.
        receipts_without_merchant: labelled receipts on which no merchant is known.
        words_in_conflict: words with several VALID labels, and `conflicts` the first of them.
        words_without_text, words_without_box: they cannot be read.
        boxes_without_area, boxes_inverted, boxes_out_of_range: words whose box is so.
        records_unreadable: words and labels that are no whole records.
        receipts_unreadable: receipts whose own record is no whole one; nothing of them is counted.
        requests: that this took.
    """

    images: int = 0
    receipts: int = 0
    receipts_labelled: int = 0
    lines: int = 0
    words: int = 0
    words_labelled: int = 0
    labels: tuple[LabelStatistics, ...] = ()
    imbalance: float | None = None
    labels_unknown: dict[str, int] = Field(default_factory=dict)
    merchants: tuple[MerchantStatistics, ...] = ()
    merchants_known: int = 0
    receipts_without_merchant: int = 0
    words_in_conflict: int = 0
    conflicts: tuple[LabelConflict, ...] = ()
    labels_without_word: int = 0
    words_without_text: int = 0
    words_without_box: int = 0
    boxes_without_area: int = 0
    boxes_inverted: int = 0
    boxes_out_of_range: int = 0
    records_unreadable: int = 0
    receipts_unreadable: int = 0
    requests: int = 0

    def label(self, name: str) -> LabelStatistics | None:
        """The statistics of one label."""
        return next((one for one in self.labels if one.label == name), None)
