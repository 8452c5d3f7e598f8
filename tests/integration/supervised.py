"""A program for the engine tests: PostgreSQL, NATS and a sleeper under one supervisor, until a signal ends it.

Arguments: the data folder. It writes the sleeper's and the sleeper's child's pid to ``sleeper.pids`` in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tillwire.engines.nats import EmbeddedNats
from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.engines.process import ChildSpec
from tillwire.engines.supervisor import Supervisor
from tillwire.errors import EngineError

SLEEPER = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
part = pathlib.Path(sys.argv[1] + ".part")
part.write_text(f"{os.getpid()} {child.pid}")
part.replace(sys.argv[1])
time.sleep(600)
"""


def sleeper(folder: Path) -> ChildSpec:
    """A child that starts a child of its own and then does nothing."""
    pids = folder / "sleeper.pids"
    return ChildSpec(
        name="sleeper",
        argv=[sys.executable, "-c", SLEEPER, str(pids)],
        log=folder / "logs" / "sleeper.log",
        prepare=lambda: pids.unlink(missing_ok=True),
        ready=lambda _pid: pids.exists(),
    )


def main(folder: Path) -> int:
    """Run everything in ``folder`` until SIGTERM; the exit code."""
    postgres = EmbeddedPostgres(folder / "postgres")
    nats = EmbeddedNats(folder / "nats")
    supervisor = Supervisor(
        [postgres.spec(), nats.spec(), sleeper(folder)],
        folder=folder,
        published={"database_url": postgres.url("postgres"), "nats_url": nats.url},
    )
    try:
        return supervisor.run()
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 3


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
