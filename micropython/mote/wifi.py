"""Joins the first configured Wi-Fi network that answers, and joins again when it is lost."""

import asyncio

import network

from agent.compat import const

_JOIN_MS = const(15000)
_STEP_MS = const(250)


async def keep_up(networks: list, on_up: object, on_down: object) -> None:
    """Run for ever. networks: [ssid, password] pairs. Calls on_up(address text) and on_down(ssid)."""
    wlan = network.WLAN(network.STA_IF)
    while True:
        for ssid, password in networks:
            # A second connect() on a live interface raises "Wifi Internal Error" on esp32: begin from off each time.
            wlan.active(False)
            wlan.active(True)
            try:
                wlan.connect(ssid, password)
            except OSError:
                continue
            waited = 0
            while not wlan.isconnected() and waited < _JOIN_MS:
                await asyncio.sleep_ms(_STEP_MS)
                waited += _STEP_MS
            if wlan.isconnected():
                on_up(wlan.ifconfig()[0])
                while wlan.isconnected():
                    await asyncio.sleep_ms(1000)
                on_down(ssid)
        await asyncio.sleep_ms(2000)
