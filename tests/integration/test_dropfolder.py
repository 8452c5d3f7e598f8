"""The drop folder: files taken when complete, by one process each, recorded once, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from driving import rows, scalar, settings_for, until

from tillwire import clock, config, runners
from tillwire.config import Drop
from tillwire.connectors.flatfile import SPEC
from tillwire.connectors.inbound import InboundConnector, Record, Source
from tillwire.intake import dropfolder, recording
from tillwire.intake.dropfolder import DropFolder
from tillwire.intake.dropped import listed, report_of

AT_ONCE = Drop(quiet_s=0, batch_records=10)
NAME = "franchise"
MAPPING: dict[str, Any] = {
    "group_by": ["no"],
    "events": [
        {
            "type": "transaction",
            "fields": {
                "store": {"constant": "101"},
                "register": {"constant": "1"},
                "business_date": {"constant": "2026-03-02"},
                "sequence": {"column": "no"},
                "kind": {"constant": "sale"},
                "currency": {"constant": "USD"},
                "total": {"column": "total"},
            },
            "lists": [
                {
                    "into": "lines",
                    "fields": {
                        "sku": {"column": "sku"},
                        "quantity": {"constant": "1"},
                        "unit_price": {"column": "price"},
                        "amount": {"column": "price"},
                    },
                },
                {
                    "into": "tenders",
                    "first": True,
                    "fields": {"type": {"constant": "cash"}, "amount": {"column": "total"}},
                },
            ],
        }
    ],
}


def connector() -> InboundConnector:
    made: InboundConnector = SPEC.configure(MAPPING, of="test")
    return made


def content(count: int, *, first: int = 1, bad: int | None = None) -> bytes:
    lines = ["no,sku,price,total"]
    for number in range(first, first + count):
        lines += [f"{number},milk,1.00,3.00", f"{number},bread,2.00,{'oops' if number == bad else '3.00'}"]
    return ("\n".join(lines) + "\n").encode()


def folder_on(connection: psycopg.Connection, inbox: Path, drop: Drop = AT_ONCE, **more: Any) -> DropFolder:
    return DropFolder(connection, NAME, more.pop("connector", None) or connector(), inbox, drop, **more)


def work(folder: DropFolder) -> int:
    done = 0
    while folder.work_once():
        done += 1
    return done


def report(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def keys(connection: psycopg.Connection) -> int:
    return int(scalar(connection, "SELECT count(*) FROM intake"))


def queued(connection: psycopg.Connection) -> int:
    return int(scalar(connection, "SELECT coalesce(sum(cardinality(ordinals)), 0) FROM intake_queue"))


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_recorded_and_reported(connection: psycopg.Connection, inbox: Path) -> None:
    (inbox / "day.csv").write_bytes(content(25, bad=7))
    assert work(folder_on(connection, inbox)) == 1
    assert names(inbox / "done") == ["day.csv", "day.csv.report.json"]
    assert not names(inbox / "working")
    found = report(inbox / "done" / "day.csv.report.json")
    assert (found["records"], found["events"], found["accepted"], found["failed"]) == (25, 24, 24, 1)
    assert found["state"] == "done"
    assert Decimal(found["claimed"]["USD"]) == Decimal(found["mapped"]["USD"]) == 72
    (trouble,) = found["troubles"]
    ((exception_id, message),) = rows(connection, "SELECT exception_id, message FROM exception")
    assert trouble["exception_id"] == exception_id
    assert message.startswith("lines 14-15")
    assert keys(connection) == queued(connection) == 24
    ((group, ordinal),) = rows(connection, "SELECT group_id, ordinal FROM intake WHERE key = '101/1/2026-03-02/3'")
    from tillwire.intake import foreign

    origin = foreign.origin_of(connection, group, ordinal)
    assert origin is not None
    assert origin["raw"] == "no,sku,price,total\n3,milk,1.00,3.00\n3,bread,2.00,3.00\n"
    (row,) = listed(connection)
    assert (row.state, row.next_record) == ("done", 25)
    assert report_of(connection, row.file_id) is not None


def test_the_same_file_twice_has_no_effect(connection: psycopg.Connection, inbox: Path) -> None:
    folder = folder_on(connection, inbox)
    (inbox / "day.csv").write_bytes(content(3))
    work(folder)
    (inbox / "day.csv").write_bytes(content(3))
    (inbox / "other.csv").write_bytes(content(3))
    assert work(folder) == 2
    assert names(inbox / "done") == [
        "day.csv", "day.csv.report.json", "day~2.csv", "day~2.csv.report.json", "other.csv", "other.csv.report.json",
    ]  # fmt: skip
    found = report(inbox / "done" / "day~2.csv.report.json")
    assert found["state"] == "duplicate"
    assert found["duplicate_of"]["name"] == "day.csv"
    assert "no effect" in found["reason"]
    assert queued(connection) == 3
    assert [row.state for row in listed(connection, state="duplicate")] == ["duplicate"] * 2


def test_a_malformed_file_has_no_effect_at_all(connection: psycopg.Connection, inbox: Path) -> None:
    (inbox / "day.csv").write_bytes(content(30) + b"31," + b"x" * 2_000_000 + b"\n")
    assert work(folder_on(connection, inbox)) == 1
    found = report(inbox / "failed" / "day.csv.report.json")
    assert found["place"] == "line 62"
    assert "longer than" in found["reason"]
    assert found["records"] == found["recorded_before"] == 0
    assert keys(connection) == 0
    assert scalar(connection, "SELECT count(*) FROM exception") == 0


def test_a_failed_file_may_come_again(connection: psycopg.Connection, inbox: Path) -> None:
    class Broken:
        def read(self, source: Source) -> Iterator[Record]:
            raise RuntimeError("a defect")
            yield

    (inbox / "day.csv").write_bytes(content(3))
    work(folder_on(connection, inbox, connector=Broken()))
    assert "a defect" in report(inbox / "failed" / "day.csv.report.json")["reason"]
    (inbox / "failed" / "day.csv").rename(inbox / "day.csv")
    work(folder_on(connection, inbox))
    assert report(inbox / "done" / "day.csv.report.json")["accepted"] == 3


@pytest.mark.parametrize("body", [b"", b"\n\n", b"a,b\n1,2\n", b"\x00" * 100])
def test_files_without_content_fail_clearly(connection: psycopg.Connection, inbox: Path, body: bytes) -> None:
    (inbox / "day.csv").write_bytes(body)
    work(folder_on(connection, inbox))
    assert report(inbox / "failed" / "day.csv.report.json")["reason"]
    assert keys(connection) == 0


def test_links_pipes_and_folders(connection: psycopg.Connection, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_bytes(content(3))
    (inbox / "link.csv").symlink_to(tmp_path / "secret.csv")
    os.mkfifo(inbox / "pipe.csv")
    (inbox / "folder.csv").mkdir()
    assert work(folder_on(connection, inbox)) == 2
    assert "link" in report(inbox / "failed" / "link.csv.report.json")["reason"]
    assert "regular" in report(inbox / "failed" / "pipe.csv.report.json")["reason"]
    assert (inbox / "folder.csv").is_dir()
    assert keys(connection) == 0
    assert (tmp_path / "secret.csv").read_bytes() == content(3)


def test_what_cannot_be_opened_fails(
    connection: psycopg.Connection, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "day.csv").write_bytes(content(3))
    real = os.open

    def refuse(path: Any, flags: int, *more: Any, **others: Any) -> int:
        if str(path).endswith("~day.csv"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *more, **others)

    monkeypatch.setattr("tillwire.intake.dropfolder.os.open", refuse)
    work(folder_on(connection, inbox))
    assert "Permission denied" in report(inbox / "failed" / "day.csv.report.json")["reason"]


def test_a_file_is_left_alone_until_it_is_quiet(
    connection: psycopg.Connection, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now)
    folder = folder_on(connection, inbox, Drop(quiet_s=5))
    (inbox / "day.csv.part").write_bytes(content(1))
    (inbox / ".hidden").write_bytes(content(1))
    (inbox / "day.csv").write_bytes(content(2))
    assert folder.work_once() == 0
    now += 4
    assert folder.work_once() == 0
    (inbox / "day.csv").write_bytes(content(3))
    now += 4
    assert folder.work_once() == 0
    now += 5
    assert work(folder) == 1
    assert keys(connection) == 3
    assert names(inbox) == [".hidden", "day.csv.part", "done", "failed", "working"]


def test_a_marker_says_that_a_file_is_complete(connection: psycopg.Connection, inbox: Path) -> None:
    folder = folder_on(connection, inbox, Drop(quiet_s=5, marker=".ok"))
    for name in ("a.csv", "b.csv", "c.csv"):
        (inbox / name).write_bytes(content(1, first=ord(name[0])))
    assert work(folder) == 0
    (inbox / "a.csv.ok").touch()
    (inbox / "b.ok").touch()
    assert work(folder) == 2
    assert names(inbox) == ["c.csv", "done", "failed", "working"]


def test_only_files_of_the_pattern_are_taken(connection: psycopg.Connection, inbox: Path) -> None:
    (inbox / "sales_1.csv").write_bytes(content(1))
    (inbox / "stock_1.csv").write_bytes(content(1))
    assert work(folder_on(connection, inbox, Drop(quiet_s=0, pattern="sales_*.csv"))) == 1
    assert (inbox / "stock_1.csv").exists()


class Growing:
    """A connector during whose reading something is appended to the file: in the first or in the second pass."""

    def __init__(self, inbox: Path, nth: int) -> None:
        self.inbox, self.nth, self.reads = inbox, nth, 0

    def read(self, source: Source) -> Iterator[Record]:
        self.reads += 1
        for number, record in enumerate(connector().read(source)):
            yield record
            if self.reads == self.nth and number == 14:
                (path,) = (self.inbox / "working").iterdir()
                with path.open("ab") as file:
                    file.write(content(5, first=900)[19:])


@pytest.mark.parametrize(("nth", "recorded"), [(1, 0), (2, 10)])
def test_a_file_that_grows_while_it_is_read_fails_and_nothing_is_lost(
    connection: psycopg.Connection, inbox: Path, nth: int, recorded: int
) -> None:
    (inbox / "day.csv").write_bytes(content(30))
    assert work(folder_on(connection, inbox, connector=Growing(inbox, nth))) == 1
    found = report(inbox / "failed" / "day.csv.report.json")
    assert "while it was read" in found["reason"]
    assert found["recorded_before"] == recorded == keys(connection)
    (inbox / "failed" / "day.csv").rename(inbox / "day.csv")
    work(folder_on(connection, inbox))
    again = report(inbox / "done" / "day.csv.report.json")
    assert (again["accepted"], again["duplicate"]) == (35 - recorded, recorded)
    assert keys(connection) == queued(connection) == 35


def test_two_processes_on_one_inbox_take_each_file_once(database_url: str, inbox: Path) -> None:
    for number in range(12):
        (inbox / f"{number:02}.csv").write_bytes(content(2, first=1 + number * 2))
    with psycopg.connect(database_url, autocommit=True) as one, psycopg.connect(database_url, autocommit=True) as other:
        folders = folder_on(one, inbox), folder_on(other, inbox)
        complete = folders[1]._inbox.complete()
        taken = [folder.work_once() for _ in range(6) for folder in folders]
        assert sum(taken) == 12
        assert work(folders[0]) == work(folders[1]) == 0
        assert folders[1]._inbox.take(complete[0], "x~" + complete[0]) is None  # another was quicker
        assert keys(one) == queued(one) == 24
        assert len(names(inbox / "done")) == 24


def test_what_another_process_works_on_is_left_alone(database_url: str, inbox: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as one, psycopg.connect(database_url, autocommit=True) as other:
        second = folder_on(other, inbox)
        looked: list[int] = []

        class Looking:
            def read(self, source: Source) -> Iterator[Record]:
                for record in connector().read(source):
                    looked.append(second.work_once())
                    yield record

        (inbox / "day.csv").write_bytes(content(5))
        assert work(folder_on(one, inbox, connector=Looking())) == 1
        assert looked == [0] * 10
        assert keys(one) == 5


def test_the_same_content_at_the_same_time_waits_for_the_first(
    database_url: str, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now)
    with psycopg.connect(database_url, autocommit=True) as one, psycopg.connect(database_url, autocommit=True) as other:
        second = folder_on(other, inbox)
        looked: list[int] = []

        class Looking:
            def read(self, source: Source) -> Iterator[Record]:
                for record in connector().read(source):
                    looked.append(second.work_once())
                    yield record

        (inbox / "a.csv").write_bytes(content(5))
        (inbox / "b.csv").write_bytes(content(5))
        assert folder_on(one, inbox, connector=Looking()).work_once() == 1
        assert looked == [0] * 10
        assert len(names(inbox / "working")) == 1
        assert work(second) == 0
        now += 11
        assert work(second) == 1
        states = {row.name: row.state for row in listed(one)}
        assert sorted(states.values()) == ["done", "duplicate"]
        assert keys(one) == queued(one) == 5


def test_the_content_of_a_file_that_is_gone_passes_to_the_next(database_url: str, inbox: Path) -> None:
    (inbox / "day.csv").write_bytes(content(30))
    assert run_until_killed(database_url, inbox, "drop.after_batch:2") == -9
    for path in (inbox / "working").iterdir():
        path.unlink()
    (inbox / "again.csv").write_bytes(content(30))
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert work(folder_on(connection, inbox)) == 1
        found = report(inbox / "done" / "again.csv.report.json")
        assert (found["records"], found["accepted"], found["duplicate"]) == (30, 30, 0)
        assert keys(connection) == queued(connection) == 30


def test_a_file_that_vanishes_is_no_error(connection: psycopg.Connection, inbox: Path) -> None:
    class Vanishing:
        def read(self, source: Source) -> Iterator[Record]:
            for path in (inbox / "working").iterdir():
                path.unlink()
            yield from connector().read(source)

    (inbox / "day.csv").write_bytes(content(5))
    assert work(folder_on(connection, inbox, connector=Vanishing())) == 1
    assert keys(connection) == 5
    assert names(inbox / "done") == ["day.csv.report.json"]


def test_it_waits_while_the_workers_are_behind(connection: psycopg.Connection, inbox: Path) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        connection.execute("DELETE FROM intake_queue")

    (inbox / "day.csv").write_bytes(content(40))
    work(folder_on(connection, inbox, backlog_limit=15, wait=wait))
    assert len(waits) == 1
    assert keys(connection) == 40


def test_asked_to_stop_it_goes_on_later(connection: psycopg.Connection, inbox: Path) -> None:
    (inbox / "day.csv").write_bytes(content(40))
    stopping = folder_on(connection, inbox, stopping=lambda: keys(connection) >= 20)
    assert stopping.work_once() == 0
    assert keys(connection) == 20
    (row,) = listed(connection, state="recording")
    assert row.next_record == 20
    assert work(folder_on(connection, inbox)) == 1
    found = report(inbox / "done" / "day.csv.report.json")
    assert (found["records"], found["accepted"], found["duplicate"]) == (40, 40, 0)


def test_a_record_that_the_database_refuses_is_raised_alone(
    connection: psycopg.Connection, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = recording.record_batch

    def refusing(connected: psycopg.Connection, name: str, records: list[Record], *, part_of: str) -> Any:
        if any(b"\n7,milk" in record.raw and record.events for record in records):
            connected.execute("SELECT 1 / 0")
        return real(connected, name, records, part_of=part_of)

    monkeypatch.setattr(dropfolder, "record_batch", refusing)
    (inbox / "day.csv").write_bytes(content(20))
    work(folder_on(connection, inbox))
    found = report(inbox / "done" / "day.csv.report.json")
    assert (found["accepted"], found["failed"]) == (19, 1)
    assert [one["code"] for one in found["troubles"]] == ["processing_failed"]


PROGRAM = """
import sys, psycopg
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from test_dropfolder import folder_on, work
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    work(folder_on(connection, Path(sys.argv[2])))
"""


def run_until_killed(url: str, inbox: Path, fault: str) -> int:
    paths = [path for path in sys.path if "tests" in path]
    environment = {**os.environ, "TILLWIRE_FAULT": fault}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, str(inbox), *paths], env=environment, check=False, capture_output=True
    )
    assert done.returncode in (0, -9), done.stderr.decode()
    return done.returncode


@pytest.mark.parametrize(
    "fault",
    ["drop.after_claim:1", "drop.after_check:1", "drop.before_commit:1", "drop.before_commit:3", "drop.after_batch:2",
     "drop.before_move:1"],
)  # fmt: skip
def test_killed_anywhere_it_is_gone_on_with_and_nothing_is_twice(database_url: str, inbox: Path, fault: str) -> None:
    (inbox / "day.csv").write_bytes(content(45, bad=5))
    assert run_until_killed(database_url, inbox, fault) == -9
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert len(names(inbox / "working")) == 1
        assert work(folder_on(connection, inbox)) == 1
        found = report(inbox / "done" / "day.csv.report.json")
        assert (found["records"], found["accepted"], found["duplicate"], found["failed"]) == (45, 44, 0, 1)
        assert keys(connection) == queued(connection) == 44
        assert scalar(connection, "SELECT count(*) FROM exception") == 1
        assert names(inbox / "done") == ["day.csv", "day.csv.report.json"]
        assert not names(inbox / "working")
        assert work(folder_on(connection, inbox)) == 0


def test_killed_again_and_again_it_comes_to_its_end(database_url: str, inbox: Path) -> None:
    (inbox / "day.csv").write_bytes(content(60))
    deaths = 0
    while run_until_killed(database_url, inbox, "drop.after_batch:1") == -9:
        deaths += 1
        assert deaths < 10
    assert deaths == 6
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert keys(connection) == queued(connection) == 60
        assert report(inbox / "done" / "day.csv.report.json")["duplicate"] == 0


def test_killed_when_failing_it_is_put_away_by_the_next(database_url: str, inbox: Path) -> None:
    (inbox / "day.csv").write_bytes(b"")
    assert run_until_killed(database_url, inbox, "drop.before_move:1") == -9
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert work(folder_on(connection, inbox)) == 1
        assert names(inbox / "failed") == ["day.csv", "day.csv.report.json"]
        assert [row.state for row in listed(connection)] == ["failed"]


GARBAGE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
from io import BytesIO
sys.path[:0] = sys.argv[2:]
from test_dropfolder import connector
from tillwire.connectors.inbound import MalformedError, Source
with open(sys.argv[1], "rb") as stream:
    try:
        for _ in connector().read(Source(stream)): pass
        print("read")
    except MalformedError as error:
        print(error)
# Not ru_maxrss, which a child inherits from a large parent.
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("kind", ["bytes", "quotes", "one line"])
def test_200_mb_of_garbage_fail_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "garbage.csv"
    block = {"bytes": os.urandom(2**20), "quotes": b'x,"\n' * 2**18, "one line": b"x" * 2**20}[kind]
    with path.open("wb") as file:
        file.write(b"no,sku,price,total\n")
        for _ in range(200):
            file.write(block)
    paths = [one for one in sys.path if "tests" in one]
    done = subprocess.run(
        [sys.executable, "-c", GARBAGE, str(path), *paths], check=True, capture_output=True, text=True
    )
    said, peak_kb = done.stdout.splitlines()
    assert said.startswith("line"), said
    assert int(peak_kb) < 200_000


def test_the_process_watches_the_inboxes_of_its_connections(database_url: str, inbox: Path) -> None:
    one = config.Connection(
        name=NAME, connector="flatfile", settings=MAPPING, inbox=str(inbox), drop=Drop(quiet_s=0.05)
    )
    settings = settings_for(database_url, connections=(one,))
    stop = runners.Stop()
    process = threading.Thread(target=runners.connect_systems, args=(settings, stop))
    process.start()
    try:
        for number in range(3):
            (inbox / f"{number}.csv").write_bytes(content(5, first=1 + number * 5))
            until(lambda number=number: (inbox / "done" / f"{number}.csv").exists())
    finally:
        stop.set()
        process.join(30)
    assert not process.is_alive()
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert keys(connection) == 15


def test_an_inbox_that_cannot_be_read_is_noted_and_tried_again(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "PULL_AGAIN_S", 0.05)
    blocked = tmp_path / "share"
    blocked.write_text("no folder")
    one = config.Connection(name=NAME, connector="flatfile", settings=MAPPING, inbox=str(blocked), drop=AT_ONCE)
    stop = runners.Stop()
    process = threading.Thread(
        target=runners.connect_systems, args=(settings_for(database_url, connections=(one,)), stop)
    )
    process.start()
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            until(lambda: rows(connection, "SELECT 1 FROM connection_state WHERE last_error LIKE 'inbox %'"))
            blocked.unlink()
            blocked.mkdir()
            (blocked / "day.csv").write_bytes(content(2))
            until(lambda: keys(connection) == 2)
    finally:
        stop.set()
        process.join(30)


def test_files_are_listed_with_their_reports(
    database_url: str, inbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tillwire.cli.common import console
    from tillwire.cli.inbox import inbox_list, inbox_show

    with psycopg.connect(database_url, autocommit=True) as connection:
        (inbox / "day.csv").write_bytes(content(4, bad=2))
        (inbox / "none.csv").write_bytes(b"")
        work(folder_on(connection, inbox))
    monkeypatch.setenv("TILLWIRE_DATABASE_URL", database_url)
    monkeypatch.setattr(console, "_width", 200)
    inbox_list(data=inbox)
    said = capsys.readouterr().out
    assert "day.csv" in said
    assert "the file is empty" in said
    inbox_list(data=inbox, state="done")
    assert "none.csv" not in capsys.readouterr().out
    with psycopg.connect(database_url, autocommit=True) as connection:
        ids = {row.name: row.file_id for row in listed(connection)}
    assert inbox_show(ids["day.csv"], data=inbox) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == 1
    assert inbox_show(0, data=inbox) == 1


def test_a_writer_that_paused_too_long_is_found_out_and_the_rest_recorded(
    connection: psycopg.Connection, inbox: Path
) -> None:
    folder = folder_on(connection, inbox)
    with (inbox / "day.csv").open("wb") as file:
        file.write(content(2))
        file.flush()
        assert work(folder) == 1
        assert keys(connection) == 2
        file.write(content(1, first=3).partition(b"\n")[2])  # through the same handle, wherever the file lies now
    assert work(folder) == 1
    assert keys(connection) == 3
    assert names(inbox / "done") == ["day.csv.report.json", "day~more1.csv", "day~more1.csv.report.json"]
    told = report(inbox / "done" / "day~more1.csv.report.json")
    assert (told["accepted"], told["duplicate"]) == (1, 2)
    assert work(folder) == 0
