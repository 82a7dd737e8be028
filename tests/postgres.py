"""A private PostgreSQL on loopback, for as long as a test module wants one."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_USER = "vesalius"


@dataclass(frozen=True)
class Postgres:
    """A server that runs.

    Args:
        port: On 127.0.0.1.
        password_file: Holds the password of its user; only its owner may read it.
    """

    port: int
    password_file: Path

    @property
    def url(self) -> str:
        """As the register of consent takes it."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/postgres?password_file={self.password_file}"


@contextmanager
def run_postgres() -> Iterator[Postgres]:
    """Start a server with a database of its own, passwords required, and stop it at the end; skip where none is."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is not installed")
    # It refuses to run as root.
    account = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    os.chown(folder, account.pw_uid, account.pw_gid)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_hex(16))
    how = {} if os.getuid() else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    os.chown(password, account.pw_uid, account.pw_gid)

    def run(program: str, *words: str) -> None:
        command = [str(programs[-1] / program), *words]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=60, **how)  # type: ignore[call-overload]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = str(folder / "data")
    run("initdb", "-D", data, "-U", _USER, "--pwfile", str(password), "-A", "scram-sha-256", "-E", "UTF8", "-N")
    words = [str(programs[-1] / "postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder, **how)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 30
        while subprocess.run(
            [str(programs[-1] / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
        ).returncode:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.1)
        os.chown(password, os.getuid(), os.getgid())
        yield Postgres(port, password)
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)
