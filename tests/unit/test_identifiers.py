"""GTIN and GLN check digits, and UUIDs in the order of time."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tillwire.model.identifiers import check_digit, gtin14, is_gln, is_gtin, uuid7

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "gs1"

VALID = ["96385074", "036000291452", "4006381333931", "5901234123457", "00012345600012", "10614141000415"]


@pytest.mark.parametrize("code", VALID)
def test_a_right_check_digit_is_taken_and_every_other_refused(code: str) -> None:
    assert is_gtin(code)
    assert check_digit(code[:-1]) == int(code[-1])
    for digit in set("0123456789") - {code[-1]}:
        assert not is_gtin(code[:-1] + digit)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "4",
        "400638133393",
        "40063813339310",
        "400638133393X",
        "４００６３８１３３３９３１",
        " 4006381333931",
        "4006381333931\n",
    ],
)
def test_what_is_no_gtin_is_refused(code: str) -> None:
    assert not is_gtin(code)
    with pytest.raises(ValueError, match="is no GTIN"):
        gtin14(code)


def test_forms_of_one_item_compare_equal() -> None:
    assert gtin14("036000291452") == gtin14("0036000291452") == gtin14("00036000291452") == "00036000291452"


def test_a_location_number_has_13_digits() -> None:
    assert is_gln("4012345000009")
    assert not is_gln("4012345000008")
    assert not is_gln("96385074")


def test_check_digits_are_made_of_digits_only() -> None:
    with pytest.raises(ValueError, match="digits 0 to 9"):
        check_digit("12a")


def test_gtins_of_the_shared_vectors() -> None:
    if not FIXTURES.is_dir():
        pytest.skip(f"no shared fixtures at {FIXTURES}")
    seen = 0
    for path in sorted(FIXTURES.glob("*vectors.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row.get("valid") != "true":
                    continue
                for code in re.findall(r"\(01\)([0-9]{14})", row["bracketed_ai"]):
                    seen += 1
                    assert is_gtin(code), f"{path.name}: {code}"
                    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
                    assert not is_gtin(wrong), f"{path.name}: {wrong}"
    assert seen, "the vectors hold no GTIN: look for them elsewhere"


def test_uuids_sort_by_their_time() -> None:
    moments = iter(range(1_700_000_000_000, 1_700_000_000_050))
    made = [uuid7(unix_ms=lambda: next(moments)) for _ in range(50)]
    assert made == sorted(made)
    assert [str(one) for one in made] == sorted(str(one) for one in made)
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}


def test_uuids_carry_their_millisecond_and_repeat_with_their_seed() -> None:
    fixed = uuid7(unix_ms=lambda: 0x0123456789AB, random_bits=lambda bits: (1 << bits) - 1)
    assert str(fixed) == "01234567-89ab-7fff-bfff-ffffffffffff"
    assert uuid7() != uuid7()
