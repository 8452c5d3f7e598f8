"""The proof as JSON, for whoever runs the demo from a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tillwire.demo.proof import Proof
from tillwire.reconciliation.days import Figure


def _figure(figure: Figure) -> dict[str, Any]:
    return {"count": figure.count, "amount": f"{figure.amount:.2f}"}


def write_report(path: Path, proof: Proof, seconds: float) -> None:
    """Write the proof to ``path``. Amounts are decimals in text, in dollars."""
    content = {
        "ok": proof.ok,
        **{
            name: _figure(getattr(proof, name))
            for name in ("captured", "recorded", "in_exceptions", "posted", "acknowledged")
        },
        "duplicates": {"sent": proof.sent_again, "effects": proof.effects},
        "faults": [{"kind": fault.kind, "injected": fault.injected, "found": fault.found} for fault in proof.faults],
        "seconds": round(seconds, 1),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
