"""Ask a DICOMweb server: QIDO-RS, WADO-RS and STOW-RS, byte for byte."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from vesalius.errors import FormatError, MissingDependencyError, VesaliusError
from vesalius.server.dicomweb.multipart import End, Head, Splitter, joined, new_boundary, parameters
from vesalius.server.identity import checked_uid
from vesalius.server.store import ConflictError, Store

if TYPE_CHECKING:
    import httpx

Level = Literal["studies", "series", "instances"]

_JSON, _DICOM = "application/dicom+json", "application/dicom"
_LONGEST_ANSWER = 256 << 20  # bytes of JSON
_IN_MEMORY = 1 << 20


class WebError(VesaliusError):
    """A DICOMweb server cannot be reached, refuses, or answers with nonsense."""


@dataclass(frozen=True)
class Web:
    """A DICOMweb server.

    Args:
        url: Of its services, for example ``https://pacs.example/dicom-web``.
        user: For authentication by password.
        password: Of the user; without a user, a token (Bearer).
        authority: A file of certificates to believe, in PEM, instead of the usual ones.
        timeout_s: For each answer, and between two pieces of one.

    Raises:
        VesaliusError: The address is no URL, or secrets would go over the network without encryption.
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    authority: Path | None = None
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), 0
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.username or parts.query:
            raise VesaliusError("the address of a DICOMweb server is written like https://pacs.example/dicom-web")
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise VesaliusError("patients' data go over the network encrypted only: use https")


@dataclass(frozen=True)
class Stored:
    """What a server did with objects.

    Args:
        kept: SOP Instance UIDs that it has now.
        refused: How many it did not take.
    """

    kept: tuple[str, ...]
    refused: int


def search(
    web: Web, level: Level, keys: Mapping[str, str], *, study: str | None = None, series: str | None = None
) -> list[dict[str, Any]]:
    """Ask which studies, series or objects there are.

    Args:
        web: The server.
        level: Of what.
        keys: DICOM keyword to value, and ``limit``, ``offset``, ``includefield``.
        study: Only of this study.
        series: Only of this series of the study.

    Returns:
        As DICOM JSON.

    Raises:
        WebError: It does not answer, or not so.
        FormatError: A UID is none.
    """
    path = "/".join([*_path(study, series), level])
    with _client(web) as client, _asked(client.stream("GET", path, params=dict(keys), headers={"Accept": _JSON})) as it:
        if it.status_code == 204:
            return []
        said = _json(it)
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise WebError("the server's answer is no DICOM JSON")
    return said


def retrieve(
    web: Web, store: Store, study: str, series: str | None = None, instance: str | None = None
) -> tuple[int, int]:
    """Fetch a study, a series or an object into a store, in the transfer syntax that the server keeps it in.

    Args:
        web: The server.
        store: Where to.
        study: UID.
        series: UID; all of the study when left out.
        instance: UID; all of the series when left out.

    Returns:
        How many objects arrived, and how many were refused by the store.

    Raises:
        WebError: It does not answer, or not so; what had arrived whole stays in the store.
        FormatError: A UID is none, or the answer is cut off.
    """
    path = "/".join(_path(study, series, instance))
    accept = f'multipart/related; type="{_DICOM}"; transfer-syntax=*'
    arrived = refused = 0
    with _client(web) as client, _asked(client.stream("GET", path, headers={"Accept": accept})) as answer:
        kind, said = parameters(answer.headers.get("content-type", ""))
        if kind != "multipart/related" or "boundary" not in said:
            raise WebError("the server's answer holds no objects")
        for part in _parts(answer, Splitter(said["boundary"]), store):
            try:
                store.add(iter(lambda: part.read(_IN_MEMORY), b""), study=study)  # noqa: B023
                arrived += 1
            except (FormatError, ConflictError):
                refused += 1
    return arrived, refused


def store_files(web: Web, files: Sequence[Path], *, study: str | None = None) -> Stored:
    """Send files, in one request, as they are.

    Args:
        web: The server.
        files: As PS3.10 has them.
        study: UID of the study that all belong to, if the server is to check it.

    Returns:
        What the server says to each.

    Raises:
        WebError: It does not answer, or not so.
    """
    boundary = new_boundary()
    headers = {"Accept": _JSON, "Content-Type": f'multipart/related; type="{_DICOM}"; boundary={boundary}'}
    path = "/".join(_path(study) or ["studies"])
    body = joined(((file, _DICOM) for file in files), boundary)
    with (
        _client(web) as client,
        _asked(client.stream("POST", path, content=body, headers=headers), fine=(200, 202, 409)) as answer,
    ):
        said = _json(answer)
    if not isinstance(said, dict):
        raise WebError("the server's answer is no DICOM JSON")
    return Stored(tuple(_references(said, "00081199")), len(said.get("00081198", {}).get("Value") or ()))


def _references(said: Mapping[str, Any], tag: str) -> Iterator[str]:
    for item in said.get(tag, {}).get("Value") or ():
        yield from (str(uid) for uid in item.get("00081155", {}).get("Value") or ())


def _parts(answer: httpx.Response, splitter: Splitter, store: Store) -> Iterator[Any]:
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(store.folder / "incoming")) as part:
        for chunk in answer.iter_bytes():
            for event in splitter.feed(chunk):
                if isinstance(event, Head):
                    part.seek(0)
                    part.truncate()
                elif isinstance(event, End):
                    part.seek(0)
                    yield part
                else:
                    if part.tell() + len(event) > store.largest_object:
                        raise WebError("an object is larger than objects may be here")
                    part.write(event)
        splitter.close()


def _path(*uids: str | None) -> list[str]:
    made = []
    for name, uid in zip(("studies", "series", "instances"), uids, strict=False):
        if uid is not None:
            made += [name, checked_uid(uid, f"UID of {name}")]
    return made


def _client(web: Web) -> httpx.Client:
    """A client that follows no redirection, which could take the password along, and reads no settings of the user."""
    try:
        import httpx
    except ImportError:
        raise MissingDependencyError("DICOMweb needs httpx: pip install 'vesalius[server]'") from None
    import ssl

    headers = {"Accept-Encoding": "identity"}
    if web.password is not None and not web.user:
        headers["Authorization"] = f"Bearer {web.password}"
    auth = (web.user, web.password or "") if web.user else None
    trusted: Any = True if web.authority is None else ssl.create_default_context(cafile=str(web.authority))
    return httpx.Client(
        base_url=web.url.rstrip("/") + "/",
        auth=auth,
        headers=headers,
        verify=trusted,
        timeout=web.timeout_s,
        follow_redirects=False,
        trust_env=False,
    )


@contextlib.contextmanager
def _asked(stream: Any, *, fine: tuple[int, ...] = (200, 204)) -> Iterator[httpx.Response]:
    import httpx

    try:
        with stream as answer:
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise WebError("the server's answer is compressed, which was not asked for")
            if answer.status_code not in fine:
                words = {401: ": wrong or missing password", 403: ": not allowed", 404: ": there is no such thing"}
                raise WebError(f"the server answered {answer.status_code}{words.get(answer.status_code, '')}")
            yield answer
    except httpx.HTTPError as error:
        raise WebError(f"the server cannot be reached, or broke off ({type(error).__name__})") from None


def _json(answer: httpx.Response) -> Any:
    taken = bytearray()
    for chunk in answer.iter_bytes():
        taken += chunk
        if len(taken) > _LONGEST_ANSWER:
            raise WebError("the server's answer is too long")
    try:
        return json.loads(taken)
    except (ValueError, RecursionError):
        raise WebError("the server's answer is no JSON") from None


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
