"""Names, UIDs and shifts of dates that follow from a key: the same in every run, and known again as our own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from pydicom.uid import PYDICOM_ROOT_UID, RE_VALID_UID

from vesalius.errors import PrivacyError

SHORTEST_KEY_BYTES = 16
"""Source: NIST SP 800-107r1, section 5.3.2: the security of HMAC is that of its key; 128 bits."""

_BODY_BYTES, _CHECK_BYTES = 10, 5
_BODY_DIGITS, _CHECK_DIGITS = 24, 14
_PSEUDONYM = re.compile(r"V[A-Z2-7]{24}")
_SCRYPT = {"n": 1 << 15, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": 32}
_FURTHEST_DAYS = 3650


@dataclass(frozen=True)
class Pseudonyms:
    """What a key makes of identities.

    Everything is an HMAC-SHA256 of what it replaces: without the key nobody can tell from a pseudonym whose it is, not
    even by trying every patient number, and with it every run agrees. A part of each pseudonym is the HMAC of the
    rest, so that it is known again and left as it is: to de-identify what is de-identified already changes nothing.

    Args:
        key: The secret; never shown.

    Raises:
        PrivacyError: The key is shorter than 16 bytes.

    Source:
        Keyed hashes against trying all numbers: ENISA, Pseudonymisation techniques and best practices (2019), section
        5.1; HMAC: FIPS 198-1.

    Example:
        >>> of = Pseudonyms(b"0123456789abcdef")
        >>> of.name("MRN 1") == of.name("MRN 1"), of.name(of.name("MRN 1")) == of.name("MRN 1"), len(of.name("MRN 1"))
        (True, True, 25)
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < SHORTEST_KEY_BYTES:
            raise PrivacyError(f"a key has at least {SHORTEST_KEY_BYTES} bytes, and this one {len(self.key)}")

    def name(self, text: str, *, of: str = "patient") -> str:
        """A pseudonym of 25 letters and digits, fit for a name, an identifier and a file.

        Args:
            text: What it replaces; one of our own pseudonyms comes back as it is.
            of: Kind of identity: equal texts of different kinds do not share a pseudonym.
        """
        if self.made(text):
            return text
        body = self._hash(of, text)[:_BODY_BYTES]
        return self._sealed(body)

    def made(self, text: str) -> bool:
        """Whether a text is a pseudonym under this key; one in 10¹² others passes."""
        if not _PSEUDONYM.fullmatch(text):
            return False
        body = base64.b32decode(text[1:])[:_BODY_BYTES]
        return hmac.compare_digest(self._sealed(body), text)

    def uid(self, uid: str) -> str:
        """A UID in place of another: 24 digits that follow from it, and 14 by which it is known again.

        Args:
            uid: What it replaces; one of our own comes back as it is. What is no UID is replaced like one.

        Source:
            DICOM PS3.5, section 9.1: at most 64 characters; the root is pydicom's.
        """
        if self.made_uid(uid):
            return uid
        body = str(int.from_bytes(self._hash("uid", uid)) % 9 * 10 ** (_BODY_DIGITS - 1) + 10 ** (_BODY_DIGITS - 1))
        rest = int.from_bytes(self._hash("uid body", uid)) % 10 ** (_BODY_DIGITS - 1)
        body = str(int(body) + rest)
        return f"{PYDICOM_ROOT_UID}{body}{self._check(body)}"

    def made_uid(self, uid: str) -> bool:
        """Whether a UID was made under this key; one in 10¹⁴ others of this form passes."""
        digits = uid.removeprefix(PYDICOM_ROOT_UID)
        whole = len(digits) == _BODY_DIGITS + _CHECK_DIGITS and digits.isdecimal() and digits.isascii()
        return (
            whole and uid.startswith(PYDICOM_ROOT_UID) and self._check(digits[:_BODY_DIGITS]) == digits[_BODY_DIGITS:]
        )

    def days(self, patient: str) -> int:
        """By how many days the dates of a patient are put back: 1 to 3650, the same for all of them.

        Args:
            patient: The patient's identity; 0 for a pseudonym of ours, whose dates were shifted when it was made.
        """
        if self.made(patient):
            return 0
        return 1 + int.from_bytes(self._hash("days", patient)[:8]) % _FURTHEST_DAYS

    def _hash(self, of: str, text: str) -> bytes:
        return hmac.new(self.key, f"{of}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).digest()

    def _sealed(self, body: bytes) -> str:
        check = hmac.new(self.key, b"check\0" + body, hashlib.sha256).digest()[:_CHECK_BYTES]
        return "V" + base64.b32encode(body + check).decode("ascii")

    def _check(self, digits: str) -> str:
        number = int.from_bytes(self._hash("check", digits)) % 10**_CHECK_DIGITS
        return f"{number:0{_CHECK_DIGITS}d}"


def stretch(passphrase: str) -> bytes:
    """A key of 32 bytes from a passphrase, slowly, so that trying many is dear.

    The salt is fixed: the same passphrase has to give the same pseudonyms on every machine. A secret that was drawn is
    better.

    Raises:
        PrivacyError: It is shorter than 16 characters.

    Source:
        RFC 7914 (scrypt), with the cost that OWASP's password storage cheat sheet names (2¹⁵, 8, 1 and more).

    Example:
        >>> len(stretch("correct horse battery staple"))
        32
    """
    if len(passphrase) < SHORTEST_KEY_BYTES:
        raise PrivacyError(f"the key has {len(passphrase)} characters, and needs {SHORTEST_KEY_BYTES} or more")
    return hashlib.scrypt(passphrase.encode(), salt=b"vesalius deidentify", **_SCRYPT)


def is_uid(text: str) -> bool:
    """Whether a text has the form of a UID.

    Example:
        >>> is_uid("1.2.840.10008.1.2"), is_uid("../../1.2"), is_uid("1." * 40)
        (True, False, False)
    """
    return len(text) <= 64 and re.fullmatch(RE_VALID_UID, text) is not None
