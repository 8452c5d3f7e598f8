"""Intake: accept durably, deduplicate, then validate and enrich what workers record."""
