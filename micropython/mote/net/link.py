"""Keeps a board on its network: over a cable, or the first Wi-Fi network that answers. Nothing ends this task.

Drivers raise whatever they like, at any call: each exception is a record, and a reason to begin again from off.
"""

import asyncio
from gc import collect

from agent.compat import const
from mote.net.driver import ask

_JOIN_MS = const(15000)
_STEP_MS = const(250)
_SECOND_MS = const(1000)
_FIRST_PAUSE_S = const(2)  # doubled after each round without success
_LONGEST_PAUSE_S = const(60)
_NO_ADDRESS = "0.0.0.0"

_last = None  # the address with which we were online


async def keep_up(mote: object) -> None:
    """Run for ever with what mote.settings has: lan, then each of wifi. Each time that we get an address, go online.

    lan: mote.net.lan. wifi: [ssid, password] or [ssid, password, ifconfig] lists. Nobody scans for networks:
    hidden ones are tried like the rest.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        links = ()
        try:
            links = _links(mote)
            for link in links:
                if await _use(mote, link, links[0]):
                    pause_s = _FIRST_PAUSE_S
                    break
        except Exception as error:
            await mote.shell.failed(error)
        step_s = 1 if mote.settings.get("lan") is not None else pause_s
        left_s = pause_s
        while left_s > 0 and not (links and left_s < pause_s and links[0].is_back()):
            await asyncio.sleep_ms(step_s * 1000)
            left_s -= step_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _links(mote: object) -> list:
    """Return what can be tried. A network that isn't written as one has a record, and holds up no other."""
    links = []
    cable = mote.settings.get("lan")
    if cable is not None:
        from mote.net.lan import Lan

        links.append(Lan(mote, cable))
    networks = mote.settings.get("wifi") or []
    for network in networks if type(networks) is list else [networks]:
        from mote.net.wifi import Wifi

        if type(network) is list and 1 <= len(network) <= 3:
            links.append(Wifi(mote, *network))
        else:  # it isn't named: it may be a password
            Wifi(mote, "").failed('wifi: write it as [["ssid", "password"]]', None)
    return links


async def _use(mote: object, link: object, first: object) -> bool:
    """Join a network and stay until it is lost, or the first choice is back; False if it never came up."""
    joined = False
    try:
        nic = link.start()
        bound = mote.settings.get("bind", "0.0.0.0:5060")
        failure = await _failure(link, nic, bound)
        if failure is None:
            joined = True
            await _stay(mote, link, nic, bound, first)
            link.down()
        else:
            link.failed(*failure)
    except Exception as error:
        collect()
        try:
            link.failed(repr(error), None)
        except Exception as another:
            await mote.shell.failed(another)
    return joined


async def _failure(link: object, nic: object, bound: str) -> tuple | None:
    """Wait until we have an address, then return None; else (reason, the port's status or None)."""
    status = None
    for _ in range(_JOIN_MS // _STEP_MS):
        if _address(link, nic, bound):
            return None
        status = ask(nic, "status")
        reason = None if status is None else link.reason(status)
        if reason is not None:
            return reason, status
        await asyncio.sleep_ms(_STEP_MS)
    if nic.isconnected() or link.has_joined(nic):
        return "joined, but no DHCP server gives an address: restart the %s, or set an address" % link.giver, status
    return link.silence % (_JOIN_MS // 1000), status


def _address(link: object, nic: object, bound: str) -> str | None:
    """Return our address, None while we have none. bound: the setting bind; IPv6 there prefers such an address."""
    found = nic.ifconfig()[0] if nic.isconnected() else _NO_ADDRESS
    if bound[0] == "[" and (found != _NO_ADDRESS or link.has_joined(nic)):
        for each in ask(nic, "ipconfig", "addr6") or ():
            address = each[0].lower()
            if not address.startswith("fe80:"):  # which leads no further than the link
                return "[%s]" % address
    return None if found == _NO_ADDRESS else found


async def _stay(mote: object, link: object, nic: object, bound: str, first: object) -> None:
    """Return when the network is lost, or a better one is back; go online with each new address.

    Raises whatever a driver does.
    """
    ours = None
    while True:
        address = _address(link, nic, bound)
        if (address is None and not nic.isconnected()) or (link is not first and first.is_back()):
            return
        if address != ours and address is not None:
            try:
                link.up(address)
                _go_online(mote, address)
                ours = address
            except Exception as error:
                if type(error) is not MemoryError:  # else the same once more, in a second
                    ours = address
                await mote.shell.failed(error)
        await asyncio.sleep_ms(_SECOND_MS)


def _go_online(mote: object, address: str) -> None:
    from mote.forget import forget
    from mote.online import online

    global _last
    if address != _last and _last is not None:
        mote.shell.others().moved()
    _last = address
    online(mote, address)
    forget()
