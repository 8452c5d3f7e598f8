"""The audit log: entries are chained in one order, and whatever is done to one of them afterwards shows."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import psycopg
import pytest
from builders import masters, sale
from driving import load, rows, scalar

from tillwire.cli import main
from tillwire.cli.common import console
from tillwire.errors import TillwireError
from tillwire.exceptions import fixes, queue
from tillwire.governance import audit
from tillwire.governance.access import LOCAL, Principal

ANNE = Principal(name="anne", kind="person")


def noted(connection: psycopg.Connection, entries: int) -> None:
    for number in range(entries):
        audit.note(connection, ANNE, "sign in", f"person {number}", {"from": "127.0.0.1", "number": number})


def told(connection: psycopg.Connection, **asked: object) -> list[tuple[str, str, str]]:
    return [(one.who, one.action, one.subject) for one in audit.listed(connection, **asked)]  # type: ignore[arg-type]


def test_entries_tell_who_did_what(connection: psycopg.Connection) -> None:
    audit.note(connection, ANNE, "grant role", "person bob", {"role": "finance", "stores": ["1*"]})
    audit.note(connection, LOCAL, "replay", "projection hourly")
    audit.note(connection, "root", "revoke client", "client till")
    newest, _, oldest = audit.listed(connection)
    assert (newest.who, newest.kind, newest.entry_id) == ("root", "command", 3)
    assert (oldest.who, oldest.kind, oldest.action, oldest.subject) == ("anne", "person", "grant role", "person bob")
    assert oldest.details == {"role": "finance", "stores": ["1*"]}
    assert told(connection, who="anne") == [("anne", "grant role", "person bob")]
    assert told(connection, action="re") == [
        ("root", "revoke client", "client till"),
        ("local", "replay", "projection hourly"),
    ]
    assert told(connection, subject="client till") == [("root", "revoke client", "client till")]
    assert told(connection, before=3, most=1) == [("local", "replay", "projection hourly")]
    assert told(connection, since=newest.at, until=newest.at) == []
    assert len(told(connection, since=newest.at)) == 1


def test_the_end_of_the_chain_proves_all_before_it(connection: psycopg.Connection) -> None:
    assert audit.verify(connection) == audit.Head(entries=0, digest="")
    noted(connection, 5)
    early = audit.verify(connection)
    noted(connection, 5)
    assert early.entries == 5
    assert audit.verify(connection, early).entries == 10
    with pytest.raises(TillwireError, match="entry 5 is expected"):
        audit.verify(connection, audit.Head(entries=5, digest="0" * 64))


def test_what_is_not_done_is_not_noted(connection: psycopg.Connection) -> None:
    with connection.transaction(force_rollback=True):
        noted(connection, 1)
    noted(connection, 1)
    assert audit.verify(connection).entries == 1


@pytest.mark.parametrize(
    ("done", "words"),
    [
        ("UPDATE audit_entry SET who = 'bob' WHERE entry_id = 3", "entry 3 is not what was written"),
        ("UPDATE audit_entry SET details = '{}' WHERE entry_id = 1", "entry 1 is not what was written"),
        ("UPDATE audit_entry SET at = at + interval '1 us' WHERE entry_id = 2", "entry 2 is not"),
        ("DELETE FROM audit_entry WHERE entry_id = 2", "after entry 1 comes 3"),
        ("DELETE FROM audit_entry WHERE entry_id = 5", "entry 5 is expected"),
        ("UPDATE audit_entry SET entry_id = 6 WHERE entry_id = 3", "after entry 2 comes 4"),
    ],
)
def test_whatever_is_done_to_an_entry_shows(connection: psycopg.Connection, done: str, words: str) -> None:
    noted(connection, 5)
    end = audit.verify(connection)
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute(done.encode())
    connection.execute("ALTER TABLE audit_entry DISABLE TRIGGER append_only")  # as whoever owns the database can
    connection.execute(done.encode())
    with pytest.raises(TillwireError, match=words):
        audit.verify(connection, end)


def test_many_at_once_make_one_chain(database_url: str, connection: psycopg.Connection) -> None:
    barrier = threading.Barrier(4)

    def run() -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            barrier.wait(30)
            for _ in range(5):
                with own.transaction():
                    noted(own, 5)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert audit.verify(connection).entries == 100


def test_texts_cannot_pass_for_other_fields(connection: psycopg.Connection) -> None:
    audit.note(connection, "a\x1fcommand", "b", "c")
    audit.note(connection, "zoë 🧾", "b\x1fc", "'; DROP TABLE audit_entry; --")
    assert told(connection) == [("zoë 🧾", "b c", "'; DROP TABLE audit_entry; --"), ("a command", "b", "c")]
    assert audit.verify(connection).entries == 2


def test_what_is_done_to_exceptions_is_in_the_log(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1, store="404"))
    ((exception_id,),) = rows(connection, "SELECT exception_id FROM exception")
    assert audit.verify(connection).entries == 0, "what the hub does by itself is no person's doing"
    fixes.assign(connection, exception_id, "bob", by="anne")
    assert queue.retry(connection, exception_id=exception_id, by="anne") is not None
    (first, *_) = reversed(audit.listed(connection))
    assert (first.who, first.kind, first.action) == ("anne", "exceptions", "exception assign")
    assert first.subject == f"exception {exception_id}"
    assert "bob" not in str(first.details), "the log has no content"
    audit.verify(connection)
    connection.execute("ALTER TABLE exception_action DISABLE TRIGGER append_only")
    connection.execute("UPDATE exception_action SET actor = 'bob' WHERE actor = 'anne'")
    with pytest.raises(TillwireError, match=f"entry {first.entry_id} tells of was changed"):
        audit.verify(connection)


def test_the_command_lists_and_verifies(
    database_url: str,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TILLWIRE_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    noted(connection, 2)

    monkeypatch.setattr(console, "_width", 400)

    def run(*words: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["tillwire", "audit", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, "".join(capfd.readouterr())

    assert "person 1" in run("list", "--who", "anne")[1]
    assert "nothing was done" in run("list", "--who", "nobody")[1]
    head = audit.verify(connection)
    end = f"{head.entries}:{head.digest}"
    code, words = run("verify", "--expect", end)
    assert (code, f"2 entries, each as it was written; the end is {end}" in words) == (0, True), words
    assert run("verify", "--expect", "2:ff")[0] != 0
    assert scalar(connection, "SELECT count(*) FROM audit_entry") == 2


def test_what_is_done_to_clients_is_in_the_log(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TILLWIRE_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> object:
        monkeypatch.setattr(sys, "argv", ["tillwire", "client", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    assert run("add", "till") == run("grant", "till", "--allow", "sales:read") == run("rotate", "till") == 0
    assert run("add", "till") != 0
    assert run("revoke", "till") == 0
    done = [one.action for one in reversed(audit.listed(connection, subject="client till"))]
    assert done == ["add client", "grant to client", "rotate keys of client", "revoke client"], (
        "what failed is not there"
    )
