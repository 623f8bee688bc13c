"""Joins the first configured Wi-Fi network that answers, and joins again when it is lost. Nothing ends this task.

Drivers raise whatever they like, at any call: each exception is a record, and a reason to begin again from off.
"""

import asyncio
from gc import collect

from agent.compat import const
from mote.log import INFO, WARNING

_JOIN_MS = const(15000)
_STEP_MS = const(250)
_FIRST_PAUSE_S = const(2)  # doubled after each round without success
_LONGEST_PAUSE_S = const(60)
_NO_ADDRESS = "0.0.0.0"

_last = None  # the address with which we were online


async def keep_up(mote: object) -> None:
    """Run for ever; mote.settings["wifi"] has [ssid, password] or [ssid, password, ifconfig] lists.

    Each time that we get an address, mote goes online.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        for network in mote.settings["wifi"]:
            if await _use(mote, *network):
                pause_s = _FIRST_PAUSE_S
                break
        await asyncio.sleep_ms(pause_s * 1000)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _use(mote: object, ssid: str, password: str, static: list | None = None) -> bool:
    """Join a network and stay until it is lost; False if it never came up."""
    joined = False
    try:
        wlan = _start(mote, ssid, password, static)
        bound = mote.settings.get("bind", "0.0.0.0:5060")
        failure = await _failure(wlan, bound)
        if failure is None:
            joined = True
            await _stay(mote, wlan, ssid, bound)
            mote.log(WARNING, "wifi_down", ssid=ssid)
        else:
            _tell(mote, ssid, *failure)
    except Exception as error:
        collect()
        try:
            _tell(mote, ssid, repr(error), None)
        except Exception as another:
            await mote.shell.failed(another)
    return joined


def _tell(mote: object, ssid: str, reason: str, status: int | None) -> None:
    mote.log(WARNING, "wifi_failed", ssid=ssid, reason=reason, status=status)


def _start(mote: object, ssid: str, password: str, static: list | None) -> object:
    """Begin to join a network; returns the interface. Raises whatever a driver does."""
    import network

    wlan = network.WLAN(network.STA_IF)
    # A second connect() on a live interface raises "Wifi Internal Error" on esp32: begin from off each time.
    wlan.active(False)
    wlan.active(True)
    _ask(wlan, "config", reconnects=0)  # esp32 would try by itself for ever, and not say why it fails
    power = mote.settings.get("pm")
    if power:
        try:
            wlan.config(pm=getattr(network.WLAN, "PM_" + power.upper()))
        except Exception as error:
            _tell(mote, ssid, "pm=%s is not for this board: %r" % (power, error), None)
    if static:
        wlan.ifconfig(tuple(static))
    elif any(len(other) > 2 for other in mote.settings["wifi"]):
        _ask(wlan, "ifconfig", "dhcp")  # another network may have switched it off
    wlan.connect(ssid, password or None)
    return wlan


async def _failure(wlan: object, bound: str) -> tuple | None:
    """Wait until we have an address, then return None; else (reason, the port's status or None)."""
    status = None
    for _ in range(_JOIN_MS // _STEP_MS):
        if _address(wlan, bound):
            return None
        status = _ask(wlan, "status")
        reason = None if status is None else _reason(status)
        if reason is not None:
            return reason, status
        await asyncio.sleep_ms(_STEP_MS)
    if wlan.isconnected() or _has_joined(wlan):
        return "joined, but no DHCP server gives an address: restart the access point, or set one in wifi", status
    return "no answer in %d s" % (_JOIN_MS // 1000), status


def _reason(status: int) -> str | None:
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


def _address(wlan: object, bound: str) -> str | None:
    """Return our address, None while we have none. bound: the setting bind; IPv6 there prefers such an address."""
    found = wlan.ifconfig()[0] if wlan.isconnected() else _NO_ADDRESS
    if bound[0] == "[" and (found != _NO_ADDRESS or _has_joined(wlan)):
        for each in _ask(wlan, "ipconfig", "addr6") or ():
            address = each[0].lower()
            if not address.startswith("fe80:"):  # which leads no further than the link
                return "[%s]" % address
    return None if found == _NO_ADDRESS else found


def _has_joined(wlan: object) -> bool:
    """Is the network joined, but without an IPv4 address?"""
    status = _ask(wlan, "status")
    return status == 2 or (status == 1001 and _ask(wlan, "status", "rssi") is not None)  # rp2; esp32


async def _stay(mote: object, wlan: object, ssid: str, bound: str) -> None:
    """Return when the network is lost; go online with each new address. Raises whatever a driver does."""
    ours = None
    while True:
        address = _address(wlan, bound)
        if address is None and not wlan.isconnected():
            return
        if address != ours and address is not None:
            try:
                mote.log(INFO, "wifi_up", ssid=ssid, address=address, rssi=_ask(wlan, "status", "rssi"))
                _go_online(mote, address)
                ours = address
            except Exception as error:
                if type(error) is not MemoryError:  # else the same once more, in a second
                    ours = address
                await mote.shell.failed(error)
        await asyncio.sleep_ms(1000)


def _ask(wlan: object, name: str, *arguments: object, **options: object) -> object:
    """Call a method that ports have or have not; None where it fails."""
    try:
        return getattr(wlan, name)(*arguments, **options)
    except Exception:
        return None


def _go_online(mote: object, address: str) -> None:
    from mote.forget import forget
    from mote.online import online

    global _last
    if address != _last and _last is not None:
        mote.shell.others().moved()
    _last = address
    online(mote, address)
    forget()
