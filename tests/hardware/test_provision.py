"""A board that is provisioned, changed and examined, as somebody does who has unpacked it."""

from pathlib import Path

from tests.demo import main_job
from tests.hardware.board import HOST, LONG_S, NETWORKS, PORT, deploy, here, on_a_board
from tests.interop.peers import free_port
from tests.tools import Tool

pytestmark = on_a_board


def test_a_board_is_provisioned_changed_and_found_well(has_network: None, tmp_path: Path) -> None:
    """Its network, its alert and that of this computer included."""
    deploy(tmp_path, main_job.BOILER, aor="sip:boiler@192.0.2.7", to="sip:desk@192.0.2.1")
    port = free_port(here())
    source = tmp_path / "board.env"
    lines = [f"aor=sip:boiler@{HOST}", f"to=sip:desk@{HOST}:{port}"]
    for ssid, password in NETWORKS:
        lines += [f"wifi={ssid}", f"wifi_password={password}"]
    source.write_text("\n".join(lines))
    source.chmod(0o600)
    with Tool("inbox", "--bind", f"udp:{here()}:{port}", "--db", str(tmp_path / "inbox.db")) as inbox:
        inbox.wait_for(event="ready")
        with Tool("provision", "--port", PORT, "--from", str(source)) as provision:
            assert provision.wait(LONG_S) == 0, provision.transcript()
            assert provision.wait_for(event="finding", about="alert")["state"] == "ok"
        inbox.wait_for(event="message", body=lambda body: body.startswith("Test alert"))
        with Tool("config", "set", "log=debug", "--port", PORT) as config:
            assert config.wait(LONG_S) == 0, config.transcript()
            assert config.wait_for(event="changed", key="log")["new"] == "debug"
        with Tool("doctor", "--port", PORT) as doctor:
            assert doctor.wait(LONG_S) == 0, doctor.transcript()
        with Tool("boards", "--ask", "--port", PORT) as boards:
            assert boards.wait(LONG_S) == 0, boards.transcript()
            assert boards.wait_for(event="board")["memory_free"] > 0
