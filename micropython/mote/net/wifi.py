"""A Wi-Fi network that a board may join."""

from mote.log import INFO, WARNING
from mote.net.driver import ask


class Wifi:
    """One of the networks in the setting wifi."""

    giver = "access point"
    silence = "no answer in %d s"

    def __init__(self, mote: object, ssid: str, password: str = "", static: list | None = None) -> None:
        self._mote = mote
        self._ssid = ssid
        self._password = password
        self._static = static
        self._nic = None

    def start(self) -> object:
        """Begin to join it; returns the interface. Raises whatever a driver does."""
        import network

        settings = self._mote.settings
        nic = self._nic = network.WLAN(network.STA_IF)
        # A second connect() on a live interface raises "Wifi Internal Error" on esp32: begin from off each time.
        nic.active(False)
        nic.active(True)
        ask(nic, "config", reconnects=0)  # esp32 would try by itself for ever, and not say why it fails
        power = settings.get("pm")
        if power:
            try:
                nic.config(pm=getattr(network.WLAN, "PM_" + power.upper()))
            except Exception as error:
                self.failed("pm=%s is not for this board: %r" % (power, error), None)
        if self._static:
            nic.ifconfig(tuple(self._static))
        elif any(type(other) is list and len(other) > 2 for other in settings["wifi"]):
            ask(nic, "ipconfig", dhcp4=True)  # another network may have switched it off; ifconfig("dhcp") would block
        nic.connect(self._ssid, self._password or None)
        return nic

    def is_back(self) -> bool:
        """Is it there again? Nobody can say before it is joined."""
        return False

    def reason(self, status: int) -> str | None:
        """Return what a status says against us; None while all may go well. The numbers are each port's own."""
        import network

        if status in (getattr(network, "STAT_WRONG_PASSWORD", -3), 202, 204, 15):  # the last three: esp32
            return "wrong password"
        if status in (getattr(network, "STAT_NO_AP_FOUND", -2), 201, 212):
            return "no such network here: is it spelled so, near, and not on 5 GHz alone?"
        if status in (210, 211):
            return "the network wants another security than the board has"
        # Failures lie below "idle" on esp32 (1000) and on rp2 (0); esp8266 has one constant more.
        if status < getattr(network, "STAT_IDLE", 0) or status == getattr(network, "STAT_CONNECT_FAIL", None):
            return "the access point refuses us: password, MAC filter, or too many stations"
        return None

    def has_joined(self, nic: object) -> bool:
        """Is the network joined, but without an IPv4 address?"""
        status = ask(nic, "status")
        return status == 2 or (status == 1001 and ask(nic, "status", "rssi") is not None)  # rp2; esp32

    def up(self, address: str) -> None:
        """Log that it has given us this address."""
        rssi = ask(self._nic, "status", "rssi")
        self._mote.log(INFO, "wifi_up", ssid=self._ssid, address=address, rssi=rssi)

    def down(self) -> None:
        """Log that it is gone."""
        self._mote.log(WARNING, "wifi_down", ssid=self._ssid)

    def failed(self, reason: str, status: int | None) -> None:
        """Log why it could not be joined."""
        self._mote.log(WARNING, "wifi_failed", ssid=self._ssid, reason=reason, status=status)
