"""What the group of companies in the tests of Tryton is called."""

from __future__ import annotations

CANADA, JAPAN = "Tillwire Canada", "Tillwire Japan"
