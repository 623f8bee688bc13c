"""`sipmote doctor --desk --db --sip`: a desk that is well, and what is said of one that isn't."""

import datetime
import json
import signal
from pathlib import Path

import pytest
import trustme

from tests.host_tools.peers import inbox, sipmote
from tests.interop.peers import free_port, wait_until


def _found(*arguments: str) -> dict[str, tuple[str, str]]:
    """Return state and remedy of each finding."""
    code, out, err = sipmote("doctor", *arguments, "--json")
    findings = {line["about"]: (line["state"], line["remedy"] or "") for line in map(json.loads, out.splitlines())}
    states = [state for state, _ in findings.values()]
    assert findings and code == ("failed" in states), out + err
    return findings


def _certificate(folder: Path, days: int) -> str:
    now = datetime.datetime.now(datetime.UTC)
    issued = trustme.CA().issue_cert("127.0.0.1", not_after=now + datetime.timedelta(days=days, hours=1))
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
    return str(folder / "cert.pem")


def test_a_desk_is_looked_at_as_a_whole_and_a_remedy_is_said_for_what_fails(tmp_path: Path) -> None:
    database, page = str(tmp_path / "inbox.db"), f"127.0.0.1:{free_port()}"
    options = ["--exec", "true", "--http", page, "--tls-cert", _certificate(tmp_path, 3)]
    with inbox(*options, db=database) as running:
        asked = ["--db", database, "--sip", f"sip:127.0.0.1:{running.ports['udp']}", "--desk"]
        wait_until(lambda: _found("--db", database)["work"][0] == "ok")
        found = _found(*asked, f"https://{page}")
        states = {about: state for about, (state, _) in found.items() if about != "name"}
        well = dict.fromkeys(("page", "database", "work", "disk", "server"), "ok")
        assert states == {**well, "certificate": "failed"} and "renew" in found["certificate"][1]
        assert running.end(signal.SIGTERM) == 0
    found = _found(*asked, f"https://{page}")
    assert [about for about in ("page", "work", "server") if found[about][0] != "failed" or not found[about][1]] == []
    assert found["database"][0] == "ok"


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("--db", "/nowhere/inbox.db"), "--db"),
        (("--desk", "127.0.0.1:8080"), "http://127.0.0.1:8080"),
    ],
)
def test_what_is_misspelled_is_a_finding(arguments: tuple[str, ...], remedy: str) -> None:
    [(state, words)] = _found(*arguments).values()
    assert state == "failed" and remedy in words


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    assert _found("--db", str(tmp_path / "text"))["database"][0] == "failed"
    assert sipmote("doctor", "--db", "x", "--port", "y")[0] == 1
