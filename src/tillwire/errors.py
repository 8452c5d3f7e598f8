"""Every error Tillwire raises on purpose, as one tree. A class names the reaction it calls for."""

from __future__ import annotations


class TillwireError(Exception):
    """Base of all errors raised on purpose; the message says what happened, to what, and what to do next."""


class ConfigurationError(TillwireError):
    """A setting is wrong or missing: mend the configuration and start again."""


class EngineError(TillwireError):
    """A server that Tillwire starts or needs is not there: look at its log, then start again."""


class TransientError(TillwireError):
    """Try the same thing again later; nothing has happened."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimitedError(TransientError):
    """The other side asks for fewer calls: wait ``retry_after_s``, then try again."""


class OutcomeUnknownError(TillwireError):
    """A request may or may not have taken effect: look it up by our reference before sending it again."""


class RejectedError(TillwireError):
    """The other side refused for good and says why; sending the same again would fail again."""


class AuthenticationError(TillwireError):
    """The other side does not accept our credentials: renew them; nothing has happened."""


class ContractChangedError(TillwireError):
    """The other side answers as its contract does not say, or lacks what it says: somebody must look; nothing has
    happened. A write whose answer cannot be read is an ``OutcomeUnknownError`` instead.
    """


class BusinessFault(TillwireError):
    """An event breaks a rule of the trade: it goes to the exception queue with ``code``.

    ``code`` is one of the codes of the validation rules; ``pointer`` is a JSON pointer into the event.
    """

    def __init__(self, code: str, message: str, *, pointer: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.pointer = pointer
