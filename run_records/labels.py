"""The label vocabulary, merge presets, BIO tags and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from messages.hyperparameters import Hyperparameters
from run_records.errors import ConfigurationError

CORE_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "MERCHANT_NAME": "Name of the shop or its brand.",
        "STORE_HOURS": "Opening hours.",
        "PHONE_NUMBER": "Telephone number of the shop.",
        "WEBSITE": "Web or e-mail address.",
        "LOYALTY_ID": "Number of the customer's loyalty card or membership.",
        "ADDRESS_LINE": "Street, town, state or postal code of the shop.",
        "DATE": "Date of the purchase.",
        "TIME": "Time of the purchase.",
        "PAYMENT_METHOD": "How it was paid, such as VISA or CASH.",
        "COUPON": "Code or name of a coupon.",
        "DISCOUNT": "A reduction of the price that is no coupon.",
        "PRODUCT_NAME": "What was bought, as the receipt calls it.",
        "QUANTITY": "Number or weight of one product.",
        "UNIT_PRICE": "Price of one piece or unit of weight, before tax.",
        "LINE_TOTAL": "Price of a line: quantity times unit price.",
        "SUBTOTAL": "Sum of the lines, before tax and tip.",
        "TAX": "A tax, such as sales tax or VAT.",
        "TIP": "Gratuity.",
        "GRAND_TOTAL": "What is to be paid in all, tax included.",
        "CHANGE": "Cash given back of what was paid.",
        "CASH_BACK": "Cash paid out on top of a purchase by card.",
        "REFUND": "Money given back for goods that were returned.",
    }
)
"""The labels of words on receipts, to what each means; their order is that of a model's tags."""

Merges = Mapping[str, tuple[str, ...]]
"""Target label to the labels that are learned as it."""

_AMOUNTS: Merges = {"AMOUNT": ("LINE_TOTAL", "SUBTOTAL", "TAX", "GRAND_TOTAL")}
_DATE_TIME: Merges = {"DATE": ("TIME",)}
_ADDRESS_PHONE: Merges = {"ADDRESS": ("PHONE_NUMBER", "ADDRESS_LINE")}

MERGE_PRESETS: Mapping[str, Merges] = MappingProxyType(
    {
        "amounts": _AMOUNTS,
        "date_time": _DATE_TIME,
        "address_phone": _ADDRESS_PHONE,
        "sroie": {**_AMOUNTS, **_DATE_TIME, **_ADDRESS_PHONE},
    }
)

OUTSIDE = "O"
OUTSIDE_ID = 0


@dataclass(frozen=True)
class LabelSet:
    """The labels of one run, after merging, in the order of the core labels.

    Attributes:
        names: labels without BIO prefixes; never empty.
        merges: target to sources, as the run applied them.
    """

    names: tuple[str, ...]
    merges: Merges

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """`O`, then `B-X` and `I-X` of each name; a tag's index is its id."""
        return (OUTSIDE, *(f"{prefix}-{name}" for name in self.names for prefix in "BI"))

    def learned(self, label: str | None) -> str | None:
        """The name that a core label is learned as, or None where the run does not learn it."""
        name = self._targets.get(label or "", label)
        return name if name in self._begin_ids else None

    def tag_ids(self, labels: Iterable[str | None]) -> list[int]:
        """BIO tag ids of words in reading order; equal neighbours after merging are one entity."""
        ids: list[int] = []
        previous: str | None = None
        for label in labels:
            name = self.learned(label)
            ids.append(OUTSIDE_ID if name is None else self._begin_ids[name] + (name == previous))
            previous = name
        return ids

    @cached_property
    def _targets(self) -> dict[str, str]:
        return {source: target for target, sources in self.merges.items() for source in sources}

    @cached_property
    def _begin_ids(self) -> dict[str, int]:
        return {name: 1 + 2 * index for index, name in enumerate(self.names)}


NO_LABELS = LabelSet((), MappingProxyType({}))
"""The empty label set. Inference uses it so that stored labels never reach the model."""


def resolve_labels(hyperparameters: Hyperparameters) -> LabelSet:
    """The label set that a request asks for; `label_merges` wins over `merge_preset`, that over the flags.

    Raises:
        ConfigurationError: a name that does not exist, or nothing left to learn.
    """
    merges = _requested_merges(hyperparameters)
    _check_known("label_merges", (source for group in merges.values() for source in group), CORE_LABELS)
    targets = {source: target for target, sources in merges.items() for source in sources}
    names = tuple(dict.fromkeys(targets.get(label, label) for label in CORE_LABELS))
    if hyperparameters.allowed_labels is not None:
        _check_known("allowed_labels", hyperparameters.allowed_labels, names)
        names = tuple(name for name in names if name in hyperparameters.allowed_labels)
    if not names:
        raise ConfigurationError(
            "allowed_labels leaves no label to learn. Name at least one, or leave it out to learn all."
        )
    return LabelSet(names, MappingProxyType(dict(merges)))


def label_set_of_tags(tags: Sequence[str], merges: Merges) -> LabelSet:
    """The label set that a checkpoint was trained with, from its tags in the order of their ids.

    Raises:
        ConfigurationError: the tags are not what this package writes.
    """
    labels = LabelSet(tuple(tag[2:] for tag in tags if tag.startswith("B-")), merges)
    if labels.tags != tuple(tags):
        raise ConfigurationError(
            f"The tags {', '.join(tags)} are not O, B-X, I-X pairs. Use a checkpoint of this package."
        )
    return labels


def _requested_merges(hyperparameters: Hyperparameters) -> Merges:
    if hyperparameters.label_merges is not None:
        return hyperparameters.label_merges
    if hyperparameters.merge_preset is not None:
        return MERGE_PRESETS[hyperparameters.merge_preset]
    flags = {
        "amounts": hyperparameters.merge_amounts,
        "date_time": hyperparameters.merge_date_time,
        "address_phone": hyperparameters.merge_address_phone,
    }
    chosen = [MERGE_PRESETS[name] for name, wanted in flags.items() if wanted]
    return {target: sources for group in chosen for target, sources in group.items()}


def _check_known(field: str, given: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigurationError(
            f"{field} names {', '.join(unknown)}, which cannot be learned here. "
            f"Known labels: {', '.join(known)}."
        )
