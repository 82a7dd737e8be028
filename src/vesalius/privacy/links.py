"""The table that leads from pseudonyms back to people: encrypted, apart from the data, for whoever holds its key."""

from __future__ import annotations

import io
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vesalius.errors import PrivacyError
from vesalius.io.atomic import atomic_path
from vesalius.privacy.keys import Identity, Key, lock_away, open_lock, recipient_of
from vesalius.privacy.locking import alone
from vesalius.privacy.sealed import KEY_BYTES, new_stream, seal, unseal

_KIND = "vesalius links"
_CONTEXT = b"vesalius links"
_LARGEST = 1 << 30


@dataclass(frozen=True)
class Links:
    """Who is behind which pseudonym; never shown.

    Args:
        patients: By pseudonym: number, issuer, name and date of birth as they were, and the days that dates were put
            back.
        uids: The old UID of studies, series and objects by the new one.
        files: The old path of what is not DICOM by the new one, both below their folders.
    """

    patients: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    uids: dict[str, str] = field(default_factory=dict, repr=False)
    files: dict[str, str] = field(default_factory=dict, repr=False)

    def find(self, pseudonym: str) -> dict[str, Any]:
        """What stands behind a pseudonym of a patient, a new UID or the new name of a file.

        Raises:
            PrivacyError: The table does not have it.

        Example:
            >>> Links(uids={"1.2.3": "1.2.840.9"}).find("1.2.3")
            {'uid': '1.2.840.9'}
        """
        if pseudonym in self.patients:
            return dict(self.patients[pseudonym])
        if pseudonym in self.uids:
            return {"uid": self.uids[pseudonym]}
        if pseudonym in self.files:
            return {"file": self.files[pseudonym]}
        raise PrivacyError("the table of links does not have this pseudonym: it is of another run, or another key")


def read_links(path: str | os.PathLike[str], key: Key) -> Links:
    """Decrypt a table of links.

    Args:
        path: As `add_links` wrote it.
        key: A passphrase or an age identity, as `vesalius.privacy.keys.read_key` reads it.

    Raises:
        PrivacyError: The key is another, or the file was changed, cut off, or is none.
        MissingDependencyError: A package of the extra ``privacy`` is not installed.
    """
    return _opened(Path(path), key)[0]


def add_links(path: str | os.PathLike[str], links: Links, key: Key) -> None:
    """Add to a table of links, or begin one. Only the owner may read the file, and only with the key.

    Args:
        path: The file; it should not lie with the data.
        links: What to add; of a pseudonym that the table has already, the newer entry counts.
        key: A passphrase or an age identity; of a table that is there, the one that opens it.

    Raises:
        PrivacyError: The key is another than the table's, or too short.
        VesaliusError: The system refused to write.

    Example:
        >>> import tempfile
        >>> from vesalius.privacy.keys import Passphrase
        >>> words = Passphrase("correct horse battery staple")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     add_links(Path(folder) / "links", Links(uids={"1.2.3": "1.2.840.9"}), words)
        ...     read_links(Path(folder) / "links", words).find("1.2.3")
        {'uid': '1.2.840.9'}
    """
    place = Path(path)
    with alone(place.with_name(f".{place.name}.lock")):
        if place.exists():
            old, data_key, lock = _opened(place, key)
        else:
            data_key = secrets.token_bytes(KEY_BYTES)
            old = Links()
            lock = lock_away(data_key, recipient_of(key) if isinstance(key, Identity) else key, context=_CONTEXT)
        whole = {name: getattr(old, name) | getattr(links, name) for name in ("patients", "uids", "files")}
        sealed, stream = io.BytesIO(), new_stream()
        seal(io.BytesIO(json.dumps(whole).encode()), sealed, key=data_key, purpose=_CONTEXT, stream=stream)
        said = {"kind": _KIND, "version": 1, "lock": lock, "stream": stream, "sealed": sealed.getvalue().hex()}
        with atomic_path(place) as temporary:
            temporary.chmod(0o600)
            temporary.write_text(json.dumps(said), encoding="utf-8")


def _opened(path: Path, key: Key) -> tuple[Links, bytes, dict[str, Any]]:
    refused = PrivacyError(f"{path.name} does not open: another key, or the file was changed or is no table of links")
    try:
        if path.stat().st_size > _LARGEST:
            raise refused
        said = json.loads(path.read_text(encoding="utf-8"))
        data_key = open_lock(said["lock"], key, context=_CONTEXT) if said["kind"] == _KIND else None
        if data_key is None:
            raise refused
        pieces = unseal(
            io.BytesIO(bytes.fromhex(said["sealed"])), key=data_key, purpose=_CONTEXT, stream=said["stream"]
        )
        whole = json.loads(b"".join(pieces))
        return Links(whole["patients"], whole["uids"], whole["files"]), data_key, said["lock"]
    except FileNotFoundError:
        raise PrivacyError(f"{path.name}: there is no such table of links") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise refused from None
