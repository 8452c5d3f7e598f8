"""``tillwire user``: the first administrator, who is lost for a password or for codes, and what is shown of somebody."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from driving import rows, scalar

from tillwire.cli import main
from tillwire.config import Access
from tillwire.governance import audit, people, sessions
from tillwire.governance.people import RoleGrant
from tillwire.governance.sealing import Sealer
from tillwire.governance.sessions import From

Run = Callable[..., tuple[int, str, str]]
PASSWORD = "correct horse battery"


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with words for standard input: exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILLWIRE_DATABASE_URL", database_url)
    monkeypatch.setenv("TILLWIRE_ACCESS_OIDC_ISSUER", "https://login.example.com")
    monkeypatch.setenv("TILLWIRE_ACCESS_OIDC_CLIENT_ID", "hub")
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: str, given: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tillwire", "user", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return command


def test_the_first_administrator_is_made_here(run: Run, connection: psycopg.Connection) -> None:
    ended, out, err = run("add", "ada", "--role", "administrator", "viewer", given=PASSWORD + "\n")
    assert (ended, out) == (0, ""), err
    (ada,) = people.listed(connection, "ada")
    assert [one.role for one in ada.grants] == ["administrator", "viewer"]
    assert ada.must_change
    assert people.password_is(scalar(connection, "SELECT password FROM person"), PASSWORD)
    assert str(scalar(connection, "SELECT password FROM person")).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert audit.listed(connection, action="add person")[0].subject == "ada"
    for words, given, why in (
        (("ada", "--role", "viewer"), PASSWORD, "already"),
        (("Ada", "--role", "viewer"), PASSWORD, "already"),
        (("bob", "--role", "king"), PASSWORD, "no role 'king'"),
        (("bob", "--role", "viewer"), "short", "12 to 256"),
        (("bob", "--role", "viewer"), "bob bob bob bob", "not the name"),
        (("bob", "--role", "viewer"), "aaaaaaaaaaaaaaaa", "over and over"),
        (("a/b", "--role", "viewer"), PASSWORD, "no name"),
    ):
        ended, out, err = run("add", *words, given=given)
        assert (ended, out) == (2, "")
        assert why in err
        assert given not in err
    assert [one.name for one in people.listed(connection)] == ["ada"]


def test_a_password_that_is_made_is_shown_once_and_kept_nowhere(run: Run, connection: psycopg.Connection) -> None:
    ended, out, _ = run("add", "gina", "--role", "viewer", "--store", "1*", "--generate")
    password = out.strip()
    assert (ended, len(password)) == (0, 23)
    assert people.password_is(scalar(connection, "SELECT password FROM person"), password)
    ended, out, _ = run("password", "gina", "--generate")
    assert ended == 0
    assert out.strip() != password
    assert people.password_is(scalar(connection, "SELECT password FROM person"), out.strip())
    kept = str(rows(connection, "SELECT * FROM person")) + str(rows(connection, "SELECT * FROM audit_entry"))
    assert password not in kept
    assert out.strip() not in kept
    ended, out, err = run("password", "nobody", "--generate")
    assert (ended, out) == (2, "")
    assert "nobody" in err


def test_who_is_lost_is_helped(run: Run, connection: psycopg.Connection) -> None:
    people.add(connection, "lost", PASSWORD, [RoleGrant(role="finance")], by="test")
    sealed = Sealer("k" * 40, purpose="people").seal(people.new_secret(), "lost")
    connection.execute("UPDATE person SET totp = %s", (sealed,))
    where = From("203.0.113.7", "Firefox")
    assert sessions.sign_in(connection, Access(), "lost", PASSWORD, where=where)
    assert run("reset-codes", "lost")[0] == 0
    assert not people.listed(connection, "lost")[0].has_totp
    assert rows(connection, "SELECT * FROM person_session") == []
    connection.execute("UPDATE person SET must_change = false")
    connection.execute("DELETE FROM person_grant")
    assert run("grant", "lost", "viewer", "--company", "ACME")[0] == 0
    assert sessions.sign_in(connection, Access(), "lost", PASSWORD, where=where)
    ended, out, _ = run("sessions", "lost")
    assert (ended, "203.0.113.7" in out, "Firefox" in out) == (0, True, True)
    told = json.loads(run("show", "lost", "--json")[1])
    assert told["person"]["grants"] == [{"role": "viewer", "stores": ["*"], "companies": ["ACME"], "by_groups": False}]
    assert len(told["sessions"]) == 1
    assert "password" not in told["person"]
    assert "argon2" not in str(told)
    assert "viewer (stores *, companies ACME)" in run("show", "lost")[1]
    assert run("sessions", "lost", "--end")[0] == 0
    assert rows(connection, "SELECT * FROM person_session") == []
    assert run("disable", "lost")[0] == 0
    assert sessions.sign_in(connection, Access(), "lost", PASSWORD, where=where) is None
    assert run("enable", "lost")[0] == 0
    assert sessions.sign_in(connection, Access(), "lost", PASSWORD, where=where)
    assert run("revoke", "lost", "viewer")[0] == 0
    assert people.listed(connection, "lost")[0].grants == ()
    for words in (
        ("show", "x"),
        ("sessions", "x"),
        ("disable", "x"),
        ("grant", "x", "viewer"),
        ("revoke", "lost", "viewer"),
    ):
        ended, _, err = run(*words)
        assert (ended, err.startswith("error:")) == (2, True), words


def test_somebody_of_the_companys_sign_in_is_linked_by_subject(run: Run, connection: psycopg.Connection) -> None:
    assert run("add", "sam", "--no-password", "--role", "viewer")[0] == 0
    (sam,) = people.listed(connection, "sam")
    assert (sam.has_password, sam.must_change) == (False, False)
    assert sessions.sign_in(connection, Access(), "sam", "", where=From("203.0.113.7")) is None
    assert run("link", "sam", "subject-1")[0] == 0
    assert people.listed(connection, "sam")[0].identities == ("https://login.example.com subject-1",)
    people.add(connection, "eve", PASSWORD, [], by="test")
    ended, _, err = run("link", "eve", "subject-1")
    assert (ended, "somebody already" in err) == (2, True)
    assert run("unlink", "sam")[0] == 0
    assert run("unlink", "sam")[0] == 2
    assert run("link", "eve", "subject-1")[0] == 0
    audit.verify(connection)
