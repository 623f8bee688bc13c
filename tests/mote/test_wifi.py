"""R0-P13, R0-P16: no exception of a driver ends the Wi-Fi task, and what keeps a board off its network is a record.

A driver that each test writes stands in for the port's; pauses are written down, and not waited for.
"""

from pathlib import Path

import pytest

from sipmote.board.config import add_wifi, encode_config
from tests.host_tools.virtual import started
from tests.mote.drivers import run_link
from tests.sip_peer import Peer
from tests.vm import run_program


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("error", ["OSError('Wifi Internal Error')", "RuntimeError('Wifi Unknown Error 0x0101')"])
@pytest.mark.parametrize("method", ["WLAN", "active", "ifconfig", "connect", "isconnected"])
def test_whatever_a_driver_raises_is_told_and_tried_again_from_off(method: str, error: str, bits: int) -> None:
    seen = run_link(f"WLAN.fails.append(({method!r}, {error}))\nmote.most = 3\n", bits=bits)
    failed, up, down = seen["records"]
    assert (failed[0], up[0], down[0]) == ("wifi_failed", "wifi_up", "wifi_down")
    assert (failed[1]["ssid"], failed[1]["status"]) == ("home", None)
    assert error.partition("(")[2].rstrip(")") in failed[1]["reason"]
    assert [call for call in seen["calls"] if call[0] == "active"][-2:] == [["active", "False"], ["active", "True"]]
    assert seen["pauses"].count(2000) == 1


def test_too_little_memory_is_told_like_the_rest() -> None:
    seen = run_link("WLAN.fails += [('active', MemoryError()), ('connect', MemoryError())]\nmote.most = 3\n")
    assert [name for name, _ in seen["records"]] == ["wifi_failed", "wifi_failed", "wifi_up"]


def test_a_record_that_fails_itself_ends_nothing() -> None:
    seen = run_link("""
log = mote.log
def once(*arguments, **fields):
    mote.log = log
    raise MemoryError
mote.log = once
WLAN.fails.append(("active", OSError(1)))
""")
    assert seen["went"][0] == "MemoryError()"
    assert seen["records"][0][0] == "wifi_up"


def test_a_firmware_without_wifi_says_so() -> None:
    seen = run_link("del sys.modules['network']\n")
    assert "no module named 'network'" in seen["records"][0][1]["reason"]


def test_pauses_double_up_to_a_minute_and_begin_anew_after_a_success() -> None:
    seen = run_link("""
WLAN.statuses = [202]
outcomes = [0] * 7 + [2, 0]
WLAN.joins = lambda self, ssid: outcomes.pop(0)
mote.most = 10
""")
    assert [ms for ms in seen["pauses"] if ms not in (250, 1000)] == [
        *(2000, 4000, 8000, 16000, 32000, 60000, 60000),
        2000,
    ]


@pytest.mark.parametrize(
    ("port", "constants", "status", "words"),
    [
        ("esp32", (1000, 202, 201, None), 202, "wrong password"),
        ("esp32", (1000, 202, 201, None), 15, "wrong password"),
        ("esp32", (1000, 202, 201, None), 201, "no such network here"),
        ("esp32", (1000, 202, 201, None), 211, "another security"),
        ("esp32", (1000, 202, 201, None), 203, "refuses us"),
        ("esp32", (1000, 202, 201, None), 1001, "no answer in 15 s"),
        ("rp2", (0, -3, -2, -1), -3, "wrong password"),
        ("rp2", (0, -3, -2, -1), -2, "no such network here"),
        ("rp2", (0, -3, -2, -1), -1, "refuses us"),
        ("rp2", (0, -3, -2, -1), 2, "no DHCP server"),
        ("rp2", (0, -3, -2, -1), 1, "no answer in 15 s"),
        ("esp8266", (0, 2, 3, 4), 2, "wrong password"),
        ("esp8266", (0, 2, 3, 4), 3, "no such network here"),
        ("esp8266", (0, 2, 3, 4), 4, "refuses us"),
        ("esp8266", (0, 2, 3, 4), 1, "no answer in 15 s"),
    ],
)
def test_why_a_network_could_not_be_joined_is_told_in_words_on_each_port(
    port: str, constants: tuple[int | None, ...], status: int, words: str
) -> None:
    seen = run_link(
        """
for name, value in zip(("IDLE", "WRONG_PASSWORD", "NO_AP_FOUND", "CONNECT_FAIL"), script[0]):
    if value is not None:
        setattr(network, "STAT_" + name, value)
WLAN.seconds = 0
WLAN.statuses = [script[1]]
""",
        [constants, status],
    )
    (event, fields), *_ = seen["records"]
    assert (event, fields["ssid"], fields["status"]) == ("wifi_failed", "home", status), port
    assert words in fields["reason"]
    assert seen["pauses"].count(250) == (60 if "no answer" in words or "DHCP" in words else 0)


def test_esp32_that_has_joined_and_has_no_address_says_so() -> None:
    seen = run_link("WLAN.seconds = 0\nWLAN.rssi = -60\nnetwork.STAT_IDLE = 1000\n")
    assert "no DHCP server" in seen["records"][0][1]["reason"]


def test_a_port_without_reconnects_and_status_joins_too() -> None:
    seen = run_link("del WLAN.config, WLAN.status\n")
    assert seen["records"] == [["wifi_up", {"ssid": "home", "address": "192.0.2.7", "rssi": None}]]


def test_networks_are_tried_in_their_order_with_what_each_needs() -> None:
    """Open and hidden ones (nobody scans), names in UTF-8, a fixed address and DHCP behind it; no reconnects."""
    seen = run_link("""
WLAN.rssi = -71
WLAN.statuses = [202]
WLAN.joins = lambda self, ssid: 2 * (ssid == "Gäste ☕")
mote.settings["wifi"] = [["fixed", "open sesame", ["192.0.2.9", "255.255.255.0", "192.0.2.1", "192.0.2.1"]],
                         ["Gäste ☕", ""], ["never", "reached it"]]
mote.settings["pm"] = "powersave"
mote.most = 3
""")
    assert seen["records"][1:] == [
        ["wifi_up", {"ssid": "Gäste ☕", "address": "192.0.2.7", "rssi": -71}],
        ["wifi_down", {"ssid": "Gäste ☕"}],
    ]
    begun = [["WLAN", "0"], ["active", "False"], ["active", "True"]]
    configured = [["config", "('reconnects', 0)"], ["config", "('pm', 7)"]]
    fixed = ["ifconfig", "('192.0.2.9', '255.255.255.0', '192.0.2.1', '192.0.2.1')"]
    assert seen["calls"] == [
        *(*begun, *configured, fixed, ["connect", "fixed", "open sesame"]),
        *(*begun, *configured, ["ipconfig", "('dhcp4', True)"], ["connect", "Gäste ☕", "None"]),
    ]


@pytest.mark.parametrize("bits", [32, 64])
def test_board_reads_names_and_passwords_as_they_were_set(bits: int) -> None:
    """MicroPython's JSON makes two characters of the two escapes of one beyond U+FFFF."""
    written = encode_config(add_wifi({}, "Gäste 🙂", "sésame 🔑🔑")).decode()
    program = "import json, sys\nprint(*[text.encode() for text in json.loads(sys.argv[1])['wifi'][0]])"
    read = run_program(program, written, "128k", bits).stdout
    assert read == f"{'Gäste 🙂'.encode()} {'sésame 🔑🔑'.encode()}\n"


def test_a_network_that_is_written_wrong_keeps_a_board_from_no_other() -> None:
    seen = run_link("mote.settings['wifi'].insert(0, 5)\nmote.most = 2\n")
    assert [name for name, _ in seen["records"]] == ["wifi_failed", "wifi_up"]


def test_power_saving_that_a_board_lacks_is_told_and_joined_without() -> None:
    seen = run_link("mote.settings['pm'] = 'performance'\nmote.most = 2\n")
    assert [name for name, _ in seen["records"]] == ["wifi_failed", "wifi_up"]
    assert "pm=performance is not for this board" in seen["records"][0][1]["reason"]


def test_another_address_is_noticed_within_a_second_and_registered() -> None:
    seen = run_link("""
WLAN.seconds = 6
addresses = ["0.0.0.0", "192.0.2.7", "192.0.2.7", "0.0.0.0", "192.0.2.8", "192.0.2.8"]
WLAN.ifconfig = lambda self: (addresses.pop(0) if len(addresses) > 1 else addresses[0],)
mote.most = 3
""")
    assert [fields.get("address") for _, fields in seen["records"]] == ["192.0.2.7", "192.0.2.8", None]
    assert seen["went"] == ["192.0.2.7:5060", "register", "moved", "192.0.2.8:5060", "register"]
    assert set(seen["pauses"]) <= {250, 1000}


def test_a_driver_that_says_connected_and_has_no_address_is_told_of() -> None:
    seen = run_link("WLAN.address = '0.0.0.0'\nWLAN.seconds = 100\n")
    assert seen["records"][0][0] == "wifi_failed" and "no DHCP server" in seen["records"][0][1]["reason"]


@pytest.mark.parametrize(
    ("bind", "is_connected", "address"),
    [
        ("[::]:5060", False, "[2001:db8::7]"),
        ("[::]:5060", True, "[2001:db8::7]"),
        ("0.0.0.0:5060", True, "192.0.2.7"),
    ],
)
def test_board_on_ipv6_goes_online_without_ipv4(bind: str, is_connected: bool, address: str) -> None:
    """Drivers count a board as connected that has an IPv4 address"""
    seen = run_link(
        """
mote.settings["bind"], connected = script
found = [[("FE80::1", 48, 0, 0)]] * 4 + [[("FE80::1", 48, 0, 0), ("2001:DB8::7", 48, 0, 0)]]
WLAN.statuses = [2]
WLAN.isconnected = lambda self: connected
WLAN.ipconfig = lambda self, what: found.pop(0) if len(found) > 1 else found[0]
if connected:
    found = found[4:]
""",
        [bind, is_connected],
    )
    assert seen["records"][0] == ["wifi_up", {"ssid": "home", "address": address, "rssi": None}]


def test_no_memory_to_go_online_is_tried_again_and_a_bug_does_not_end_the_wifi() -> None:
    seen = run_link("""
WLAN.seconds = 6
errors = [ValueError("a bug"), MemoryError()]
def register(*arguments, **options):
    if errors:
        raise errors.pop()
    return "register"
mote.agent.register = register
mote.most = 3
""")
    assert [name for name, _ in seen["records"]] == ["wifi_up", "wifi_up", "wifi_down"]
    assert [what for what in seen["went"] if "5060" not in what] == ["MemoryError()", "ValueError('a bug',)"]


_NETWORK = """
STA_IF = 0
STAT_WRONG_PASSWORD = 202
class WLAN:
    joined = False
    def __init__(self, which): pass
    def active(self, on): WLAN.joined = False
    def connect(self, ssid, key):
        with open("/password") as file: WLAN.joined = key == file.read()
    def isconnected(self): return WLAN.joined
    def status(self): return 202
    def ifconfig(self): return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
"""
_PROGRAM = """
from mote import Mote
mote = Mote()
@mote.every(3600)
def boiler():
    mote.alert("hot")
mote.run()
"""


def test_deployed_board_names_the_wrong_password_and_goes_on_when_it_is_right(tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    (flash / "lib").mkdir(parents=True)
    (flash / "lib/network.py").write_text(_NETWORK)
    (flash / "password").write_text("another one")
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        settings = {"aor": "sip:boiler@127.0.0.1", "to": to, "bind": "127.0.0.1:0", "wifi": [["home", "open sesame"]]}
        with started(flash, _PROGRAM, settings) as (_, monitor):
            record = monitor.wait_for(event="log", name="wifi_failed")
            assert record["fields"] == {"ssid": "home", "reason": "wrong password", "status": 202}
            (flash / "password").write_text("open sesame")
            monitor.wait_for(event="log", name="wifi_up", fields=lambda fields: fields["address"] == "127.0.0.1")
            assert desk.answer(200).body == b"hot"
