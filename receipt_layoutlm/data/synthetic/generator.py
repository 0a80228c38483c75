"""Makes synthetic receipts, each from the seed and its index alone, so that a longer run begins the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from receipt_layoutlm.data.receipt_draft import DraftReceipt
from receipt_layoutlm.data.synthetic.pools import CITIES, CLERKS, HOURS, STREETS, THANKS
from receipt_layoutlm.data.synthetic.purchase import make_purchase
from receipt_layoutlm.data.synthetic.rendering import set_rows
from receipt_layoutlm.data.synthetic.sections import SECTIONS, Sale, Store
from receipt_layoutlm.data.synthetic.templates import TEMPLATES, Template

FIRST_DAY = datetime(2021, 1, 1, 7, tzinfo=UTC)
DAYS = 1800
SECONDS_OPEN = 14 * 3600


@dataclass(frozen=True, slots=True)
class SyntheticReceipt:
    """A receipt with what it was made from, against which its text can be checked."""

    draft: DraftReceipt
    sale: Sale


def generate(n: int, seed: int) -> Iterator[DraftReceipt]:
    """The first `n` receipts of `seed`."""
    return (make_receipt(seed, index).draft for index in range(n))


def make_receipt(seed: int, index: int) -> SyntheticReceipt:
    """Receipt number `index` of `seed`."""
    # Seeded with text, which Random hashes with SHA-512: the same in every process.
    random = Random(f"synthetic receipt {seed}/{index}")  # noqa: S311 - not for secrets
    sale = _make_sale(random.choice(TEMPLATES), random)
    sections = [SECTIONS[name](sale) for name in sale.template.sections]
    page, lines = set_rows(sections, sale.template.columns, random)
    draft = DraftReceipt(
        source="synthetic",
        key=f"{seed}-{index:06d}-{sale.template.name}",
        width=page.width,
        height=page.height,
        lines=lines,
        labelled_by="synthetic",
        merchant=sale.store.merchant,
    )
    return SyntheticReceipt(draft, sale)


def _make_sale(template: Template, random: Random) -> Sale:
    moment = FIRST_DAY + timedelta(days=random.randrange(DAYS), seconds=random.randrange(SECONDS_OPEN))
    return Sale(
        template=template,
        store=_make_store(template, random),
        purchase=make_purchase(template, random),
        moment=moment,
        loyalty_id=str(random.randint(10**9, 10**10 - 1)),
        card_digits=f"{random.randrange(10**4):04d}",
        clerk=random.choice(CLERKS),
        station=random.randint(1, 16),
        transaction=random.randint(1000, 999999),
        courtesies=tuple(random.sample(THANKS, random.randint(1, 2))),
    )


def _make_store(template: Template, random: Random) -> Store:
    merchant = random.choice(template.trade.merchants)
    street = f"{random.randint(100, 9999)} {random.choice(STREETS)}"
    city = f"{random.choice(CITIES)} {random.randint(10000, 99999)}"
    phone = f"({random.randint(200, 989)}) {random.randint(200, 999)}-{random.randint(0, 9999):04d}"
    site = f"WWW.{merchant.replace(' ', '')}.COM"
    return Store(merchant, (street, city), phone, site, random.choice(HOURS))
