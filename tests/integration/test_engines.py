"""The embedded servers and their supervisor: start, stop, and every way of dying."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import nats as nats_client
import psutil
import psycopg
import pytest
import supervised

from tillwire.engines import guard
from tillwire.engines.nats import EmbeddedNats
from tillwire.engines.ports import ReservedPort
from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.engines.process import Child, ChildSpec
from tillwire.engines.supervisor import Backoff, ChildEvent, Supervisor, read_runtime
from tillwire.errors import EngineError

PROGRAM = Path(supervised.__file__)
FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]
T = TypeVar("T")


def until(condition: Callable[[], T | None], timeout_s: float = 60.0) -> T:
    """The condition's first true answer."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.02)
    return answer


def gone(pid: int) -> bool:
    """Whether no live process has this pid; a dead one that nobody reaps yet counts as gone."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def family(pid: int) -> list[int]:
    """A process and all that descends from it."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def query(url: str, statement: str) -> Any:
    """The first column of the first row, or None if the statement has no rows."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


def answers(url: str) -> bool:
    """Whether a database takes a connection."""
    try:
        return bool(query(url, "SELECT 1") == 1)
    except psycopg.OperationalError:
        return False


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder as ``mktemp -d`` makes it: mode 0700, below /tmp."""
    made = Path(tempfile.mkdtemp(prefix="tillwire-test-", dir="/tmp"))
    yield made
    shutil.rmtree(made)


class Up:
    """A supervisor process on a data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, str(PROGRAM), str(folder)])

    def ready(self) -> dict[str, Any]:
        """What it published, once all its children are ready."""

        def look() -> dict[str, Any] | None:
            assert self.process.poll() is None, "the supervisor ended"
            runtime = read_runtime(self.folder)
            return runtime if runtime is not None and runtime["ready"] else None

        return until(look)

    def end(self) -> None:
        """Stop it if it runs."""
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def up(folder: Path) -> Iterator[Callable[[], Up]]:
    """Starts supervisor processes on the test's folder and ends them afterwards."""
    started: list[Up] = []

    def start() -> Up:
        started.append(Up(folder))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_postgres_is_bytewise_durable_and_closed_to_the_network(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    with Child(server.spec()):
        url = server.url("postgres")
        shown = {name: query(url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")}
        assert set(shown.values()) == {"on"}
        assert query(url, "SHOW server_encoding") == "UTF8"
        assert query(url, "SHOW listen_addresses") == ""
        assert (
            query(url, "SELECT string_agg(t, '' ORDER BY t) FROM unnest(ARRAY['a', 'B', 'é', 'z', '_']) t") == "B_azé"
        )
        assert query(url, "SELECT upper('é')") == "É"
        server.create_database("tillwire")
        server.create_database("tillwire")
        assert query(server.url(), "SELECT current_database()") == "tillwire"
        assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700
    assert not answers(url)


def test_environment_of_other_servers_does_not_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    server = EmbeddedPostgres(folder / "postgres", durable=False)
    with Child(server.spec()):
        assert answers(server.url("postgres"))


def test_postgres_below_a_long_path_with_odd_letters(folder: Path) -> None:
    long = folder / "a folder, 'quoted' \"twice\" – ü" / ("long" * 25)
    server = EmbeddedPostgres(long / "postgres", durable=False)
    try:
        with Child(server.spec()):
            server.create_database("with space")
            assert query(server.url("with space"), "SELECT current_database()") == "with space"
        assert not str(server.socket_folder).startswith(str(folder))
    finally:
        server.remove()
    assert not server.socket_folder.exists()


def test_postgres_says_why_it_cannot_start(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres", durable=False)
    with Child(server.spec()):
        pass
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(EngineError, match=r"(?s)postgres ended before it was ready.*postgres\.log.*incompatible"):
        Child(server.spec()).start()
    # The failed start let go of the folder: the next one gets as far.
    with pytest.raises(EngineError, match="incompatible"):
        Child(server.spec()).start()


def test_a_pid_file_whose_number_is_a_strangers_does_not_hinder(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres", durable=False)
    with Child(server.spec()) as child:
        assert child.pid is not None
        pid_file = (server.data / "postmaster.pid").read_text()
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: not child.alive)
    # As after a restart of the machine, where the number went to a process that the server may not signal away.
    (server.data / "postmaster.pid").write_text(pid_file.replace(str(child.group), str(os.getpid()), 1))
    with Child(server.spec()):
        assert answers(server.url("postgres"))


def test_a_server_left_by_a_killed_postmaster_is_ended_first(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres", durable=False)
    with Child(server.spec()) as child:
        assert child.pid is not None
        script = "import psycopg, sys; psycopg.connect(sys.argv[1]).execute(sys.argv[2])"
        loop = "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$"
        busy = subprocess.Popen([sys.executable, "-c", script, server.url("postgres"), loop], stderr=subprocess.DEVNULL)
        statement = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO %'"
        backend = until(lambda: query(server.url("postgres"), statement))
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: not child.alive)
        assert not gone(backend), "a busy backend does not see its postmaster die; the case under test is gone"
        child.spawn()
        child.wait_ready()
        assert gone(backend)
        assert answers(server.url("postgres"))
        busy.wait(10)


def test_nats_keeps_streams_and_port_over_a_kill(folder: Path) -> None:
    server = EmbeddedNats(folder / "nats")

    async def publish() -> None:
        client = await nats_client.connect(server.url)
        await client.jetstream().add_stream(name="T", subjects=["t.>"])
        await client.jetstream().publish("t.1", b"kept")
        await client.close()

    async def read() -> bytes | None:
        client = await nats_client.connect(server.url)
        message = await client.jetstream().get_msg("T", 1)
        await client.close()
        return message.data

    with Child(server.spec()) as child:
        asyncio.run(publish())
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: not child.alive)
        child.spawn()
        server.wait_ready()
        assert asyncio.run(read()) == b"kept"


def test_nats_turns_away_clients_without_its_token(nats: EmbeddedNats) -> None:
    async def connect() -> None:
        await nats_client.connect(f"nats://127.0.0.1:{nats.port}", allow_reconnect=False)

    with pytest.raises(nats_client.errors.Error, match="Authorization Violation"):
        asyncio.run(connect())


def test_a_reserved_port_is_not_given_to_others() -> None:
    ports = [ReservedPort() for _ in range(50)]
    assert len({port.number for port in ports}) == 50
    for port in ports:
        port.release()


def test_a_fresh_database_is_empty(fresh_database: str) -> None:
    assert query(fresh_database, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0


def test_children_start_in_order_and_stop_in_reverse(folder: Path) -> None:
    events: list[ChildEvent] = []
    order: list[str] = []
    children = [
        ChildSpec(
            name=name,
            argv=FOREVER,
            log=folder / f"{name}.log",
            after_ready=lambda name=name: order.append(f"after {name}"),  # type: ignore[misc]
        )
        for name in ("one", "two")
    ]
    with Supervisor(children, folder=folder, listener=events.append, published={"http_url": "http://x"}) as supervisor:
        runtime = read_runtime(folder)
        assert runtime is not None
        assert runtime["children"] == supervisor.pids
        assert (runtime["ready"], runtime["pid"], runtime["http_url"]) == (True, os.getpid(), "http://x")
        pids = list(supervisor.pids.values())
    assert [(event.name, event.kind) for event in events] == [
        ("one", "starting"),
        ("one", "ready"),
        ("two", "starting"),
        ("two", "ready"),
        ("two", "stopped"),
        ("one", "stopped"),
    ]
    assert order == ["after one", "after two"]
    assert all(gone(pid) for pid in pids)
    assert read_runtime(folder) is None
    assert not (folder / "runtime.json").exists()


def test_a_child_that_cannot_start_stops_those_before_it(folder: Path) -> None:
    events: list[ChildEvent] = []
    children = [
        ChildSpec(name="good", argv=FOREVER, log=folder / "good.log"),
        ChildSpec(
            name="bad",
            argv=[sys.executable, "-c", "raise SystemExit('no such till')"],
            log=folder / "bad.log",
            ready=lambda _pid: False,
        ),
    ]
    supervisor = Supervisor(children, folder=folder, listener=events.append)
    with pytest.raises(EngineError, match=r"(?s)bad ended before it was ready \(exit code 1\).*bad\.log.*no such till"):
        supervisor.start()
    assert supervisor.pids == {}
    assert ("good", "stopped") in [(event.name, event.kind) for event in events]


def test_a_child_that_keeps_dying_is_retried_ever_more_slowly_while_others_live(folder: Path) -> None:
    events: list[ChildEvent] = []
    marker = folder / "broken"
    argv = [sys.executable, "-c", "import os, sys, time; os.path.exists(sys.argv[1]) and sys.exit(7); time.sleep(600)"]
    children = [
        ChildSpec(name="frail", argv=[*argv, str(marker)], log=folder / "frail.log"),
        ChildSpec(name="steady", argv=FOREVER, log=folder / "steady.log"),
    ]
    backoff = Backoff(first_s=0.01, limit_s=0.05)
    with Supervisor(children, folder=folder, listener=events.append, backoff=backoff) as supervisor:
        steady = supervisor.pids["steady"]
        marker.touch()
        os.kill(supervisor.pids["frail"], signal.SIGKILL)
        until(lambda: sum(event.kind == "died" and event.detail == "exit code 7" for event in events) >= 4)
        marker.unlink()
        until(lambda: "frail" in supervisor.pids)
        assert supervisor.pids["steady"] == steady
    assert [backoff.delay_s(n) for n in (1, 2, 3, 4, 1000)] == [0.01, 0.02, 0.04, 0.05, 0.05]


def test_a_child_that_dies_while_a_later_one_starts_is_started_again(folder: Path) -> None:
    first = ChildSpec(name="first", argv=FOREVER, log=folder / "first.log")
    killed: list[int] = []

    def needs_a_new_first(_pid: int) -> bool:
        pid = supervisor.pids.get("first")
        if pid is not None and not killed:
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)
        return pid is not None and pid not in killed

    second = ChildSpec(name="second", argv=FOREVER, log=folder / "second.log", ready=needs_a_new_first)
    supervisor = Supervisor([first, second], folder=folder)
    for _ in range(2):  # it can be started again after a stop
        killed.clear()
        with supervisor:
            assert set(supervisor.pids) == {"first", "second"}


def test_a_child_that_is_not_to_be_restarted_is_not(folder: Path) -> None:
    events: list[ChildEvent] = []
    once = ChildSpec(name="once", argv=FOREVER, log=folder / "once.log", restart="never")
    with Supervisor([once], folder=folder, listener=events.append, backoff=Backoff(first_s=0.0)) as supervisor:
        os.kill(supervisor.pids["once"], signal.SIGKILL)
        until(lambda: events[-1].kind == "died")
    assert [event.kind for event in events] == ["starting", "ready", "died"]


def test_a_log_is_private_and_set_aside_when_it_has_grown_too_long(folder: Path) -> None:
    log = folder / "one.log"
    with log.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with Child(ChildSpec(name="one", argv=[sys.executable, "-c", "print('words')"], log=log)) as child:
        until(lambda: not child.alive)
        assert child.last_words() == "words"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert (folder / "one.log.1").stat().st_size == 65 * 1024 * 1024


def test_stop_kills_what_ignores_the_signal_and_its_children(folder: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    spec = supervised.sleeper(folder)
    argv = [sys.executable, "-c", deaf + supervised.SLEEPER, spec.argv[-1]]
    with Child(replace(spec, argv=argv, stop_signals=((signal.SIGTERM, 0.2),))) as child:
        grandchild = int((folder / "sleeper.pids").read_text().split()[1])
    assert child.exit_text() == "killed by signal 9"
    until(lambda: gone(grandchild), 5)


@pytest.mark.parametrize("name", ["postgres", "nats", "sleeper"])
def test_a_killed_child_is_started_again(up: Callable[[], Up], folder: Path, name: str) -> None:
    before = up().ready()
    os.kill(before["children"][name], signal.SIGKILL)
    after = wait_for_restart(folder, before, name)
    until(lambda: answers(before["database_url"]))
    others = set(before["children"]) - {name}
    assert {other: after["children"][other] for other in others} == {
        other: before["children"][other] for other in others
    }


def test_sigterm_stops_everything(up: Callable[[], Up], folder: Path) -> None:
    running = up()
    runtime = running.ready()
    pids = family(running.process.pid)
    assert len(pids) > 8  # the supervisor, its guard, the servers and their processes, the sleeper and its child
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0
    until(lambda: all(gone(pid) for pid in pids), 5)
    assert not answers(runtime["database_url"])
    assert not (folder / "runtime.json").exists()
    assert not (folder / "postgres" / "data" / "postmaster.pid").exists()


def test_sigterm_while_it_starts_stops_everything(up: Callable[[], Up], folder: Path) -> None:
    running = up()
    until(lambda: read_runtime(folder))
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0
    assert not (folder / "runtime.json").exists()
    assert not (folder / "sleeper.pids").exists()


def guard_of(supervisor: int) -> int | None:
    """The pid of a supervisor's guard process."""
    for child in psutil.Process(supervisor).children():
        try:
            if child.cmdline()[-1:] == [guard.__file__]:
                return child.pid
        except psutil.NoSuchProcess:
            continue
    return None


def wait_for_restart(folder: Path, before: dict[str, Any], name: str) -> dict[str, Any]:
    """What the supervisor publishes once a child that died has another pid."""

    def look() -> dict[str, Any] | None:
        now = read_runtime(folder)
        return now if now and now["children"].get(name) not in (None, before["children"][name]) else None

    return until(look)


def test_kill_of_the_supervisor_leaves_no_orphan(up: Callable[[], Up]) -> None:
    running = up()
    running.ready()
    pids = family(running.process.pid)
    running.process.kill()
    running.process.wait()
    until(lambda: all(gone(pid) for pid in pids), 10)


def test_kill_of_the_guard_and_then_of_the_supervisor_leaves_no_orphan(up: Callable[[], Up], folder: Path) -> None:
    running = up()
    before = running.ready()
    first = guard_of(running.process.pid)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: guard_of(running.process.pid) not in (None, first))
    # The supervisor does one thing after the other: when the sleeper is there again, the new guard knows of all.
    os.kill(before["children"]["sleeper"], signal.SIGKILL)
    wait_for_restart(folder, before, "sleeper")
    pids = family(running.process.pid)
    running.process.kill()
    running.process.wait()
    until(lambda: all(gone(pid) for pid in pids), 10)


def test_kill_of_the_supervisor_and_a_start_at_once_keep_what_was_committed(up: Callable[[], Up]) -> None:
    running = up()
    url = running.ready()["database_url"]
    query(url, "CREATE TABLE sale AS SELECT 1 AS id")
    with contextlib.closing(psycopg.connect(url)) as connection:
        connection.execute("INSERT INTO sale SELECT generate_series(1, 100000)")  # and no commit
        running.process.kill()
        running.process.wait()
        url = up().ready()["database_url"]
    assert query(url, "SELECT count(*) FROM sale") == 1


def test_kill_of_everything_at_once_leaves_no_damage(up: Callable[[], Up]) -> None:
    running = up()
    query(running.ready()["database_url"], "CREATE TABLE sale AS SELECT 1 AS id")
    for pid in family(running.process.pid):
        if not gone(pid):
            psutil.Process(pid).kill()
    running.process.wait()
    assert query(up().ready()["database_url"], "SELECT count(*) FROM sale") == 1


def test_two_on_one_folder_are_refused(up: Callable[[], Up], folder: Path) -> None:
    running = up()
    runtime = running.ready()
    second = subprocess.run([sys.executable, str(PROGRAM), str(folder)], capture_output=True, text=True, check=False)
    assert second.returncode == 3
    assert f"{folder} is in use by process {running.process.pid}" in second.stderr
    with pytest.raises(EngineError, match="in use by process"):
        EmbeddedPostgres(folder / "postgres").prepare()
    assert answers(runtime["database_url"])
    assert read_runtime(folder) == runtime
