"""Joins the first configured Wi-Fi network that answers, and joins again when it is lost."""

import asyncio

import network

from agent.compat import const
from mote.log import INFO, WARNING

_JOIN_MS = const(15000)
_STEP_MS = const(250)


async def keep_up(mote: object) -> None:
    """Run for ever; mote.settings["wifi"] has [ssid, password] pairs. Each time it is up, mote goes online."""
    wlan = network.WLAN(network.STA_IF)
    while True:
        for ssid, password in mote.settings["wifi"]:
            try:
                await _use(mote, wlan, ssid, password)
            except Exception as error:
                await mote.shell.failed(error)
        await asyncio.sleep_ms(2000)


async def _use(mote: object, wlan: object, ssid: str, password: str) -> None:
    """Join a network, and return when it is lost, or didn't answer."""
    # A second connect() on a live interface raises "Wifi Internal Error" on esp32: begin from off each time.
    wlan.active(False)
    wlan.active(True)
    try:
        wlan.connect(ssid, password)
    except OSError:
        return
    waited = 0
    while not wlan.isconnected() and waited < _JOIN_MS:
        await asyncio.sleep_ms(_STEP_MS)
        waited += _STEP_MS
    if wlan.isconnected():
        address = wlan.ifconfig()[0]
        mote.log(INFO, "wifi_up", address=address)
        _go_online(mote, address)
        while wlan.isconnected():
            await asyncio.sleep_ms(1000)
        mote.log(WARNING, "wifi_down", ssid=ssid)


def _go_online(mote: object, address: str) -> None:
    from mote.forget import forget
    from mote.online import online

    online(mote, address)
    forget()
