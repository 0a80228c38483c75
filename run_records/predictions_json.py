"""The model of `predictions.json`, and its reader."""

from __future__ import annotations

import pydantic

from run_records.lenient_model import LenientModel
from run_records.s3_store import S3Store

PREDICTIONS_JSON = "predictions.json"


class WordPrediction(LenientModel):
    """One word; `box` is x0, y0, x1, y1 in 0..1 of the receipt, origin bottom left, tags are BIO tags.

    `confidence` is the model's probability of `predicted`.
    """

    line_id: int
    word_id: int
    text: str
    box: tuple[float, float, float, float]
    gold: str
    predicted: str
    confidence: float


class ReceiptPrediction(LenientModel):
    """One receipt; words in reading order.

    Attributes:
        key: `{image_id}#{receipt_id:05d}`.
        merchant: who printed it, where that is known.
        seen: whether training has receipts of that merchant; None where that is not known.
        f1: entity F1 of this receipt; None where it has no entity, true or predicted.
        wrong_words: words whose tag is not the true one, of all its words.
        words_left_out: words of a very long receipt that the file does not have.
    """

    key: str
    merchant: str | None = None
    seen: bool | None = None
    f1: float | None = None
    wrong_words: int = 0
    words: tuple[WordPrediction, ...] = ()
    words_left_out: int = 0


class PredictionsFile(LenientModel):
    """The file: of which checkpoint it is, and its receipts, the worst first."""

    job_name: str
    checkpoint: str
    step: int
    epoch: float
    receipts: tuple[ReceiptPrediction, ...] = ()

    def of(self, key: str) -> ReceiptPrediction | None:
        """The receipt of a key, if it is among them."""
        return next((receipt for receipt in self.receipts if receipt.key == key), None)


def read_predictions(storage: S3Store, run_s3_uri: str | None) -> PredictionsFile | None:
    """Read the file of a run; None where it has none (yet), or one that is not ours."""
    body = storage.read(f"{run_s3_uri}{PREDICTIONS_JSON}") if run_s3_uri else None
    if body is None:
        return None
    try:
        return PredictionsFile.model_validate_json(body)
    except pydantic.ValidationError:
        return None
