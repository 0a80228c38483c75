"""The parts of a receipt from its head to its foot, each a small function from the sale to its rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from receipt_layoutlm.data.synthetic.item_rows import ITEM_STYLES, TABLE_HEAD
from receipt_layoutlm.data.synthetic.purchase import Purchase
from receipt_layoutlm.data.synthetic.rendering import Row, Text, centre, left, right
from receipt_layoutlm.data.synthetic.templates import Template

TITLE_SIZE = 1.5
TOTAL_SIZE = 1.25


@dataclass(frozen=True, slots=True)
class Store:
    """The shop as its receipt presents it."""

    merchant: str
    address: tuple[str, str]
    phone: str
    website: str
    hours: str


@dataclass(frozen=True, slots=True)
class Sale:
    """Everything that one receipt tells."""

    template: Template
    store: Store
    purchase: Purchase
    moment: datetime
    loyalty_id: str
    card_digits: str
    clerk: str
    station: int
    """Register, table or pump."""
    transaction: int
    courtesies: tuple[str, ...]

    def money(self, cents: int) -> str:
        """Cents as this template prints them: `3.49`, `$3.49`, `-3.49`."""
        amount = self.template.money.format(f"{abs(cents) // 100}.{abs(cents) % 100:02d}")
        return f"-{amount}" if cents < 0 else amount

    def head(self, *texts: Text, size: float = 1.0) -> Row:
        """A row of the head, set as this template sets it."""
        return Row((centre(*texts) if self.template.centred_header else left(*texts),), size)


Section = Callable[[Sale], list[Row]]


def merchant(sale: Sale) -> list[Row]:
    """The name, large."""
    return [sale.head(Text(sale.store.merchant, "MERCHANT_NAME"), size=TITLE_SIZE)]


def address(sale: Sale) -> list[Row]:
    """Street, and below it the city."""
    return [sale.head(Text(part, "ADDRESS_LINE")) for part in sale.store.address]


def phone(sale: Sale) -> list[Row]:
    """The telephone number after its caption."""
    return [sale.head(Text(sale.template.captions.phone), Text(sale.store.phone, "PHONE_NUMBER"))]


def website(sale: Sale) -> list[Row]:
    """The shop's site."""
    return [sale.head(Text(sale.store.website, "WEBSITE"))]


def hours(sale: Sale) -> list[Row]:
    """The opening hours."""
    return [sale.head(Text(sale.template.captions.hours), Text(sale.store.hours, "STORE_HOURS"))]


def moment(sale: Sale) -> list[Row]:
    """Date and time of the sale."""
    day = Text(sale.moment.strftime(sale.template.date_format).upper(), "DATE")
    time = Text(sale.moment.strftime(sale.template.time_format), "TIME")
    return [Row((left(day), right(time)))]


def clerk(sale: Sale) -> list[Row]:
    """Numbers of the clerk and the till; no label's value."""
    where = f"REG {sale.station:02d} TRN {sale.transaction:04d}"
    return [Row((left(Text(f"CASHIER: {sale.clerk}")), right(Text(where))))]


def server(sale: Sale) -> list[Row]:
    """A restaurant's clerk."""
    return [Row((left(Text(f"SERVER: {sale.clerk}")), right(Text(f"TABLE {sale.station}"))))]


def pump(sale: Sale) -> list[Row]:
    """A fuel station's clerk."""
    return [Row((left(Text(f"PUMP # {sale.station:02d}")), right(Text(f"INV {sale.transaction:04d}"))))]


def items(sale: Sale) -> list[Row]:
    """The items of the purchase."""
    style = sale.template.item_style
    rows = [row for item in sale.purchase.items for row in ITEM_STYLES[style](item, sale.money)]
    return [TABLE_HEAD, *rows] if style == "table" else rows


def totals(sale: Sale) -> list[Row]:
    """The sums from discounts to the total; a tax or tip of zero is not printed."""
    bought, captions = sale.purchase, sale.template.captions
    amounts = [
        *((captions.discount, -amount, "DISCOUNT") for amount in bought.discounts),
        (captions.coupon, -bought.coupon, "COUPON"),
        (captions.refund, -bought.refund, "REFUND"),
        (captions.subtotal, bought.subtotal, "SUBTOTAL"),
        (captions.tax, bought.tax, "TAX"),
        (captions.tip, bought.tip, "TIP"),
    ]
    rows = [
        _amount(Text(caption), Text(sale.money(cents), label)) for caption, cents, label in amounts if cents
    ]
    owed = Text(sale.money(bought.total), "GRAND_TOTAL")
    return [*rows, _amount(Text(captions.total), owed, size=TOTAL_SIZE)]


def payment(sale: Sale) -> list[Row]:
    """The payment. The amount paid has no label of its own."""
    bought, captions = sale.purchase, sale.template.captions
    paid = Text(sale.money(bought.paid))
    if not bought.card:
        change = Text(sale.money(bought.change), "CHANGE")
        return [_amount(Text("CASH", "PAYMENT_METHOD"), paid), _amount(Text(captions.change), change)]
    rows = [_amount(Text(f"{bought.card} ****{sale.card_digits}", "PAYMENT_METHOD"), paid)]
    if bought.cash_back:
        rows.append(_amount(Text(captions.cash_back), Text(sale.money(bought.cash_back), "CASH_BACK")))
    return [*rows, Row((left(Text(f"AUTH CODE {sale.transaction:06d}")),))]


def _amount(caption: Text, amount: Text, size: float = 1.0) -> Row:
    return Row((left(caption), right(amount)), size)


def loyalty(sale: Sale) -> list[Row]:
    """The customer's number in the shop's programme."""
    return [Row((left(Text(sale.template.captions.loyalty), Text(sale.loyalty_id, "LOYALTY_ID")),))]


def thanks(sale: Sale) -> list[Row]:
    """Courtesies at the foot."""
    return [Row((centre(Text(line)),)) for line in sale.courtesies]


SECTIONS: dict[str, Section] = {
    section.__name__: section
    for section in (
        merchant,
        address,
        phone,
        website,
        hours,
        moment,
        clerk,
        server,
        pump,
        items,
        totals,
        payment,
        loyalty,
        thanks,
    )
}
