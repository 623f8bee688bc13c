"""Which modules a board needs: those that it can be asked for, and with --lean those that its configuration names."""

import ast
import functools
import json
from pathlib import Path

from sipmote.board.compile import compile_packages
from sipmote.board.files import packages
from sipmote.board.needed import _ONLY_WITH, _PROTECTION, needed
from tests.host_tools.virtual import started
from tests.mote.running import deploy
from tests.sip_peer import Peer
from tests.tools import Tool

_NAMES = {"aor": "sip:boiler@127.0.0.1", "to": "sip:desk@127.0.0.1"}
_ALL = {
    "commanders": {"a": "b"},
    "register": 600,
    "notify": 5,
    "password": "x",
    "wifi": [["home", ""]],
    "lan": {},
    "ntp": "x",
    "watchdog": 20,
    "fallback": "serial",
    "protect": "sign",
    "heartbeat": 300,
}


@functools.cache
def modules() -> dict[str, Path]:
    """Return path on the board -> source."""
    return {
        f"{folder}/{source.relative_to(home).with_suffix('.mpy').as_posix()}": source
        for folder, home in packages().items()
        for source in home.rglob("*.py")
    }


@functools.cache
def imported(path: str) -> set[str]:
    """Return the paths of all that a module imports anywhere in it, as Python's own parser sees it."""
    every = modules()
    package = path.removeprefix("/lib/").removesuffix(".mpy").split("/")[:-1]
    found = set()
    for node in ast.walk(ast.parse(every[path].read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
            names = [ast.literal_eval(node.args[0])]
        for name in names:
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                place = "/lib/" + "/".join(parts[:depth])
                found |= {f"{place}.mpy", f"{place}/__init__.mpy"} & every.keys()
    return found


def test_whatever_a_needed_module_imports_anywhere_is_needed_unless_it_has_a_key_of_its_own() -> None:
    behind = {f"/lib/{gate.replace('.', '/')}" for gate in {**_ONLY_WITH, **_PROTECTION}}
    for config in (None, _NAMES, {**_NAMES, **_ALL}, *({**_NAMES, key: value} for key, value in _ALL.items())):
        there = needed(config)
        for path in there:
            missing = {
                other
                for other in imported(path) - there
                if config is None or not any(other.startswith((f"{gate}.", f"{gate}/")) for gate in behind)
            }
            assert not missing, (path, config)


def test_a_module_that_waits_for_a_key_is_there_with_it_and_stays_away_without() -> None:
    everything = needed({**_NAMES, **_ALL})
    assert everything == needed(None)
    least = needed({**_NAMES, "outbox": False})
    for gate in {**_ONLY_WITH, **_PROTECTION}:
        place = f"/lib/{gate.replace('.', '/')}"
        assert {f"{place}.mpy", f"{place}/__init__.mpy"} & everything
        assert not {f"{place}.mpy", f"{place}/__init__.mpy"} & least
    for module in ("auth/client", "recovery/redirect", "uas/refusals", "resolve/dns", "stream"):
        assert f"/lib/agent/{module}.mpy" in least, "a stranger's message may ask for it"
    assert "/lib/agent/cpim/imdn.mpy" in needed(_NAMES), "an alert that was stored while notify was set"
    assert not [path for path in needed(_NAMES, lean=False) if "/cms/" in path], "without keys there is no S/MIME"
    assert "/lib/agent/cms/der.mpy" in needed(_NAMES, ["agent.cms.der"])


def test_a_lean_board_alerts_answers_and_refuses_as_any_other(tmp_path: Path) -> None:
    program = tmp_path / "boiler.py"
    program.write_text(
        "from mote import Mote\nmote = Mote()\n@mote.every(3600)\nasync def first():\n    await mote.alert('first')\n"
        "@mote.command('level')\nasync def level(message):\n    return 'high'\nmote.run()\n"
    )
    with Peer(b"sip:desk@127.0.0.1") as desk:
        settings = {
            "aor": "sip:boiler@127.0.0.1",
            "to": f"sip:desk@127.0.0.1:{desk.port}",
            "allow": ["sip:desk@127.0.0.1"],
        }
        (tmp_path / "mote.json").write_text(json.dumps(settings))
        with started(tmp_path / "flash", "", settings) as (port, monitor):
            monitor.stop()
            deploy(port, program, "--config", str(tmp_path / "mote.json"), "--lean", "--no-start")
            on_flash = {f"/{path.relative_to(tmp_path / 'flash')}" for path in (tmp_path / "flash/lib").rglob("*.mpy")}
            assert on_flash == needed(json.loads((tmp_path / "flash/mote.json").read_text()))
            assert len(on_flash) < len(compile_packages()) - 20
            with Tool("monitor", "--port", port, "--reset") as monitor:
                assert desk.answer(401, b'WWW-Authenticate: Digest realm="x", nonce="n"\r\n').body == b"first"
                monitor.wait_for(event="log", name="outcome", fields=lambda fields: fields["status"] == 401)
                assert desk.ask(desk.from_port, b"message/cpim", b"x", to=b"sip:boiler@127.0.0.1").status == 415
                for text, said in ((b"level", b"high"), (b"every", b"commands: "), (b"interval first 60", b"first")):
                    assert desk.ask(desk.from_port, b"text/plain", text, to=b"sip:boiler@127.0.0.1").status == 200
                    assert said in desk.answer(200).body
                assert not [line for line in monitor.lines if "ImportError" in str(line)]
