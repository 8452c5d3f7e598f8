"""Secrets that the hub must be able to read again, sealed by a key that is not in the database."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tillwire.errors import ConfigurationError

_NONCE = 12


class Sealer:
    """Seals texts with AES-256-GCM, each bound to what it belongs to: one that is moved elsewhere cannot be opened."""

    def __init__(self, key: str, *, purpose: str) -> None:
        """The key is the hub's own (``clients.token_key``); each purpose has a key that is derived from it."""
        derived = HKDF(SHA256(), 32, salt=None, info=f"tillwire {purpose}".encode()).derive(key.encode())
        self._cipher = AESGCM(derived)

    def seal(self, text: str, of: str) -> bytes:
        """A text as it may be kept."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, text.encode(), of.encode())

    def open(self, sealed: bytes, of: str) -> str:
        """The text again. Raises ``ConfigurationError`` if it was sealed by another key, or for something else."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], of.encode()).decode()
        except InvalidTag as error:
            told = f"what is sealed for {of} was sealed by another key than clients.token_key"
            raise ConfigurationError(told) from error
