"""Styles of item rows."""

from __future__ import annotations

from collections.abc import Callable

from receipt_layoutlm.data.synthetic.purchase import Item
from receipt_layoutlm.data.synthetic.rendering import Row, Text, left, right

Money = Callable[[int], str]
ItemStyle = Callable[[Item, Money], list[Row]]

ITEM_CODE_DIGITS = 6


def _name(item: Item) -> Text:
    return Text(item.name, "PRODUCT_NAME")


def _quantity(item: Item, suffix: str = "") -> Text:
    return Text(item.quantity + suffix, "QUANTITY")


def _unit(item: Item, money: Money) -> Text:
    return Text(money(item.unit_cents), "UNIT_PRICE")


def _total(item: Item, money: Money) -> Text:
    return Text(money(item.total_cents), "LINE_TOTAL")


def name_total(item: Item, money: Money) -> list[Row]:
    """`WHOLE MILK      3.49`."""
    return [Row((left(_name(item)), right(_total(item, money))))]


def quantity_name_total(item: Item, money: Money) -> list[Row]:
    """`2 ICED TEA      5.98`."""
    return [Row((left(_quantity(item), _name(item)), right(_total(item, money))))]


def times_unit_total(item: Item, money: Money) -> list[Row]:
    """`2x LATTE  4.50  9.00`."""
    cells = (
        left(_quantity(item, "x"), _name(item)),
        right(_unit(item, money), at=0.8),
        right(_total(item, money)),
    )
    return [Row(cells)]


def table(item: Item, money: Money) -> list[Row]:
    """`DENIM JEANS  2  29.99  59.98` under the table's head."""
    numbers = (
        right(_quantity(item), at=0.55),
        right(_unit(item, money), at=0.77),
        right(_total(item, money)),
    )
    return [Row((left(_name(item)), *numbers))]


def code_name_total(item: Item, money: Money) -> list[Row]:
    """`004821 TRAIL MIX      9.99`; the code is always the same for the same name."""
    code = sum(ord(c) * 31**i for i, c in enumerate(item.name)) % 10**ITEM_CODE_DIGITS
    cells = (left(Text(f"{code:0{ITEM_CODE_DIGITS}d}"), _name(item)), right(_total(item, money)))
    return [Row(cells), *_several(item, money)]


def at_below(item: Item, money: Money) -> list[Row]:
    """`DUCT TAPE      13.98`, and below it, for several, `2 @ 6.99`."""
    return [*name_total(item, money), *_several(item, money)]


def _several(item: Item, money: Money) -> list[Row]:
    if item.quantity == "1":
        return []
    return [Row((left(_quantity(item), Text("@"), _unit(item, money), at=0.1),))]


def name_above(item: Item, money: Money) -> list[Row]:
    """`USB CABLE`, and below it `1 @ 7.99      7.99`."""
    below = (left(_quantity(item), Text("@"), _unit(item, money), at=0.1), right(_total(item, money)))
    return [Row((left(_name(item)),)), Row(below)]


def measure_below(item: Item, money: Money) -> list[Row]:
    """`BANANAS`, and below it `2.31 LB @ 0.59 /LB      1.36`."""
    measured = (
        _quantity(item),
        Text(f"{item.measure} @"),
        _unit(item, money),
        Text(f"/{item.measure}"),
    )
    return [Row((left(_name(item)),)), Row((left(*measured, at=0.05), right(_total(item, money))))]


ITEM_STYLES: dict[str, ItemStyle] = {
    style.__name__: style
    for style in (
        name_total,
        quantity_name_total,
        times_unit_total,
        table,
        code_name_total,
        at_below,
        name_above,
        measure_below,
    )
}
TABLE_HEAD = Row(
    (left(Text("ITEM")), right(Text("QTY"), at=0.55), right(Text("PRICE"), at=0.77), right(Text("AMOUNT")))
)
