"""Logs: one JSON object a line on standard error, with the process and the time in UTC."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog


def configure(process: str, stream: TextIO | None = None) -> None:
    """Set logging up for this process; what libraries log through ``logging`` goes the same way, from warnings on.

    ``stream`` is standard error if none is given.
    """
    stream = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=logging.WARNING, stream=stream, format="%(levelname)s %(name)s %(message)s")
