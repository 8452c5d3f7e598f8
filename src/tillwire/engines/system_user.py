"""The system user that runs the embedded database when we are root, for PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from dataclasses import dataclass

from tillwire.errors import EngineError

NAME = "tillwire-postgres"
_ATTEMPTS = 20


@dataclass(frozen=True)
class SystemUser:
    """Numeric ids of a system user."""

    user: int
    group: int


def database_user() -> SystemUser | None:
    """Whom the database must run as: None if we are not root, else a system user of its own, made if need be.

    Raises ``EngineError`` if there is no such user and none can be made.
    """
    if os.geteuid() != 0:
        return None
    # Another process may be making the user, or hold the lock on the user database, at this moment.
    for _ in range(_ATTEMPTS):
        found = _find(NAME)
        if found is not None:
            return found
        problem = _make(NAME)
        if problem is None:
            continue
        time.sleep(0.1)
    raise EngineError(
        f"as root the embedded database needs the system user {NAME}, which cannot be made ({problem}): "
        "create it, or run as an ordinary user"
    )


def _find(name: str) -> SystemUser | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return SystemUser(entry.pw_uid, entry.pw_gid)


def _make(name: str) -> str | None:
    """Make the system user; returns what went wrong, in words."""
    program = shutil.which("useradd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        return "there is no useradd"
    made = subprocess.run(
        [program, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if made.returncode == 0 else made.stderr.strip() or f"useradd ended with {made.returncode}"
