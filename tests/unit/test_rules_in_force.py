"""What configuration makes of the rules: severities, owners, tolerances, and severities per source."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from builders import DAY, Event, line, masters, raw, sale, tender

from tillwire import bootstrap, config
from tillwire.cli.main import check as check_command
from tillwire.cli.main import up as up_command
from tillwire.cli.rules import in_force, show
from tillwire.errors import ConfigurationError
from tillwire.exceptions.codes import CODES
from tillwire.intake.faulty import exception_row
from tillwire.intake.rules import Auditor, Enrichment, Fault, Policy
from tillwire.intake.trial import Outcome, Raised
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.event import EVENT_DECODER

TODAY = DAY + timedelta(days=3)
WRONG_TAX = sale(tax="0.41")
UNPAID = sale(1, line(), tenders=[tender("1.99")])


def policy(toml: str, tmp_path: Path) -> Policy:
    """The policy of a tillwire.toml, as every process makes it."""
    path = tmp_path / "tillwire.toml"
    path.write_text(toml)
    return bootstrap.policy(config.load(path, {}).rules)


def auditor(policy: Policy) -> Auditor:
    snapshot = Snapshot()
    for record in masters():
        snapshot.put(EVENT_DECODER.decode(raw(record)).data)
    return Auditor(snapshot, policy)


def check(of: Auditor, one: Event, source: str = "") -> tuple[list[Fault], Enrichment]:
    return of.check(EVENT_DECODER.decode(raw(one)).data, TODAY, source)


def weights(of: Auditor, one: Event, source: str = "") -> list[tuple[str, str]]:
    return [(fault.code, fault.severity) for fault in check(of, one, source)[0]]


def test_without_configuration_the_catalogue_is_in_force() -> None:
    plain = Policy()
    for code, one in CODES.items():
        assert (plain.severity(code), plain.owner(code)) == (one.severity, one.owner)
        assert plain.tolerance(code) == one.tolerance


def test_severity_owner_and_tolerance_are_set_per_code(tmp_path: Path) -> None:
    made = policy(
        "[rules.codes]\n"
        'tax_mismatch = { severity = "warning", owner = "tax desk" }\n'
        'tender_mismatch = { severity = "off" }\n'
        "net_mismatch = { tolerance = 2 }\n",
        tmp_path,
    )
    of = auditor(made)
    assert weights(of, WRONG_TAX) == [("tax_mismatch", "warning")]
    assert weights(of, UNPAID) == []
    assert weights(of, sale(net="4.02")) == []
    assert weights(of, sale(net="4.03")) == [("net_mismatch", "blocking")]
    assert made.owner("tax_mismatch") == "tax desk"
    assert made.owner("net_mismatch") == "finance"


def test_a_warning_is_counted_with_what_is_recorded(tmp_path: Path) -> None:
    of = auditor(policy('[rules.codes.negative_price]\nseverity = "warning"\n', tmp_path))
    back = line(quantity="-1", price="-2.00")
    faults, enrichment = check(of, sale(1, back, back, line("bread", "1", "0.00")))
    assert [fault.severity for fault in faults] == ["blocking", "warning"] * 2
    assert enrichment.notes == {"negative_price": 2, "zero_amount": 1}


SOURCES = """
[rules.codes.tax_mismatch]
severity = "off"
[[rules.sources]]
pattern = "urn:pos:franchise-7"
severity = { total_mismatch = "blocking", tax_mismatch = "blocking" }
[[rules.sources]]
pattern = "urn:pos:franchise-*"
severity = { total_mismatch = "warning", tax_mismatch = "warning", tender_mismatch = "off" }
"""


@pytest.mark.parametrize(
    ("source", "tax", "total", "tender_"),
    [
        ("", "off", "blocking", "blocking"),
        ("urn:pos:store-1", "off", "blocking", "blocking"),
        ("urn:pos:franchise-1", "warning", "warning", "off"),
        ("urn:pos:franchise-7", "blocking", "blocking", "off"),
        ("urn:POS:franchise-1", "off", "blocking", "blocking"),
    ],
)
def test_the_first_pattern_that_matches_a_source_and_names_a_code_counts(
    tmp_path: Path, source: str, tax: str, total: str, tender_: str
) -> None:
    made = policy(SOURCES, tmp_path)
    of = auditor(made)
    expected = {"tax_mismatch": tax, "total_mismatch": total, "tender_mismatch": tender_}
    for one, code in (
        (WRONG_TAX, "tax_mismatch"),
        (UNPAID, "tender_mismatch"),
        (sale(1, line(), total="3.00"), "total_mismatch"),
    ):
        severity = expected[code]
        for _ in range(2):  # once weighed, then remembered
            assert weights(of, one, source) == ([] if severity == "off" else [(code, severity)])
            assert made.severity(code, source) == severity


def test_sources_share_what_no_pattern_tells_apart(tmp_path: Path) -> None:
    made = policy(SOURCES, tmp_path)
    many = {id(made.severities_for(f"urn:pos:{kind}-{n}")) for n in range(20_000) for kind in ("store", "franchise")}
    assert len(many) == 3
    assert len(made._known) <= 10_000


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ('[rules.codes.totl_mismatch]\nseverity = "off"', "did you mean total_mismatch"),
        ('[rules.codes.xyz]\nowner = "me"', "tillwire rules"),
        ("[rules.codes.xyz]\ntolerance = 1", "'xyz'"),
        ('[rules.codes.tax_mismatch]\nseverity = "fatal"', "fatal"),
        ('[rules.codes.tax_mismatch]\nsevrity = "off"', "sevrity"),
        ('[rules.codes.tax_mismatch]\nowner = " "', "rules.codes.tax_mismatch.owner"),
        ("[rules.codes.tax_mismatch]\ntolerance = -1", "rules.codes.tax_mismatch.tolerance"),
        ('[rules.codes.tax_mismatch]\ntolerance = "NaN"', "rules.codes.tax_mismatch.tolerance"),
        ("[rules.codes.unknown_tender]\ntolerance = 1", "no tolerance"),
        ('[rules.codes.unknown_store]\nseverity = "warning"', "unknown_store: stays blocking"),
        ('[[rules.sources]]\npattern = "urn:*"\nseverity = { currency_mismatch = "off" }', r"rules.sources\[0\]"),
        ('[[rules.sources]]\npattern = "urn:*"\nseverity = { xyz = "off" }', r"rules.sources\[0\].*'xyz'"),
        ('[[rules.sources]]\npattern = "urn:*"\nseverity = { tax_mismatch = "hm" }', "hm"),
        ('[[rules.sources]]\npattern = ""\nseverity = { tax_mismatch = "off" }', "pattern is empty"),
        ('[[rules.sources]]\npattern = "urn:*"', "severity"),
        ("[rules]\nover_payment_units = -1", "rules.over_payment_units"),
        ("[rules]\nunder_payment_units = 'Infinity'", "rules.under_payment_units"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_named(tmp_path: Path, toml: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        policy(toml, tmp_path)


def test_tillwire_check_and_up_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tillwire.toml"
    path.write_text('[rules.codes.totl_mismatch]\nseverity = "off"\n')
    monkeypatch.setenv("TILLWIRE_CONFIG", str(path))
    with pytest.raises(ConfigurationError, match="totl_mismatch"):
        check_command()
    with pytest.raises(ConfigurationError, match="totl_mismatch"):
        up_command(data=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_severity_that_there_is_not_is_refused_without_a_file_too() -> None:
    with pytest.raises(ConfigurationError, match="one of blocking, warning, off"):
        Policy(severities={"tax_mismatch": "fatal"})


def test_the_list_is_what_is_in_force(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    made = policy(SOURCES, tmp_path)
    general = {one.code: one for one in in_force(made)}
    franchise = {one.code: one for one in in_force(made, "urn:pos:franchise-1")}
    assert set(general) == set(CODES)
    assert (general["tax_mismatch"].severity, franchise["tax_mismatch"].severity) == ("off", "warning")
    assert general["tender_mismatch"].by_source == {"urn:pos:franchise-*": "off"}
    assert general["line_tax_mismatch"].tolerance == Decimal(1)
    assert all(one.reason and one.meaning and one.owner for one in general.values())
    assert show(made, source="urn:pos:franchise-1", code="tax_mismatch", json=True) == 0
    (printed,) = json.loads(capsysbinary.readouterr().out)
    assert (printed["code"], printed["severity"]) == ("tax_mismatch", "warning")
    assert show(made, source="", code="nothing", json=False) == 1
    assert show(made, source="", code=None, json=False) == 0
    assert b"total_mismatch" in capsysbinary.readouterr().out


def test_an_exception_goes_to_the_owner_that_is_configured(tmp_path: Path) -> None:
    made = policy('[rules.codes.tax_mismatch]\nowner = "tax desk"\n', tmp_path)
    faults, _ = check(auditor(made), WRONG_TAX)
    row = exception_row(raw(WRONG_TAX), 1, 0, 1, faults, owner=made.owner)
    assert (row["code"], row["owner"]) == ("tax_mismatch", "tax desk")
    assert [fault.severity for fault in faults] == ["blocking"]


def test_a_trial_with_warnings_alone_is_mapped() -> None:
    warned = Raised("", "gift_card_invalid", "a gift card without its number", severity="warning")
    held = Raised("", "total_mismatch", "total 1, but 2")
    event = msgspec.Raw(b"{}")
    assert Outcome(file="x", events=[event], exceptions=[warned]).verdict == "mapped"
    assert Outcome(file="x", events=[event], exceptions=[warned, held]).verdict == "raised"
