"""TLS for associations: both sides show a certificate, and both are checked."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from vesalius.errors import VesaliusError


@dataclass(frozen=True)
class Tls:
    """The files of a TLS identity, all in PEM.

    Args:
        certificate: Of this node, with those that sign it.
        key: Its private key, without a passphrase; readable to nobody else.
        authority: Certificates of those whose signature is believed. The system's are not.
    """

    certificate: Path
    key: Path
    authority: Path


def context_of(tls: Tls, *, listening: bool) -> ssl.SSLContext:
    """The settings of TLS for a connection.

    TLS 1.2 or newer; the other side must show a certificate that the authority signed, and, where this node connects,
    that names the host.

    Args:
        tls: The files.
        listening: Whether the other side connects.

    Raises:
        VesaliusError: A file is missing or none of its kind, or the key is readable to others.

    Source: PS3.15 2026c, annex B (BCP 195 TLS profiles): TLS 1.2 or newer, certificates of both sides.
    """
    try:
        if tls.key.stat().st_mode & 0o077:
            raise VesaliusError(f"{tls.key.name}: the key can be read by others than its owner; chmod 600 it")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listening else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"")
        context.load_verify_locations(tls.authority)
    except ssl.SSLError:
        raise VesaliusError("the files for TLS do not go together, or are no PEM files") from None
    except OSError as error:
        raise VesaliusError(f"the files for TLS cannot be read: {error.strerror}") from None
    return context
