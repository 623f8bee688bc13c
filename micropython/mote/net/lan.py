"""A cable: what drives it is made as the setting lan says. Loaded by a board that has one."""

from mote.log import INFO, WARNING
from mote.net.driver import ask

_PINS = ("mdc", "mdio", "reset", "power", "cs", "int", "ref_clk")

_nic = None  # made once: another SPI at the same pins would cut off the first


class Lan:
    """The wired interface: network.LAN of an ESP32, network.WIZNET5K of other ports."""

    giver = "router"
    silence = "no address in %d s: is the cable in, and the other end of it on?"

    def __init__(self, mote: object, given: dict) -> None:
        """given: {} where the firmware knows its board; "address": as ifconfig() takes it."""
        self._mote = mote
        self._given = given

    def start(self) -> object:
        """Begin from off, unless the cable has come back meanwhile. Raises whatever a driver does."""
        global _nic
        if _nic is None:
            _nic = _made(self._given)
        if not _nic.isconnected():
            if _nic.active():
                _nic.active(False)
            _nic.active(True)
            static = self._given.get("address")
            if static:
                _nic.ifconfig(tuple(static))
        return _nic

    def is_back(self) -> bool:
        """Has the interface an address?"""
        return _nic is not None and bool(ask(_nic, "isconnected"))

    def reason(self, status: int) -> None:
        """No status speaks against us: a cable may be put in at any time."""

    def has_joined(self, nic: object) -> bool:
        """Is the cable in, but no IPv4 address there?"""
        import network

        status = ask(nic, "status")
        return status == getattr(network, "ETH_CONNECTED", 2) and status is not None

    def up(self, address: str) -> None:
        """Log that it has given us this address."""
        self._mote.log(INFO, "lan_up", address=address)

    def down(self) -> None:
        """Log that it is gone."""
        self._mote.log(WARNING, "lan_down")

    def failed(self, reason: str, status: int | None) -> None:
        """Log why there is no network."""
        self._mote.log(WARNING, "lan_failed", reason=reason, status=status)


def _made(given: dict) -> object:
    """Return the interface with these pins and numbers."""
    import network
    from machine import SPI, Pin

    options = {name: Pin(given[name]) for name in _PINS if name in given}
    if "spi" in given:
        wires = {name: Pin(given[name]) for name in ("sck", "mosi", "miso") if name in given}
        options["spi"] = SPI(given["spi"], baudrate=20000000, **wires)
    if not hasattr(network, "LAN"):
        return network.WIZNET5K(*[options[name] for name in ("spi", "cs", "reset", "int") if name in options])
    if "phy_type" in given:
        options["phy_type"] = getattr(network, "PHY_" + given["phy_type"])
    if "phy_addr" in given:
        options["phy_addr"] = given["phy_addr"]
    if "ref_clk_mode" in given:
        options["ref_clk_mode"] = Pin.IN if given["ref_clk_mode"] == "in" else Pin.OUT
    return network.LAN(**options)
