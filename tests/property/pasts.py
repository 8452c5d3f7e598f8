"""Strategies of pasts: versions, voids and returns of a few sales, in stores that close their day."""

from __future__ import annotations

from builders import Event, corrected, day_close, line, original_of, post_void, returned, sale
from hypothesis import strategies as st

PRICES = {"milk": "2.00", "bread": "1.00", "beer": "6.00"}
STORES = ("101", "102")


@st.composite
def versions_of(draw: st.DrawFn, first: Event, most: dict[str, int], sign: int) -> tuple[list[Event], dict[str, int]]:
    """Versions of a transaction, with numbers that may be left out, and what the last of them sells or takes back."""
    numbers = [1, *sorted(draw(st.sets(st.integers(2, 5), max_size=2)))]
    made: list[Event] = []
    goods: dict[str, int] = {}
    for number in numbers:
        least = 3 if sign > 0 else 1  # whatever version of the sale is there, its returns find enough of it
        goods = {sku: draw(st.integers(least, count)) for sku, count in most.items() if sign > 0 or draw(st.booleans())}
        goods = goods or dict.fromkeys(list(most)[:1], 1)
        lines = [line(sku, str(sign * count), PRICES[sku], tax=("STD", str(sign))) for sku, count in goods.items()]
        one = corrected(first, number, *lines)
        if number == 1:
            del one["data"]["version"]
        made.append(one)
    return made, goods


@st.composite
def pasts(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """Every event that arrives, and the transactions that count in the end."""
    arriving: list[Event] = []
    final: list[Event] = []

    def add(made: list[Event]) -> Event:
        arriving.extend(made)
        data = {name: value for name, value in made[-1]["data"].items() if name != "version"}
        final.append({**made[-1], "data": data})
        return final[-1]

    for i in range(draw(st.integers(1, 3))):
        where = draw(st.sampled_from(STORES))
        made, goods = draw(versions_of(sale(10 * i, store=where), dict.fromkeys(PRICES, 5), 1))
        sold = add(made)
        came = draw(st.sampled_from(("kept", "voided", "restored", "returned", "returned")))
        if came in ("voided", "restored") and len(made) == 1:
            voided = add([post_void(10 * i + 1, sold)])
            if came == "restored":
                add([post_void(10 * i + 2, voided)])
        elif came == "returned":
            for number, most in enumerate(draw(st.sampled_from(((3,), (1, 2), (2, 1), (1, 1, 1))))):
                elsewhere = draw(st.sampled_from(STORES))
                empty = returned(10 * i + 3 + number, store=elsewhere, original=original_of(sold))
                add(draw(versions_of(empty, dict.fromkeys(goods, most), -1))[0])
    for where in STORES:
        add([day_close([one for one in final if one["data"]["store"] == where], store=where)])
    return arriving, final
