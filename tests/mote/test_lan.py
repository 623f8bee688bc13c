"""R0-P13: a board at a cable is on its network as long as that is, whatever its driver raises, and says why not."""

from typing import Any

import pytest

from sipmote.board.config import check_values, set_keys
from sipmote.errors import ToolError
from tests.mote.drivers import run_link

_CABLE = """
class Pin:
    IN, OUT = "IN", "OUT"
    def __init__(self, number):
        self.number = number
    def __repr__(self):
        return "Pin(%d)" % self.number

class machine:
    Pin = Pin
    def SPI(number, baudrate, **pins):
        return "SPI(%d, %d, %s)" % (number, baudrate, sorted(pins.items()))

class Cable(network.WLAN):
    links = [1]  # is there an address? asked each time, the last answer for ever
    def __init__(self, *arguments, **options):
        self.is_on = False
        self.met("made", *(list(arguments) + sorted(options.items())))
    def active(self, *on):
        if not on:
            return self.is_on
        self.met("active", on[0])
        self.is_on = on[0]
    def isconnected(self):
        self.met("isconnected")
        return self.is_on and bool(self.links.pop(0) if len(self.links) > 1 else self.links[0])

sys.modules["machine"] = machine
network.PHY_LAN8720, network.PHY_W5500 = 8720, 5500
if script[0] == "esp32":
    network.LAN = Cable
    network.ETH_CONNECTED = 3
else:
    network.WIZNET5K = Cable
    del network.WLAN
mote.settings = {"lan": script[1], "register": 600}
"""
_LAN8720 = {"phy_type": "LAN8720", "phy_addr": 1, "mdc": 23, "mdio": 18, "power": 12, "ref_clk_mode": "out"}


def _run(scenario: str, port: str = "esp32", lan: dict[str, Any] = _LAN8720, bits: int = 32) -> dict[str, Any]:
    return run_link(_CABLE + scenario, [port, lan], bits)


@pytest.mark.parametrize(
    ("port", "lan", "made"),
    [
        (
            "esp32",
            _LAN8720,
            ["mdc', Pin(23)", "mdio', Pin(18)", "phy_addr', 1", "phy_type', 8720", "power', Pin(12)", "_mode', 'OUT'"],
        ),
        (
            "esp32",
            {"phy_type": "W5500", "phy_addr": 0, "spi": 1, "cs": 5, "int": 4},
            ["cs', Pin(5)", "int', Pin(4)", "phy_addr', 0", "phy_type', 5500", "spi', 'SPI(1, 20000000, [])'"],
        ),
        ("rp2", {}, []),
        (
            "rp2",
            {"spi": 0, "sck": 18, "mosi": 19, "miso": 16, "cs": 17, "reset": 20},
            ["SPI(0, 20000000, [('miso', Pin(16)), ('mosi', Pin(19)), ('sck', Pin(18))])", "Pin(17)", "Pin(20)"],
        ),
    ],
)
def test_interface_is_made_of_the_pins_that_are_set(port: str, lan: dict[str, Any], made: list[str]) -> None:
    check_values({"lan": lan}, "here")
    seen = _run("", port, lan)
    assert seen["records"] == [["lan_up", {"address": "192.0.2.7"}]]
    (_, *arguments), *rest = seen["calls"]
    assert len(arguments) == len(made) and all(any(part in argument for argument in arguments) for part in made), (
        arguments
    )
    assert rest == [["active", "True"]]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("method", ["made", "active", "isconnected", "ifconfig"])
def test_whatever_its_driver_raises_is_told_and_tried_again(method: str, bits: int) -> None:
    seen = _run(f"Cable.fails.append(({method!r}, OSError('ethernet enable failed')))\nmote.most = 2\n", bits=bits)
    (failed, fields), (up, _) = seen["records"]
    assert (failed, up) == ("lan_failed", "lan_up") and "ethernet enable failed" in fields["reason"]


def test_cable_that_is_pulled_and_put_in_again_is_noticed_within_a_second_and_registered_anew() -> None:
    seen = _run("""
Cable.links = [0, 1, 1, 1, 1, 0, 0] + [0] * 70 + [1]
addresses = ["192.0.2.7"] * 2 + ["192.0.2.8"]
Cable.ifconfig = lambda self: (addresses.pop(0) if len(addresses) > 1 else addresses[0],)
mote.most = 5
""")
    assert [name for name, _ in seen["records"]] == ["lan_up", "lan_up", "lan_down", "lan_failed", "lan_up"]
    assert "is the cable in" in seen["records"][3][1]["reason"]
    registered = ["192.0.2.7:5060", "register", "moved", "192.0.2.8:5060", "register"]
    assert seen["went"][:5] == registered
    assert set(seen["pauses"]) == {250, 1000}  # also between two attempts: it is waited for
    assert len([call for call in seen["calls"] if call[0] == "made"]) == 1


def test_address_that_nobody_gives_is_told_and_a_fixed_one_is_set() -> None:
    seen = _run("Cable.links = [0]\nCable.statuses = [3]\n")
    assert "restart the router" in seen["records"][0][1]["reason"]
    seen = _run("", lan={"address": ["192.0.2.9", "255.255.255.0", "192.0.2.1", "192.0.2.1"]})
    assert ["ifconfig", "('192.0.2.9', '255.255.255.0', '192.0.2.1', '192.0.2.1')"] in seen["calls"]


def test_wifi_stands_in_for_a_cable_that_leads_nowhere() -> None:
    seen = _run("mote.settings['wifi'] = [['home', '']]\nCable.links = [0]\nmote.most = 2\n")
    assert [name for name, _ in seen["records"]] == ["lan_failed", "wifi_up"]


def test_wifi_gives_way_to_a_cable_that_is_put_in() -> None:
    seen = _run("mote.settings['wifi'] = [['home', '']]\nCable.links = [0] * 70 + [1]\nmote.most = 4\n")
    assert [name for name, _ in seen["records"]] == ["lan_failed", "wifi_up", "wifi_down", "lan_up"]


@pytest.mark.parametrize("bits", [32, 64])
def test_name_server_is_asked_of_a_port_without_wifi(bits: int) -> None:
    seen = _run(
        """
from mote.net import names
network.ipconfig = lambda what: "192.0.2.53"
mote.log("", "", server=names._server(None)[0].decode())
raise SystemExit(print(json.dumps({"records": records})))
""".replace("mote.log", "mote.most = 2\nmote.log"),
        "rp2",
        bits=bits,
    )
    assert seen["records"] == [["", {"server": "192.0.2.53"}]]


def test_deploy_reads_and_checks_what_is_set() -> None:
    config = set_keys({}, ['lan={"spi": 0, "cs": 17}'])
    assert config == {"lan": {"spi": 0, "cs": 17}}
    check_values(config, "here")
    for wrong in ('{"cs": "17"}', '{"sc": 17}', '{"phy_type": 1}', '{"address": ["192.0.2.7"]}', "[]", "W5500"):
        with pytest.raises(ToolError, match=r"lan must be \{\} where"):
            check_values(set_keys({}, [f"lan={wrong}"]), "here")


@pytest.mark.parametrize("wifi", [["home", "open sesame"], [5], [[]], {"home": "open sesame"}, "home", 5, [["a"] * 4]])
def test_cable_is_used_beside_networks_that_are_written_wrong(wifi: Any) -> None:
    """R0-P13: which have a record each, without what may be a password"""
    number = len(wifi) if isinstance(wifi, list) else 1
    seen = _run(f"mote.settings['wifi'] = {wifi!r}\nmote.most = {number + 1}\n", "rp2", {})
    *failed, (up, _) = seen["records"]
    assert up == "lan_up" and [name for name, _ in failed] == ["wifi_failed"] * number
    assert all("write it as" in fields["reason"] and "sesame" not in str(fields) for _, fields in failed)
