"""Loyalty accounts, their points, and rewards that are discounts."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple
from xml.etree.ElementTree import Element

from tillwire.connectors.poslog.people import Pseudonyms, plain
from tillwire.connectors.poslog.tree import attribute, number, text_at, text_of
from tillwire.model.money import ZERO
from tillwire.model.transaction import Loyalty

_EARNED = frozenset({"pointsearned", "credited", "earned", "awarded", "pointsawarded"})
_REDEEMED = frozenset({"redeemed", "pointsredeemed", "debited"})
_CUSTOMER_PATHS = ("Customer/CustomerID", "Customer/AlternateKey/ID", "CustomerID", "LoyaltyAccount/CustomerID")
_ACCOUNT_PATHS = (
    "LoyaltyProgram/LoyaltyAccountID",
    "LoyaltyAccountID",
    "LoyaltyCard/PrimaryAccountNumber",
    "LoyaltyProgram/LoyaltyCard/PrimaryAccountNumber",
    "LoyaltyID",
    "MembershipID",
    "LoyaltyAccount/LoyaltyAccountID",
    "CustomerID",
)


class Reward(NamedTuple):
    """Money off by a loyalty program: whether it is in the lines already only the totals can tell."""

    amount: Decimal
    """Positive."""
    tag: str
    """What the line calls itself that it belongs to; empty: the whole transaction."""
    promotion: str | None


def customer(body: Element, pseudonyms: Pseudonyms) -> str | None:
    """A pseudonym of the customer; none if the source names none."""
    for path in _CUSTOMER_PATHS:
        said = text_at(body, path)
        if said:
            return pseudonyms.customer(said)
    return None


def accounts(body: Element, pseudonyms: Pseudonyms) -> tuple[Loyalty, ...]:
    """The accounts with their points, each account and program once. Raises ``DriftError``."""
    points: dict[tuple[str, str], list[Decimal]] = {}
    named = body.findall("LoyaltyAccount")
    named += [one for item in body.iterfind("LineItem") for one in item if one.tag in _ITEMS]
    named += body.findall("LineItem/Sale/LoyaltyAccount")
    last: tuple[str, str] | None = None
    for element in named:
        account = next((said for path in _ACCOUNT_PATHS if (said := text_at(element, path))), "")
        if account:
            program = text_at(element, "LoyaltyProgram/LoyaltyProgramID") or text_at(element, "LoyaltyProgramID")
            last = (pseudonyms.account(account) or "", plain(program) or "")
        earned, redeemed = _points(element)
        if last is None:
            continue
        sums = points.setdefault(last, [ZERO, ZERO])
        sums[0] += earned
        sums[1] += redeemed
    return tuple(
        Loyalty(account, program, earned, redeemed) for (account, program), (earned, redeemed) in points.items()
    )


_ITEMS = frozenset({"LoyaltyMembership", "LoyaltyAccount", "LoyaltyReward", "LoyaltyRedemption", "Points"})


def _points(element: Element) -> tuple[Decimal, Decimal]:
    earned = redeemed = ZERO
    for one in element.iter():
        if one.tag in ("PointsAwarded", "PointsEarned"):
            earned += number(one, one.tag) or ZERO
        elif one.tag in ("PointsRedeemed", "RedeemedPoints"):
            redeemed += number(one, one.tag) or ZERO
        elif one.tag == "Points":
            kind = (attribute(one, "Type") or attribute(one, "TypeCode")).rpartition(":")[2].lower()
            if kind in _EARNED:
                earned += number(one, "Points") or ZERO
            elif kind in _REDEEMED:
                redeemed += number(one, "Points") or ZERO
    return earned, abs(redeemed)


def rewards(body: Element) -> list[Reward]:
    """Rewards that are money, each once: summaries of others are left out. Raises ``DriftError``."""
    found = []
    for element in body.iterfind("LineItem/LoyaltyReward"):
        category = text_of(element.find("RewardCategory"))
        if category and category.lower() != "monetary":
            continue
        tag = text_of(element.find("OperatorSequenceReference"))
        if tag.strip("0") == "":
            tag = ""
        if not tag and attribute(element, "summarizedActivity").lower() == "true":
            continue
        for path in ("ExtendedRewardAmount", "Discount/Amount", "DiscountAmount", "RewardAmount"):
            amount = number(element.find(path), f"LoyaltyReward/{path}")
            if amount:
                found.append(Reward(abs(amount), tag, plain(text_of(element.find("PromotionID")))))
                break
    return found
