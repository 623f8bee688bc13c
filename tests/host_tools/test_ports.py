"""Listing ports: what a person reads and what a program does."""

import json

import pytest
from serial.tools.list_ports_common import ListPortInfo

from host_tools import ports
from host_tools.__main__ import main


def esp32() -> ListPortInfo:
    port = ListPortInfo("/dev/ttyUSB0")
    port.vid, port.pid, port.serial_number = 0x10C4, 0xEA60, "0001"
    port.manufacturer, port.product = "Silicon Labs", "CP2102N USB to UART"
    return port


def test_a_port_is_listed_with_the_device_behind_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ports, "usb_ports", lambda: [esp32()])
    assert main(["ports"]) == 0
    assert capsys.readouterr().out == "/dev/ttyUSB0  10c4:ea60  Silicon Labs CP2102N USB to UART\n"
    assert main(["ports", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "event": "port",
        "port": "/dev/ttyUSB0",
        "usb": "10c4:ea60",
        "description": "Silicon Labs CP2102N USB to UART",
        "serial_number": "0001",
    }


def test_no_port_is_no_error_and_says_how_to_do_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ports, "usb_ports", list)
    assert main(["ports"]) == 0
    assert "sipmote board start virtual" in capsys.readouterr().out
    assert main(["ports", "--json"]) == 0
    assert capsys.readouterr().out == ""
