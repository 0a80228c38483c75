"""The arithmetic behind a synthetic receipt, in whole cents, so that what is printed adds up."""

from dataclasses import dataclass, replace
from random import Random

from receipt_layoutlm.data.synthetic.pools import CARDS
from receipt_layoutlm.data.synthetic.templates import Template

HUNDREDTHS = 100
NOTES_IN_CENTS = (500, 1000, 2000, 5000, 10000)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of goods; the quantity is in hundredths, so that weights are exact."""

    name: str
    quantity_hundredths: int
    unit_cents: int
    measure: str = ""

    @property
    def total_cents(self) -> int:
        """Quantity times price, half a cent rounded up."""
        return rounded_ratio(self.quantity_hundredths * self.unit_cents, HUNDREDTHS)

    @property
    def quantity(self) -> str:
        """As printed: `2` for a count, `2.31` for a measure."""
        whole, rest = divmod(self.quantity_hundredths, HUNDREDTHS)
        return f"{whole}.{rest:02d}" if self.measure else str(whole)


@dataclass(frozen=True, slots=True)
class Purchase:
    """All amounts of one receipt in cents; what does not occur is 0 or empty."""

    items: tuple[Item, ...]
    discounts: tuple[int, ...]
    coupon: int
    refund: int
    tax_permille: int
    tip: int
    cash_back: int
    card: str
    """Empty for cash."""
    paid: int

    @property
    def subtotal(self) -> int:
        """The items less discounts, coupon and refund."""
        gross = sum(item.total_cents for item in self.items)
        return gross - sum(self.discounts) - self.coupon - self.refund

    @property
    def tax(self) -> int:
        """On the subtotal."""
        return rounded_ratio(self.subtotal * self.tax_permille, 1000)

    @property
    def total(self) -> int:
        """The amount that the customer owes."""
        return self.subtotal + self.tax + self.tip

    @property
    def change(self) -> int:
        """The change returned for cash."""
        return self.paid - self.total - self.cash_back


def rounded_ratio(numerator: int, denominator: int) -> int:
    """The quotient of two numbers that are not negative, half rounded up."""
    return (2 * numerator + denominator) // (2 * denominator)


def make_purchase(template: Template, random: Random) -> Purchase:
    """Goods of the template's trade, with the extras that its odds bring."""
    items = _make_items(template, random)
    gross = sum(item.total_cents for item in items)

    def share_of_gross(odds: float) -> int:
        return gross * random.randint(3, 15) // 100 if random.random() < odds else 0

    discounts = tuple(filter(None, (share_of_gross(template.odds.discount) for _ in range(2))))
    before_payment = Purchase(
        items=items,
        discounts=discounts,
        coupon=share_of_gross(template.odds.coupon),
        refund=share_of_gross(template.odds.refund),
        tax_permille=random.choice(template.tax_permilles),
        tip=rounded_ratio(gross * random.choice((15, 18, 20)), 100)
        if random.random() < template.odds.tip
        else 0,
        cash_back=0,
        card="",
        paid=0,
    )
    return _pay(before_payment, template, random)


def _make_items(template: Template, random: Random) -> tuple[Item, ...]:
    fewest, most = template.long_items if random.random() < template.odds.long else template.items
    return tuple(_make_item(template, random) for _ in range(random.randint(fewest, most)))


def _make_item(template: Template, random: Random) -> Item:
    name, low, high = random.choice(template.trade.goods)
    if template.measure:
        quantity = random.randint(*template.measured_hundredths)
    else:
        quantity = HUNDREDTHS * (1 if random.random() < template.odds.single else random.randint(2, 6))
    return Item(name, quantity, random.randint(low, high), template.measure)


def _pay(owed: Purchase, template: Template, random: Random) -> Purchase:
    by_card = random.random() < template.odds.card
    cash_back = (
        random.choice((1000, 2000, 4000)) if by_card and random.random() < template.odds.cash_back else 0
    )
    # Cash back is given on debit cards only.
    card = ("DEBIT" if cash_back else random.choice(CARDS)) if by_card else ""
    paid = owed.total + cash_back if by_card else _notes_for(owed.total, random)
    return replace(owed, cash_back=cash_back, card=card, paid=paid)


def _notes_for(cents: int, random: Random) -> int:
    note = random.choice(NOTES_IN_CENTS)
    return -(-cents // note) * note
