"""The kinds of receipt, as data: what is printed in which order and how. A new kind is a new entry here."""

from dataclasses import dataclass, field

from receipt_layoutlm.data.synthetic.pools import TRADES, Trade


@dataclass(frozen=True, slots=True)
class Odds:
    """Probabilities (0..1) of parts that not every receipt has; `single` is that of buying one piece."""

    discount: float = 0.2
    coupon: float = 0.15
    refund: float = 0.15
    tip: float = 0.0
    cash_back: float = 0.0
    card: float = 0.6
    single: float = 0.6
    long: float = 0.0


@dataclass(frozen=True, slots=True)
class Captions:
    """The captions before amounts; they carry no label."""

    subtotal: str = "SUBTOTAL"
    tax: str = "TAX"
    total: str = "TOTAL"
    discount: str = "DISCOUNT"
    coupon: str = "COUPON"
    refund: str = "REFUND"
    tip: str = "TIP"
    change: str = "CHANGE"
    cash_back: str = "CASH BACK"
    loyalty: str = "MEMBER #"
    phone: str = "TEL:"
    hours: str = "STORE HOURS:"


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of receipt; `sections` and `item_style` name entries of the tables that render them."""

    name: str
    kind: str
    sections: tuple[str, ...]
    item_style: str
    columns: int = 40
    centred_header: bool = True
    money: str = "{}"
    date_format: str = "%m/%d/%Y"
    time_format: str = "%H:%M"
    captions: Captions = field(default_factory=Captions)
    odds: Odds = field(default_factory=Odds)
    items: tuple[int, int] = (3, 14)
    long_items: tuple[int, int] = (62, 90)
    measure: str = ""
    measured_hundredths: tuple[int, int] = (40, 480)
    tax_permilles: tuple[int, ...] = (60, 73, 85)

    @property
    def trade(self) -> Trade:
        """Names and goods of the template's kind of shop."""
        return TRADES[self.kind]


TEMPLATES = (
    Template(
        "supermarket",
        "grocery",
        (
            "merchant",
            "address",
            "phone",
            "clerk",
            "items",
            "totals",
            "payment",
            "loyalty",
            "moment",
            "thanks",
        ),
        "name_total",
        odds=Odds(discount=0.3, coupon=0.3, cash_back=0.6, long=0.06),
        captions=Captions(discount="CARD DISCOUNT", coupon="MFR COUPON", loyalty="CARD NO."),
    ),
    Template(
        "market_by_weight",
        "produce",
        ("merchant", "address", "hours", "moment", "items", "totals", "payment", "website", "thanks"),
        "measure_below",
        centred_header=False,
        measure="LB",
        captions=Captions(total="BALANCE DUE"),
        tax_permilles=(20, 30),
        items=(3, 11),
    ),
    Template(
        "pharmacy",
        "pharmacy",
        (
            "merchant",
            "clerk",
            "address",
            "phone",
            "moment",
            "items",
            "totals",
            "payment",
            "loyalty",
            "website",
        ),
        "quantity_name_total",
        captions=Captions(coupon="STORE COUPON", loyalty="REWARDS ID:", refund="REFUND CREDIT"),
        odds=Odds(coupon=0.4, cash_back=0.5),
        date_format="%b %d, %Y",
        time_format="%I:%M %p",
    ),
    Template(
        "restaurant",
        "restaurant",
        ("merchant", "address", "phone", "server", "moment", "items", "totals", "payment", "thanks"),
        "quantity_name_total",
        money="${}",
        odds=Odds(tip=0.85, refund=0.0, card=0.8),
        captions=Captions(total="TOTAL DUE"),
        items=(2, 10),
        time_format="%I:%M %p",
    ),
    Template(
        "bistro",
        "restaurant",
        ("merchant", "phone", "website", "moment", "server", "items", "totals", "payment", "hours"),
        "table",
        columns=44,
        centred_header=False,
        odds=Odds(tip=0.85, refund=0.0),
        captions=Captions(subtotal="FOOD SUBTOTAL", total="GRAND TOTAL", phone="CALL"),
        items=(2, 9),
        date_format="%d-%b-%Y",
    ),
    Template(
        "cafe",
        "cafe",
        ("merchant", "moment", "items", "totals", "payment", "loyalty", "website", "thanks"),
        "times_unit_total",
        columns=36,
        odds=Odds(tip=0.5, discount=0.2),
        captions=Captions(loyalty="STAMP CARD:", discount="HAPPY HOUR DISCOUNT"),
        items=(1, 6),
        date_format="%Y-%m-%d",
    ),
    Template(
        "warehouse_club",
        "warehouse",
        (
            "merchant",
            "address",
            "loyalty",
            "items",
            "totals",
            "payment",
            "clerk",
            "moment",
            "hours",
            "thanks",
        ),
        "code_name_total",
        columns=42,
        odds=Odds(discount=0.5, cash_back=0.5, long=0.1),
        captions=Captions(discount="INSTANT DISCOUNT", total="**** TOTAL", loyalty="MEMBER"),
        items=(5, 20),
    ),
    Template(
        "fuel_station",
        "fuel",
        ("merchant", "address", "pump", "moment", "items", "totals", "payment", "loyalty", "thanks"),
        "measure_below",
        columns=36,
        measure="GAL",
        measured_hundredths=(400, 2200),
        items=(1, 1),
        odds=Odds(card=0.8, coupon=0.0, refund=0.0),
        captions=Captions(total="FUEL TOTAL", loyalty="FUEL CARD", discount="FUEL DISCOUNT"),
        tax_permilles=(0,),
    ),
    Template(
        "hardware_store",
        "hardware",
        ("merchant", "address", "phone", "hours", "clerk", "items", "totals", "payment", "moment", "website"),
        "at_below",
        columns=42,
        odds=Odds(single=0.4, long=0.03),
        captions=Captions(refund="REFUND GOODS", discount="PRO DISCOUNT", tax="SALES TAX"),
        date_format="%m/%d/%y",
        time_format="%I:%M %p",
    ),
    Template(
        "department_store",
        "department",
        (
            "merchant",
            "address",
            "phone",
            "website",
            "clerk",
            "items",
            "totals",
            "payment",
            "loyalty",
            "moment",
        ),
        "table",
        columns=46,
        money="${}",
        odds=Odds(discount=0.5),
        captions=Captions(discount="PROMO DISCOUNT", coupon="REWARD COUPON", tax="SALES TAX"),
        items=(2, 9),
    ),
    Template(
        "electronics_store",
        "electronics",
        ("moment", "merchant", "website", "address", "items", "totals", "payment", "phone", "thanks"),
        "name_above",
        columns=40,
        centred_header=False,
        odds=Odds(card=0.85),
        captions=Captions(refund="REFUND AMOUNT", total="AMOUNT DUE", phone="SUPPORT"),
        items=(1, 7),
        date_format="%d %b %Y",
        time_format="%H:%M:%S",
    ),
    Template(
        "bookshop",
        "books",
        ("merchant", "website", "phone", "moment", "items", "totals", "payment", "hours", "thanks"),
        "name_total",
        columns=38,
        odds=Odds(discount=0.35),
        captions=Captions(subtotal="SUB-TOTAL", discount="READER DISCOUNT", hours="OPEN:"),
        items=(2, 10),
    ),
    Template(
        "convenience_store",
        "convenience",
        ("merchant", "address", "moment", "clerk", "items", "totals", "payment", "phone"),
        "times_unit_total",
        columns=38,
        odds=Odds(card=0.5, cash_back=0.6),
        captions=Captions(total="TOTAL SALE", change="CHANGE DUE"),
        items=(2, 9),
        time_format="%I:%M%p",
    ),
)
