"""The register of consent on a server of PostgreSQL says what it says in SQLite."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import Postgres, run_postgres

from vesalius.cli import main
from vesalius.errors import PrivacyError, VesaliusError
from vesalius.privacy.consent import (
    count_states,
    create_register,
    grant,
    note_training,
    open_register,
    state,
    withdraw,
)

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with run_postgres() as started:
        yield started


def test_a_register_on_a_server(server, tmp_path: Path, capsys):
    key = tmp_path / "consent.key"
    with pytest.raises(PrivacyError, match="no register of consent in this database"):
        open_register(server.url, key=key)
    made = create_register(server.url, key=key)
    patients = [f"p{n}" for n in range(700)]
    grant(made, patients, "training")
    note_training(made, "models/a", "training", [made.hash_of("p0"), made.hash_of("p1")])
    note_training(made, "models/a", "training", [made.hash_of("p1"), made.hash_of("p2")])

    register = open_register(server.url, key=key)
    assert register.id == made.id
    assert [one.place for one in withdraw(register, ["p1"])] == ["models/a"]
    assert state(register, "p1", "training") == "withdrawn"
    assert state(register, "p2", "training") == "granted"
    assert count_states(register) == {"training": {"granted": 699, "withdrawn": 1}}

    words = ["--register", server.url, "--register-key", str(key), "--purpose", "training", "--json"]
    capsys.readouterr()
    assert main(["consent", "state", "p1", "p2", "p700", *words]) == 0
    assert json.loads(capsys.readouterr().out) == {"states": ["withdrawn", "granted", "never given"]}
    with pytest.raises(PrivacyError, match="register in this database already"):
        create_register(server.url, key=key)


def test_a_wrong_password_is_told_without_it(server, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("open-sesame")
    url = server.url.replace(str(server.password_file), str(wrong))
    with pytest.raises(VesaliusError, match=r"cannot be reached or written \(\w+Error\)") as told:
        open_register(url, key=tmp_path / "consent.key")
    assert "sesame" not in str(told.value)
