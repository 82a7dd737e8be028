"""Debian's Orthanc on loopback, with users, its store in a temporary folder: an independent PACS."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

USER, PASSWORD = "reader", "a password for tests"
PLUGIN = Path("/usr/lib/orthanc/libOrthancDicomWeb.so.1.7")
COUNT = """
function ReceivedInstanceFilter(dicom, origin, info)
    local file = io.open('%s', 'a')
    file:write(dicom['SOPInstanceUID'] .. '\\n')
    file:close()
    return true
end
"""


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc.

    ``arrivals`` lists the UID of every object that it was sent, as often as it was sent.
    """

    ae_title: str
    port: int
    web: str
    log: Path
    received: Path

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.web, auth=(USER, PASSWORD), timeout=30)

    def ask(self, path: str) -> Any:
        with self.client as client:
            return client.get(path).raise_for_status().json()

    def post(self, path: str, what: Any) -> Any:
        with self.client as client:
            return client.post(path, json=what).raise_for_status().json()

    def arrivals(self) -> list[str]:
        return self.received.read_text().split() if self.received.exists() else []


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def orthanc(
    folder: Path, *, modalities: dict[str, int] | None = None, servers: dict[str, dict[str, str]] | None = None
) -> Iterator[Orthanc]:
    """Start Orthanc, and stop it when the block ends; skips where it is not installed.

    ``modalities`` are the AE titles and ports of those that it knows, ``servers`` what its DICOMweb client needs.
    """
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.exists():
        pytest.skip("Debian's orthanc and orthanc-dicomweb are not installed")
    folder.mkdir(parents=True, exist_ok=True)
    received, dicom, web = folder / "received", free_port(), free_port()
    (folder / "count.lua").write_text(COUNT % received)
    configuration = {
        "Name": "Tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN)],
        "LuaScripts": [str(folder / "count.lua")],
        "HttpPort": web,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomAet": "ORTHANC",
        "DicomPort": dicom,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
        "UnknownSopClassAccepted": False,
        "OverwriteInstances": False,
        "SaveJobs": False,
        "DicomModalities": {
            name: {
                "AET": name,
                "Host": "127.0.0.1",
                "Port": port,
                "AllowEcho": True,
                "AllowFind": True,
                "AllowMove": True,
                "AllowGet": True,
                "AllowStore": True,
                "AllowStorageCommitment": True,
            }
            for name, port in (modalities or {}).items()
        },
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False, "Servers": servers or {}},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    log = folder / "orthanc.log"
    with log.open("wb") as out, subprocess.Popen([program, str(folder / "orthanc.json")], stdout=out, stderr=out) as it:
        try:
            running = Orthanc("ORTHANC", dicom, f"http://127.0.0.1:{web}", log, received)
            _wait(running, it)
            yield running
        finally:
            it.terminate()
            try:
                it.wait(timeout=20)
            except subprocess.TimeoutExpired:
                it.kill()


def _wait(running: Orthanc, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, running.log.read_text()[-2000:]
        try:
            running.ask("/system")
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"Orthanc did not start: {running.log.read_text()[-2000:]}")
