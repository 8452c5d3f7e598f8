"""``tillwire simulate``: a simulated ERP in the foreground, to try settings and faults on without an ERP."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter, validators
from rich.table import Table

from tillwire.cli.common import console
from tillwire.connectors.registry import registered, spec_of
from tillwire.connectors.simulation import ErpSimulator, Fault, Faults
from tillwire.connectors.spec import Spec, secrets_of
from tillwire.errors import ConfigurationError

Share = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))]
_MOST_PATHS = 10


def simulate(
    name: Annotated[str, Parameter(help="The connector whose ERP it is, such as odoo.")],
    *,
    port: Annotated[
        int, Parameter(help="Port on 127.0.0.1; 0 takes a free one.", validator=validators.Number(gte=0, lte=65535))
    ] = 8600,
    lost_request: Annotated[Share, Parameter(help="Share of writing calls that are not heard.")] = 0,
    lost_reply: Annotated[Share, Parameter(help="… that are done, and whose answer is lost.")] = 0,
    cut_reply: Annotated[Share, Parameter(help="… that are done, and whose answer is cut.")] = 0,
    duplicated: Annotated[Share, Parameter(help="… that are done twice.")] = 0,
    throttled: Annotated[Share, Parameter(help="… that are answered as too many.")] = 0,
    unavailable: Annotated[Share, Parameter(help="… that are answered 503.")] = 0,
    broken: Annotated[Share, Parameter(help="… that are done and answered 500.")] = 0,
    slow: Annotated[Share, Parameter(help="… that are answered a second late.")] = 0,
    expired: Annotated[Share, Parameter(help="… at which the credentials run out.")] = 0,
    everywhere: Annotated[bool, Parameter(negative="", help="These shares are of all calls.")] = False,
    limit_per_min: Annotated[int | None, Parameter(help="More calls a minute are too many.")] = None,
    limit_at_once: Annotated[int | None, Parameter(help="More calls at once are too many.")] = None,
    latency_ms: Annotated[int, Parameter(help="How long every call takes.", validator=validators.Number(gte=0))] = 0,
    seed: Annotated[int, Parameter(help="The same seed, the same faults.")] = 0,
    accounts: Annotated[str, Parameter(help="The accounts there are, such as 1010,4000; else some of its own.")] = "",
) -> int:
    """Run a simulated ERP until it is stopped; print how to reach it, and in the end what it saw.

    It is written from the ERP's public contract and refuses what that refuses. What it books is gone when it ends.
    """
    shares: dict[Fault, float] = {
        "lost_request": lost_request,
        "lost_reply": lost_reply,
        "cut_reply": cut_reply,
        "duplicated": duplicated,
        "throttled": throttled,
        "unavailable": unavailable,
        "broken": broken,
        "slow": slow,
        "expired": expired,
    }
    rates = {fault: share for fault, share in shares.items() if share}
    faults = Faults(rates=rates, everywhere=everywhere, seed=seed, slow_s=1.0)
    spec = _simulated_spec(name)
    simulator: ErpSimulator = spec.simulated(
        port=port, faults=faults, limit_per_min=limit_per_min, limit_at_once=limit_at_once
    )
    simulator.latency_s = latency_ms / 1000
    if accounts:
        simulator.open_accounts([code.strip() for code in accounts.split(",") if code.strip()])
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with simulator:
        _print_start(spec, simulator, accounts)
        stopped.wait()
    _print_end(simulator)
    return 0


def _simulated_spec(name: str) -> Spec:
    spec = spec_of(name)
    if not spec.simulator:
        there = ", ".join(one.name for one in registered().values() if one.simulator)
        raise ConfigurationError(f"{name} has no simulator; there are those of {there}")
    return spec


def _print_start(spec: Spec, simulator: ErpSimulator, accounts: str) -> None:
    console.print(f"{spec.title}, simulated from: {simulator.contract}", soft_wrap=True)
    console.print(f"accounts: {accounts or ', '.join(simulator.account_codes)}; company {simulator.company}")
    console.print(f"it answers on {simulator.url}; in tillwire.toml:\n", soft_wrap=True)
    console.print(section(spec, simulator.settings()), highlight=False, soft_wrap=True)
    secrets = secrets_of(spec.settings)
    console.print("and in the environment:\n")
    for setting, value in simulator.settings().items():
        if setting in secrets:
            variable = f"TILLWIRE_ERPS_{_erp_name(spec).upper().replace('-', '_')}_{setting.upper()}"
            console.print(f"export {variable}={shlex.quote(str(value))}", highlight=False, soft_wrap=True)
    console.print("\nready; Ctrl-C ends it", highlight=False)


def section(spec: Spec, settings: Mapping[str, Any]) -> str:
    """The part of ``tillwire.toml`` that makes a hub post to an ERP with these settings, secrets left out."""
    secrets = secrets_of(spec.settings)
    lines = ["[[erps]]", f'name = "{_erp_name(spec)}"', f'kind = "{spec.name}"', "[erps.settings]"]
    lines += [f"{setting} = {_toml(value)}" for setting, value in settings.items() if setting not in secrets]
    return "\n".join(lines) + "\n"


def _erp_name(spec: Spec) -> str:
    return spec.name.replace("_", "-")


def _toml(value: Any) -> str:
    """A value as TOML has it on one line; its strings, numbers and lists are those of JSON."""
    if isinstance(value, Mapping):
        pairs = [f"{_toml(str(key))} = {_toml(one)}" for key, one in value.items()]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return msgspec.json.encode(value).decode()


def _print_end(simulator: ErpSimulator) -> None:
    calls = Table("calls", "", title=f"{simulator.name}: what it saw")
    shown = simulator.calls.most_common(_MOST_PATHS)
    for call, times in shown:
        calls.add_row(call, str(times))
    rest = len(simulator.called_at) - sum(times for _, times in shown)
    if rest:
        calls.add_row("others", str(rest))
    calls.add_row("all", str(len(simulator.called_at)))
    console.print(calls)
    figures = Table("figure", "")
    figures.add_row("calls that write", str(simulator.writing_calls))
    figures.add_row("most at once", str(simulator.peak_at_once))
    figures.add_row("most in a minute", str(simulator.most_in(60)))
    figures.add_row("refused as too many", str(simulator.refused))
    for fault, times in sorted(simulator.injected.items()):
        figures.add_row(f"fault: {fault}", str(times))
    figures.add_row("journals posted", str(simulator.held("journal")))
    for (_, currency, account), amount in sorted(simulator.books.trial_balance().items()):
        figures.add_row(f"balance of {account}", f"{amount} {currency}")
    console.print(figures)
