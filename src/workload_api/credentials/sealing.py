"""The encryption keys: from the setting ``ENCRYPTION_KEY``, else from a file in the data directory.

Both hold Fernet keys: the first encrypts, all decrypt. The file is looked at each time before a key is used, so that a
running server follows a rotation (:mod:`workload_api.credentials.rotation`) by itself.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from workload_api.domain.sealing import KeyUnusable
from workload_api.identity.service import keep_secret
from workload_api.settings import Settings, SettingsError

log = structlog.get_logger(__name__)

KEY_FILE = "encryption-key"

_Stamp = tuple[int, int, int]

_GONE = (
    f"The file {KEY_FILE} of the data directory (DATA_DIR) is missing, so nothing can be encrypted: restore it from a "
    "backup, or set WORKLOAD_API_ENCRYPTION_KEY."
)
_NOT_OURS = (
    "A secret in the database cannot be decrypted with the keys that this server has: add the key that it was "
    f"encrypted with to WORKLOAD_API_ENCRYPTION_KEY, behind the others, or restore the file {KEY_FILE} of the data "
    "directory (DATA_DIR)."
)


def new_key() -> str:
    """Make a key."""
    return Fernet.generate_key().decode()


class KeyRing:
    """The keys of this process (see :class:`workload_api.domain.sealing.Sealer`).

    Args:
        keys: The keys of the setting; ``None`` where the file counts.
        file: The key file.

    Raises:
        SettingsError: The file is there, but holds no usable keys.
    """

    def __init__(self, keys: Sequence[str] | None, file: Path) -> None:
        self.file = None if keys is not None else file
        self._current = [Fernet(key) for key in keys or ()]
        # Keys that were dropped since, for what was read before they were.
        self._former: list[Fernet] = []
        self._stamp: _Stamp | None = None
        self._refused: _Stamp | None = None
        if self.file is not None and (stamp := _stamp(self.file)):
            self._current, self._stamp = [Fernet(key) for key in read_keys(self.file)], stamp

    @classmethod
    def of(cls, settings: Settings) -> KeyRing:
        """The keys that the settings name.

        Raises:
            SettingsError: The file holds no usable keys.
        """
        given = settings.encryption_key
        keys = None if given is None else [key.strip() for key in given.get_secret_value().split(",")]
        return cls(keys, settings.data_dir / KEY_FILE)

    @property
    def size(self) -> int:
        """How many keys there are now."""
        self._look()
        return len(self._current)

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """Encrypt with the first key. Inside of a unit of work that holds the lock ``SEALING`` with others.

        Raises:
            KeyUnusable: There is no key.
        """
        self._look()
        if not self._current or (self.file is not None and self._stamp is None):
            raise KeyUnusable(_GONE)
        return self._current[0].encrypt(purpose.encode() + b"\0" + plain)

    def unseal(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt with whichever key fits.

        Raises:
            KeyUnusable: None does, or it was made for another purpose.
        """
        opened = self._open(sealed)
        owner, _, plain = opened.partition(b"\0")
        if owner != purpose.encode():
            raise KeyUnusable(
                "A secret in the database does not belong to the row that it stands in: restore the database from a "
                "backup, or store the secret anew."
            )
        return plain

    def reseal(self, sealed: bytes) -> bytes | None:
        """Encrypt anew with the first key, whatever the purpose.

        Returns:
            The new value, or ``None`` where it is encrypted with the first key already.

        Raises:
            KeyUnusable: No key fits.
        """
        self._look()
        if self._current:
            try:
                self._current[0].decrypt(sealed)
                return None
            except InvalidToken:
                pass
        plain = self._open(sealed)
        if not self._current:
            raise KeyUnusable(_GONE)
        return self._current[0].encrypt(plain)

    def _open(self, sealed: bytes) -> bytes:
        self._look()
        known = [*self._current, *self._former]
        if not known:
            raise KeyUnusable(_GONE)
        try:
            return MultiFernet(known).decrypt(sealed)
        except InvalidToken:
            raise KeyUnusable(_NOT_OURS) from None

    def _look(self) -> None:
        """Read the file again if it has changed. Keys that it no longer holds still decrypt in this process."""
        if self.file is None or (stamp := _stamp(self.file)) == self._stamp:
            return
        if stamp is None:
            self._stamp = None
            return
        try:
            keys = [Fernet(key) for key in read_keys(self.file)]
        except SettingsError as error:
            if stamp != self._refused:
                log.error("encryption_key_refused", error=str(error))
            self._refused = stamp
            return
        self._former = [*self._current, *self._former]
        self._current, self._stamp = keys, stamp


def read_keys(file: Path) -> list[str]:
    """The keys of a file, one in each line; the first encrypts.

    Raises:
        SettingsError: It cannot be read or holds something else; the sentence names file and setting.
    """
    try:
        keys = file.read_text().split()
        for key in keys:
            Fernet(key)
    except OSError as error:
        raise SettingsError(f"the encryption key file {file} cannot be read ({error.strerror}); {_INSTEAD}") from None
    except ValueError:
        keys = []
    if not keys:
        raise SettingsError(
            f"the encryption key file {file} must hold Fernet keys (32 bytes in URL-safe base64), one in each line; "
            f"{_INSTEAD}"
        )
    return keys


_INSTEAD = "restore it from a backup, or set WORKLOAD_API_ENCRYPTION_KEY"


def make_key_file(file: Path) -> None:
    """Make a key and keep it in a 0600 file, unless there is one; of several servers that start at once, one does."""
    with only_one(file):
        if not file.exists():
            keep_secret(file, new_key())


@contextmanager
def only_one(file: Path) -> Iterator[None]:
    """Keep every other process waiting that changes the same key file; ends with this process at the latest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _stamp(file: Path) -> _Stamp | None:
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size
