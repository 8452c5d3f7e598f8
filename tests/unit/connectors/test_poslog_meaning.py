"""What POSLog's elements mean, one habit of a vendor each."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from unit.connectors.poslog_parts import cash, faults, figures, read, record, records, retail, sale, transaction

from tillwire.connectors.inbound import Claim
from tillwire.model.till import DayOpened, TillClosed, TillOpened
from tillwire.model.transaction import Disposition, Kind, LineKind

LINK = (
    "<TransactionLink><RetailStoreID>7</RetailStoreID><WorkstationID>2</WorkstationID>"
    "<SequenceNumber>3</SequenceNumber><BusinessDayDate>2025-05-04</BusinessDayDate></TransactionLink>"
)
TAX = "<Tax><Amount>{0}</Amount><Percent>{1}</Percent><TaxableAmount>{2}</TaxableAmount><TaxRuleID>T</TaxRuleID></Tax>"
D = Decimal


def test_a_plain_sale() -> None:
    made = record(transaction(retail(sale(), cash("10.00"), total="10.00")))
    tx = made.events[0].data
    assert (tx.key, tx.kind, tx.total) == ("7/2/2025-05-05/1", Kind.SALE, D(10))
    assert made.claims == (Claim(amount=D("10.00"), currency="USD"),)
    assert made.place == "Transaction 1, line 1"
    assert faults(tx) == set()


@pytest.mark.parametrize(
    "line",
    [
        sale(tag="Return"),
        sale(tag="Return", quantity="-1", amount="-10.00"),
        sale(quantity="-1"),
        sale(quantity="-1", amount="-10.00"),
        sale(amount="-10.00", price="10.00"),
    ],
)
@pytest.mark.parametrize("total", ["10.00", "-10.00"])
@pytest.mark.parametrize("tender", [cash("10.00", code=' TypeCode="Refund"'), cash("-10.00"), cash("10.00")])
def test_returns_however_written(line: str, total: str, tender: str) -> None:
    made = record(transaction(retail(line, tender, total=total, more=LINK)))
    tx = made.events[0].data
    assert (tx.kind, tx.total, tx.lines[0].quantity, tx.lines[0].amount) == (Kind.RETURN, D(-10), D(-1), D(-10))
    assert tx.tenders[0].amount == D(-10)
    assert tx.original is not None
    assert tx.original.key == "7/2/2025-05-04/3"
    assert made.claims[0].amount == D(-10)
    assert faults(tx) == set()


def test_an_exchange_is_one_transaction() -> None:
    tx = read(transaction(retail(sale(), sale("B", "4.00", tag="Return"), cash("6.00"), total="6.00")))
    assert (tx.kind, tx.total, [line.amount for line in tx.lines]) == (Kind.EXCHANGE, D(6), [D(10), D(-4)])
    assert faults(tx) == set()


@pytest.mark.parametrize("line", [sale(), sale(quantity="-1", amount="-10.00")])
@pytest.mark.parametrize("status", ["Voided", "PostVoided"])
def test_a_post_void_takes_back(line: str, status: str) -> None:
    tx = read(transaction(retail(line, cash("10.00"), total="10.00", status=status, more=LINK)))
    assert (tx.kind, tx.total, tx.lines[0].amount, tx.tenders[0].amount) == (Kind.POST_VOID, D(-10), D(-10), D(-10))
    assert faults(tx) == set()


def test_the_post_void_of_a_return_gives_out_again() -> None:
    tx = read(transaction(retail(sale(tag="Return"), cash("10.00"), total="10.00", status="Voided", more=LINK)))
    assert (tx.kind, tx.total, tx.lines[0].amount) == (Kind.POST_VOID, D(10), D(10))


def test_a_post_void_without_its_original_is_raised() -> None:
    assert faults(read(transaction(retail(sale(), cash("10.00"), total="10.00", status="Voided")))) == {
        "original_missing"
    }


def test_voided_before_anything_was_paid_is_cancelled() -> None:
    assert read(transaction(retail(sale(), status="Voided"))).kind is Kind.CANCELLED


@pytest.mark.parametrize(
    ("body", "attributes", "kind"),
    [
        (retail(sale(), status="Suspended"), "", Kind.SUSPENDED),
        (retail(sale(), status="SuspendedRetrieved"), "", Kind.RESUMED),
        (retail(sale(), status="Canceled"), "", Kind.CANCELLED),
        (retail(sale()), ' CancelFlag="true"', Kind.CANCELLED),
        (retail(sale()), ' TrainingModeFlag="TRUE"', Kind.TRAINING),
        ("<ControlTransaction><NoSale/></ControlTransaction>", "", Kind.NO_SALE),
        ("<ControlTransaction><TransactionVoid/></ControlTransaction>", "", Kind.CANCELLED),
    ],
)
def test_kinds_without_effect(body: str, attributes: str, kind: Kind) -> None:
    made = record(transaction(body, attributes=attributes))
    assert made.events[0].data.kind is kind
    assert made.claims == ()


def test_training_can_be_left_out() -> None:
    made = record(transaction(retail(sale()), attributes=' TrainingModeFlag="true"'), training="ignore")
    assert (made.events, made.ignored) == ((), "a training transaction")


VOID = '<LineItem VoidFlag="true">{}</LineItem>'


@pytest.mark.parametrize(
    ("items", "total", "voided"),
    [
        ([sale(), sale("B"), VOID.format(sale())], "10.00", [True, False, True]),
        ([sale(), sale("B"), VOID.format(sale(amount="-10.00", quantity="-1"))], "10.00", [True, False, True]),
        ([sale(), VOID.format(sale("B"))], "10.00", [False, True]),
        ([sale(), VOID.format(sale())], "10.00", [False, True]),
        (
            [sale(amount="30.00", quantity="3"), VOID.format(sale(amount="-10.00", quantity="-1"))],
            "20.00",
            [False, False],
        ),
    ],
)
def test_line_voids(items: list[str], total: str, voided: list[bool]) -> None:
    tx = read(transaction(retail(*items, cash(total), total=total)))
    assert [line.voided for line in tx.lines] == voided
    assert figures(tx) == tx.total == D(total)


def test_a_void_style_that_cannot_be_told_can_be_set() -> None:
    items = transaction(retail(sale(), sale("B"), VOID.format(sale())))
    assert [line.voided for line in read(items).lines] == [False, False, True]
    assert [line.voided for line in read(items, voids="earlier").lines] == [True, False, True]


def test_tax_on_top_and_within_prices_per_line() -> None:
    top = sale(amount="10.00", more=TAX.format("1.00", "10", "10.00"))
    within = sale("B", amount="11.00", more=TAX.format("1.00", "10", "10.00"))
    tx = read(transaction(retail(top, within, cash("22.00"), total="22.00", TransactionTaxAmount="2.00")))
    assert [line.tax_included for line in tx.lines] == [None, True]
    assert (tx.tax_included, tx.tax, figures(tx)) == (False, D(2), D(22))
    both = read(transaction(retail(within, cash("11.00"), total="11.00")))
    assert (both.tax_included, both.lines[0].tax_included, both.lines[0].taxes[0].rate) == (True, None, D("0.1"))


@pytest.mark.parametrize(("total", "included"), [("11.00", False), ("10.00", True)])
def test_tax_of_the_whole_is_allotted(total: str, included: bool) -> None:
    items = [sale(amount=amount) for amount in ("3.33", "3.33", "3.34")]
    tx = read(transaction(retail(*items, cash(total), total=total, TransactionTaxAmount="1.00")))
    assert (tx.tax_included, tx.tax) == (included, D(1))
    assert [line.taxes[0].amount for line in tx.lines] == [D("0.33"), D("0.33"), D("0.34")]
    assert faults(tx) == set()


def test_tax_of_an_exchange_is_charged_and_given_back() -> None:
    items = [sale(amount="50.00"), sale(amount="40.00", tag="Return")]
    tx = read(transaction(retail(*items, cash("10.00"), total="10.00", TransactionTaxAmount="1.60")))
    assert [line.taxes[0].amount for line in tx.lines] == [D("8.00"), D("-6.40")]


MODIFIER = '<RetailPriceModifier><Amount Action="{0}">{1}</Amount><PromotionID>P</PromotionID></RetailPriceModifier>'


@pytest.mark.parametrize(
    ("line", "total", "price"),
    [
        (sale(amount="10.00", price="10.00", more=MODIFIER.format("Subtract", "2.00")), "8.00", "10.00"),
        (sale(amount="8.00", price="10.00", more=MODIFIER.format("Subtract", "2.00")), "8.00", "10.00"),
        (sale(amount="12.00", price="10.00", more=MODIFIER.format("Add", "2.00")), "12.00", "10.00"),
        (sale(amount="8.00", more=MODIFIER.format("Subtract", "2.00")), "8.00", "10"),
        (sale(amount="10.00", more="<ExtendedDiscountAmount>2.00</ExtendedDiscountAmount>"), "8.00", "10"),
    ],
)
def test_discounts_before_or_after_the_extended_amount(line: str, total: str, price: str) -> None:
    tx = read(transaction(retail(line, cash(total), total=total)))
    assert (tx.lines[0].amount, tx.lines[0].unit_price) == (D(total), D(price))
    assert faults(tx) == set()


def test_a_discount_of_the_whole_is_allotted_by_largest_remainder() -> None:
    off = "<Discount><Amount>1.00</Amount></Discount>"
    items = [sale(amount="10.00", price="10.00") for _ in range(3)]
    tx = read(transaction(retail(*items, off, cash("29.00"), total="29.00")))
    assert [line.amount for line in tx.lines] == [D("9.66"), D("9.67"), D("9.67")]
    assert faults(tx) == set()
    already = read(transaction(retail(*items, off, cash("30.00"), total="30.00")))
    assert figures(already) == D(30)


@pytest.mark.parametrize(
    ("tenders", "amounts"),
    [
        ([cash("20.00", "<TenderChange><Amount>10.00</Amount></TenderChange>")], ["20.00", "-10.00"]),
        ([cash("20.00"), '<TenderChange TenderType="Cash"><Amount>10.00</Amount></TenderChange>'], ["20.00", "-10.00"]),
        (
            [
                cash("20.00"),
                "<TenderChange><TenderChange TenderType='Cash'><Amount>10.00</Amount></TenderChange></TenderChange>",
            ],
            ["20.00", "-10.00"],
        ),
        ([cash("20.00"), cash("-10.00")], ["20.00", "-10.00"]),
        ([cash("10.00", "<TenderChange><Amount>10.00</Amount></TenderChange>")], ["10.00"]),
    ],
)
def test_change_is_negative_cash(tenders: list[str], amounts: list[str]) -> None:
    tx = read(transaction(retail(sale(), *tenders, total="10.00")))
    assert [one.amount for one in tx.tenders] == [D(one) for one in amounts]
    assert [one.change for one in tx.tenders] == [D(one) < 0 for one in amounts]
    assert faults(tx) == set()


@pytest.mark.parametrize(
    ("rounding", "paid", "grand", "rounded"),
    [
        ('<Tender><Rounding RoundingDirection="Down">0.02</Rounding></Tender>', "10.00", "10.02", "-0.02"),
        ('<Tender><Rounding RoundingDirection="Up">0.03</Rounding></Tender>', "10.05", "10.02", "0.03"),
        ("<Tender><Amount>0.02</Amount></Tender>", "10.00", "10.02", "-0.02"),
        ("<Tender><Amount>-0.03</Amount></Tender>", "10.05", "10.02", "0.03"),
        ("<Rounding>-0.02</Rounding>", "10.00", "10.00", "-0.02"),
    ],
)
def test_cash_rounding_is_neither_tender_nor_tax(rounding: str, paid: str, grand: str, rounded: str) -> None:
    made = record(transaction(retail(sale(amount="10.02"), cash(paid), rounding, total=grand)))
    tx = made.events[0].data
    assert (tx.total, tx.rounding, [one.amount for one in tx.tenders]) == (D(paid), D(rounded), [D(paid)])
    assert made.claims[0].amount == D(paid)
    assert faults(tx) == set()


def test_a_total_that_nothing_explains_stays_and_is_raised() -> None:
    made = record(transaction(retail(sale(), cash("9.00"), total="9.00")))
    assert (made.events[0].data.total, made.claims[0].amount) == (D(9), D(9))
    assert faults(made.events[0].data) == {"total_mismatch"}


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ('<Sale ItemType="Service"><ItemID>S</ItemID><ExtendedAmount>10.00</ExtendedAmount></Sale>', LineKind.SERVICE),
        ('<Sale ItemType="Deposit"><ItemID>S</ItemID><ExtendedAmount>10.00</ExtendedAmount></Sale>', LineKind.DEPOSIT),
        (
            '<Sale ItemType="x:GiftCard"><ItemID>S</ItemID><ExtendedAmount>10.00</ExtendedAmount></Sale>',
            LineKind.GIFT_CARD,
        ),
        ("<GiftCertificate><Amount>10.00</Amount></GiftCertificate>", LineKind.GIFT_CARD),
        ("<Donation><Amount>10.00</Amount></Donation>", LineKind.DONATION),
        ("<PaymentOnAccount><Amount>10.00</Amount></PaymentOnAccount>", LineKind.DEPOSIT),
        ("<Fee><Amount>10.00</Amount></Fee>", LineKind.CHARGE),
        ("<Tip><Amount>10.00</Amount></Tip>", LineKind.TIP),
    ],
)
def test_kinds_of_lines(item: str, kind: LineKind) -> None:
    tx = read(transaction(retail(item, cash("10.00"), total="10.00")))
    assert (tx.lines[0].kind, tx.lines[0].amount, tx.kind) == (kind, D(10), Kind.SALE)
    assert faults(tx) == set()


def test_weights_and_units() -> None:
    weighed = sale(amount="5.00", price="20.00", more="").replace(
        "<Quantity>", '<Quantity Units="0.25" UnitOfMeasureCode="KG">'
    )
    assert (read(transaction(retail(weighed))).lines[0].quantity, read(transaction(retail(weighed))).lines[0].unit) == (
        D("0.25"),
        "KGM",
    )
    pack = sale().replace("<Quantity>", '<Quantity UnitOfMeasureCode="SIXPACK">')
    assert read(transaction(retail(pack)), units={"SIXPACK": "P6"}).lines[0].unit == "P6"


def test_disposal_serial_and_foreign_cash() -> None:
    more = '<SerialNumber>490154203237518</SerialNumber><Disposal Method="ReturnToVendor"/>'
    foreign = "<ForeignCurrency><CurrencyCode>EUR</CurrencyCode><OriginalFaceAmount>9.00</OriginalFaceAmount></ForeignCurrency>"
    tx = read(transaction(retail(sale(tag="Return", more=more), cash("10.00", foreign), total="10.00")))
    assert (tx.lines[0].serial, tx.lines[0].disposition) == ("490154203237518", Disposition.VENDOR)
    assert str(tx.tenders[0].foreign) == "-9.00 EUR"


def test_persons_and_cards_stay_out() -> None:
    more = (
        "<Customer><CustomerID>ada@mail.example</CustomerID><Name><Name>Ada Lovelace</Name></Name></Customer>"
        "<LoyaltyAccount><LoyaltyAccountID>6001122233</LoyaltyAccountID><Points Type='PointsEarned'>7</Points></LoyaltyAccount>"
    )
    card = (
        '<Tender TenderType="CreditDebit"><Amount>10.00</Amount>'
        "<Authorization><AuthorizationCode>4111 1111 1111 1111</AuthorizationCode></Authorization></Tender>"
    )
    made = record(transaction(retail(sale(), card, total="10.00", more=more)), pseudonym_key="k")
    tx = made.events[0].data
    told = repr(made.events)
    assert not [one for one in ("ada", "Lovelace", "6001122233", "4111") if one in told]
    assert (tx.tenders[0].reference, tx.loyalty[0].earned) == ("************1111", D(7))
    other = record(transaction(retail(sale(), card, total="10.00", more=more)), pseudonym_key="other").events[0].data
    assert other.customer != tx.customer


def test_times_in_all_their_forms() -> None:
    times = "<BeginDateTime>2025-05-05T23:50:00.1234567</BeginDateTime><EndDateTime>2025-05-05T22:10:00Z</EndDateTime>"
    tx = read(transaction(times + retail(sale())), time_zone="Europe/Paris")
    assert tx.began_at is not None
    assert tx.began_at.astimezone(UTC) == datetime(2025, 5, 5, 21, 50, 0, 123456, tzinfo=UTC)
    assert tx.ended_at == datetime(2025, 5, 5, 22, 10, tzinfo=UTC)
    assert tx.business_date == date(2025, 5, 5)
    assert read(transaction(times + retail(sale()))).began_at is None


def test_a_business_date_that_is_missing_is_the_day_in_the_stores_zone() -> None:
    text = transaction("<EndDateTime>2025-05-05T23:30:00Z</EndDateTime>" + retail(sale()))
    text = text.replace("<BusinessDayDate>2025-05-05</BusinessDayDate>", "")
    assert read(text, time_zone="Asia/Tokyo").business_date == date(2025, 5, 6)
    assert read(text, time_zone="America/New_York").business_date == date(2025, 5, 5)


def test_long_sequences_letters_and_maps() -> None:
    text = transaction(retail(sale()), sequence=30000000011).replace(">7<", ">HAM/02<")
    assert read(text).key == "HAM_02/2/2025-05-05/30000000011"
    assert read(text, stores={"HAM/02": "0042"}, registers={"HAM/02/2": "R2"}).key == "0042/R2/2025-05-05/30000000011"


@pytest.mark.parametrize(
    ("text", "code", "pointer"),
    [
        (transaction(retail(sale(amount="x"))), "schema_drift", "LineItem[1]/Sale/ExtendedAmount"),
        (transaction(retail(sale(amount="NaN"))), "schema_drift", "LineItem[1]/Sale/ExtendedAmount"),
        (transaction(retail(sale(amount="1E+30"))), "schema_drift", "LineItem[1]/Sale/ExtendedAmount"),
        (transaction(retail(sale(sku=""))), "schema_drift", "LineItem[1]/Sale/ItemID"),
        (transaction(retail(sale()), sequence="12A"), "schema_drift", "SequenceNumber"),
        (transaction(retail(sale()), sequence=2**63), "schema_drift", "SequenceNumber"),
        (transaction(retail(sale()), currency=""), "schema_drift", "CurrencyCode"),
        (transaction(retail(sale())).replace("2025-05-05", "2025-13-05"), "schema_drift", "BusinessDayDate"),
        (transaction(""), "schema_drift", "Transaction"),
        (
            transaction(
                "<TransactionType>PayIn</TransactionType><TenderControlTransaction><PayOut><Amount>5</Amount></PayOut></TenderControlTransaction>"
            ),
            "kind_contradiction",
            "TransactionType",
        ),
        (
            transaction("<ControlTransaction><PostVoid/></ControlTransaction>"),
            "empty_transaction",
            "ControlTransaction/PostVoid",
        ),
        (
            transaction(
                "<TenderControlTransaction><TillSettle><CreditDebit><CurrentAmount>5</CurrentAmount></CreditDebit></TillSettle></TenderControlTransaction>"
            ),
            "schema_drift",
            "TillSettle/TransactionCount",
        ),
    ],
)
def test_what_cannot_be_said_is_a_trouble(text: str, code: str, pointer: str) -> None:
    made = record(text)
    assert made.events == ()
    assert [(one.code, one.pointer) for one in made.troubles] == [(code, pointer)]


@pytest.mark.parametrize(
    ("body", "kind", "total"),
    [
        ("<TenderLoan TenderType='Cash'><Amount>50.00</Amount></TenderLoan>", Kind.LOAN, "50.00"),
        (
            "<TenderPickup><Totals TenderType='Cash'><Amount>50.00</Amount></Totals></TenderPickup>",
            Kind.PICKUP,
            "-50.00",
        ),
        ("<PaidIn><Amount>5.00</Amount></PaidIn>", Kind.PAY_IN, "5.00"),
        ("<PaidOut><Tender TenderType='Cash'><Amount>5.00</Amount></Tender></PaidOut>", Kind.PAY_OUT, "-5.00"),
        ("<SafeDrop TenderType='Cash'><Amount>5.00</Amount></SafeDrop>", Kind.PICKUP, "-5.00"),
    ],
)
def test_tender_control(body: str, kind: Kind, total: str) -> None:
    tx = read(transaction(f"<TenderControlTransaction>{body}</TenderControlTransaction>"))
    assert (tx.kind, tx.total, tx.tenders[0].type, tx.tenders[0].amount) == (kind, D(total), "cash", D(total))
    assert faults(tx) == set()


def message(text: str, **settings: Any) -> Any:
    made = record(text, **settings)
    assert made.troubles == ()
    return made.events[0].data


def test_tills_and_days() -> None:
    ledger = "".join(
        f"<{name} TenderType='Cash'><Amount>{amount}</Amount></{name}>"
        for name, amount in (("Beginning", "50"), ("Sales", "20"), ("Ending", "69"), ("Short", "1"))
    )
    counts = "<TransactionCount>3</TransactionCount><TotalNetSalesAmount>20</TotalNetSalesAmount><TotalTaxAmount>2</TotalTaxAmount>"
    settle = f"<TillSettle>{counts}<TenderSummary>{ledger}</TenderSummary></TillSettle>"
    closed = message(transaction(f"<TenderControlTransaction>{settle}</TenderControlTransaction>"))
    assert isinstance(closed, TillClosed)
    assert (closed.totals.transactions, closed.totals.amount) == (3, D(22))
    assert (closed.tenders[0].calculated, closed.tenders[0].counted) == (D(70), D(69))
    beginning = "<TillSettle><TenderSummary><Beginning TenderType='Cash'><Amount>50</Amount></Beginning></TenderSummary></TillSettle>"
    opened = message(transaction(f"<TenderControlTransaction>{beginning}</TenderControlTransaction>"))
    assert isinstance(opened, TillOpened)
    assert opened.opening_float == D(50)
    assert isinstance(message(transaction("<ControlTransaction><BusinessSOD/></ControlTransaction>")), DayOpened)
    day = message(transaction(f"<ControlTransaction><BusinessEOD>{counts}</BusinessEOD></ControlTransaction>"))
    assert day.totals.amount == D(22)
    assert record(transaction("<ControlTransaction><BusinessEOD/></ControlTransaction>")).ignored


def test_control_transactions_can_fill_the_sequence() -> None:
    text = transaction("<ControlTransaction><OperatorSignOn/></ControlTransaction>")
    assert "OperatorSignOn" in record(text).ignored
    assert read(text, controls="count").kind is Kind.NO_SALE


def test_one_bad_transaction_does_not_hide_the_others() -> None:
    found = records(
        f"<POSLog>{transaction(retail(sale(amount='x')))}{transaction(retail(sale()), sequence=2)}</POSLog>"
    )
    assert [bool(one.troubles) for one in found] == [True, False]
