"""What everybody who stores a secret needs of encryption."""

from __future__ import annotations

from typing import Final, Protocol

from workload_api.domain.errors import TryAgain

SEALING: Final = "sealing"
"""Name of the lock that is shared by all who write sealed values; whoever changes the keys takes it alone."""


class KeyUnusable(TryAgain):
    """There is no key for a secret; until an operator has seen to it, what needs the secret cannot be done.

    Args:
        message: One sentence that names the setting and says what to do.
    """

    default_code = "ENCRYPTION_KEY_UNUSABLE"

    def __init__(self, message: str) -> None:
        super().__init__(message, after_seconds=60)


class Sealer(Protocol):
    """Encrypts and decrypts what is stored.

    A sealed value is bound to its purpose (whose it is, what for): moved to another row it cannot be opened.
    """

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """Encrypt.

        Raises:
            KeyUnusable: There is no key.
        """

    def unseal(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt.

        Raises:
            KeyUnusable: There is no key, not the one that it was encrypted with, or it was made for another purpose.
        """
