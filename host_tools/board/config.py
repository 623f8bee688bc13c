"""mote.json, the configuration of a board: read, changed and checked here, before a board ever sees it."""

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sipmote.agent.auth.digest import secret
from sipmote.agent.errors import ParseError
from sipmote.agent.resolve.search import is_address
from sipmote.agent.uri import parse_host_port, parse_uri
from sipmote.board.schema import ALIASES, KEYS, plain
from sipmote.errors import ToolError
from sipmote.people import is_name, normal, read_names
from sipmote.users import algorithm_of

Config = dict[str, Any]
PROTECTIONS = ("sign", "encrypt", "sign+encrypt", "shared")
_LEAST_OUTBOX = 4096
_WIRES = ("phy_addr", "mdc", "mdio", "reset", "power", "ref_clk", "spi", "sck", "mosi", "miso", "cs", "int")
_COMMA_TOO_MANY = re.compile(r",\s*([}\]])")
_Check = Callable[[Any], str | None]  # what was expected, None when the value is right


@dataclass(frozen=True)
class Changes:
    """What is to be changed in a configuration.

    assignments: KEY=VALUE each. wifi, user, commander: name and password of a network, of who the board is to a server
    that asks, and of one more who may command the board.
    """

    assignments: list[str]
    wifi: tuple[str, str] | None = None
    user: tuple[str, str] | None = None
    commander: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.assignments or self.wifi or self.user or self.commander)

    def apply(self, config: Config, where: str) -> Config:
        """Return the changed configuration, which must come out right; where: the origin of config, for errors."""
        check_values(config, where)
        changed = set_keys(config, self.assignments)
        if self.wifi:
            changed = add_wifi(changed, *self.wifi)
        if self.user:
            changed = {**changed, "user": self.user[0], "password": self.user[1]}
        check_required(changed)
        if changed.get("commanders") and realm_of(changed) != realm_of({**changed, **config}):
            raise ToolError(
                "the commanders' passwords are for the old host in aor: add --set commanders= and name them anew"
            )
        changed = add_commander(changed, *self.commander) if self.commander else changed
        check_values(changed, where)
        if changed.get("transport") == "serial":
            _check_serial(changed)
        if "serial" in (changed.get("transport"), changed.get("fallback")):
            _check_ways(changed)
        return changed


def parse_config(text: str | bytes, where: str) -> Config:
    """Return the object in a JSON text; where names its origin in the error."""
    try:
        config = json.loads(text)
    except RecursionError:
        raise ToolError(f"{where} is nested too deeply") from None
    except ValueError as error:
        raise ToolError(f"{where} is not JSON: {_comma_too_many(error) or error}") from None
    if not isinstance(config, dict):
        raise ToolError(f'{where} holds no JSON object: {{"aor": "sip:...", "to": "sip:..."}} was expected')
    return config


def _comma_too_many(error: ValueError) -> str | None:
    """Say where a comma stands before a closing bracket, if that is what is wrong."""
    if not isinstance(error, json.JSONDecodeError):
        return None
    comma = max(error.doc.rfind(",", 0, error.pos + 1), 0)
    found = _COMMA_TOO_MANY.match(error.doc, comma)
    line = error.doc[:comma].count("\n") + 1
    return f"a comma too many in line {line}, before {found[1]}" if found and found.end() > error.pos else None


def set_keys(config: Config, assignments: list[str]) -> Config:
    """Return config with each KEY=VALUE put in: a list as values with commas between, nothing to take the key out."""
    changed = dict(config)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ToolError(f"--set {assignment}: KEY=VALUE was expected")
        if key in _SECRETS and value:
            instead = _SECRETS[key]
            raise ToolError(f"{key} holds a password, which everyone can read in an argument list: use {instead}")
        if not value:
            changed.pop(key, None)
        else:
            changed[key] = _from_text(key, value)
    return changed


def _from_text(key: str, value: str) -> Any:
    if key in ("allow", "to"):
        names, value = read_names(), normal(value)
        known = "|".join(map(re.escape, names)) or "(?!)"
        uris = re.split(rf",\s*(?=sips?:|(?:{known})(?:,|$))", value)  # users may have commas in their names
        uris = [names.get(uri, uri) for uri in uris]
        return uris[0] if key == "to" and len(uris) == 1 else uris
    if key == "bind" and value.isdigit():
        return f"0.0.0.0:{value}"
    if key in ("outbox", "clear") and value in ("true", "false"):
        return value == "true"
    if key == "lan":
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    is_number = value.isascii() and value.isdigit() and len(value) < 10 and key != "user"
    return int(value) if is_number else value  # many users have a number for a name


def add_wifi(config: Config, ssid: str, password: str) -> Config:
    """Return config with a network put first, in place of what it said about the same one."""
    networks = config.get("wifi", [])
    address: list[Any] = next((network[2:] for network in networks if network[0] == ssid), [])
    return {**config, "wifi": [[ssid, password, *address], *(other for other in networks if other[0] != ssid)]}


def add_commander(config: Config, user: str, password: str) -> Config:
    """Return config with one more who may command the board, or another password for him; it needs an aor."""
    hashed = secret(b"sha-256", user.encode(), realm_of(config).encode(), os.fsencode(password)).decode()
    return {**config, "commanders": {**config.get("commanders", {}), user: hashed}}


def realm_of(config: Config) -> str:
    """Return what the passwords of commanders are for: the host of the aor."""
    return parse_uri(config["aor"].encode()).host.decode()


def check_values(config: Config, where: str) -> None:
    """Raise ToolError for the first key that no board would understand; no value of a secret is ever named in it."""
    for key, value in config.items():
        if key not in _CHECKS:
            close = [ALIASES[key]] if key in ALIASES else difflib.get_close_matches(key, _CHECKS, 1)
            known = "`sipmote config keys` lists them"
            meant = f"is {close[0]} meant? ({plain(KEYS[close[0]].meaning).partition(';')[0]})" if close else known
            raise ToolError(f"{where}: unknown key {key!r}; {meant}")
        expected = _CHECKS[key](value)
        if expected:
            found = "" if key in _SECRETS else f", not {json.dumps(value)}"
            raise ToolError(f"{where}: {key} must be {expected}{found}")


def check_required(config: Config) -> None:
    """Raise ToolError when a key that every board needs is not there."""
    for key in ("aor", "to"):
        if key not in config:
            raise ToolError(f"the configuration lacks {key}: add --set {key}=sip:NAME@HOST")


def _check_serial(config: Config) -> None:
    """Raise ToolError for what a board without a network can't do."""
    for key in ("register", "ntp"):
        if config.get(key):
            raise ToolError(f"{key} needs a network, and transport is serial: add --set {key}= (the bridge does it)")
    if config.get("heartbeat"):
        raise ToolError("heartbeat needs a network, and transport is serial: a bridge passes none on; --set heartbeat=")
    if config.get("commanders"):
        raise ToolError(
            "over serial it is the bridge that asks for passwords: sipmote bridge --users FILE, and allow or to for "
            "who may command; leave --commander out, and what the board has by --set commanders="
        )
    if config.get("fallback"):
        raise ToolError("transport is serial: there is nothing to fall back from; add --set fallback=")


def _check_ways(config: Config) -> None:
    """Raise ToolError for a recipient that nothing may be sent to over a serial line."""
    recipients = [config["to"]] if isinstance(config["to"], str) else config["to"]
    if any(uri.startswith("sips:") for uri in recipients):
        raise ToolError("a sips: URI in to needs TLS, which a serial line hasn't: sip: lets the bridge choose the way")


def encode_config(config: Config) -> bytes:
    """Return the octets of mote.json, the same for equal configurations.

    In UTF-8: MicroPython makes two characters of the escapes that JSON has for one beyond U+FFFF.
    """
    return json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _uri(value: Any) -> str | None:
    try:
        if isinstance(value, str) and parse_uri(value.encode()).scheme in (b"sip", b"sips"):
            return None
    except ParseError as error:
        return f"a URI such as sip:boiler@example.org ({error.detail})"
    except UnicodeError:
        return "a URI in UTF-8"
    return "a URI such as sip:boiler@example.org"


def _uris(value: Any) -> str | None:
    if isinstance(value, list) and all(_uri(uri) is None for uri in value):
        return None
    return 'a list of URIs such as ["sip:desk@example.org"]'


def _recipients(value: Any) -> str | None:
    if isinstance(value, list) and value:
        return _uris(value)
    return _uri(value)


def _bind(value: Any) -> str | None:
    try:
        if isinstance(value, str) and parse_host_port(value.encode())[1] is not None:
            return None
    except ParseError:
        pass
    return "ADDRESS:PORT such as 0.0.0.0:5060 or [::]:5060"


def _server(value: Any) -> str | None:
    try:
        if isinstance(value, str) and is_address(parse_host_port(value.encode())[0]):
            return None
    except ParseError:
        pass
    return "ADDRESS or ADDRESS:PORT such as 192.0.2.53"


def _host(value: Any) -> str | None:
    try:
        if isinstance(value, str) and parse_host_port(value.encode()):
            return None
    except ParseError:
        pass
    return "the name or address of a server, or NAME:PORT"


def _networks(value: Any) -> str | None:
    if isinstance(value, list) and all(
        isinstance(network, list)
        and (len(network) == 2 or (len(network) == 3 and _is_static(network[2])))
        and all(isinstance(part, str) for part in network[:2])
        and 1 <= _octets(network[0]) <= 32
        and (not network[1] or 8 <= _octets(network[1]) <= 64)
        for network in value
    ):
        return None
    if isinstance(value, list) and any(map(_has_wrong_password, value)):
        return "a list of networks with passwords of 8 to 63 characters, or none where they are open"
    return (
        'a list of ["ssid", "password"]: 1 to 32 octets, then 8 to 64 or none; '
        'for a fixed address ["ssid", "password", ["192.0.2.7", "255.255.255.0", GATEWAY, DNS SERVER]]'
    )


def _has_wrong_password(network: Any) -> bool:
    """Is it the length of the password that is wrong?"""
    return (
        isinstance(network, list)
        and all(isinstance(part, str) for part in network[:2])
        and (bool(network[1:2]) and _octets(network[1]) not in (0, *range(8, 65)))
    )


def _cable(value: Any) -> str | None:
    """Is value what mote.net.lan makes an interface of?"""
    if isinstance(value, dict) and all(
        _is_static(part)
        if name == "address"
        else isinstance(part, str) and part.isidentifier()
        if name == "phy_type"
        else part in ("in", "out")
        if name == "ref_clk_mode"
        else name in _WIRES and type(part) is int and 0 <= part < 64
        for name, part in value.items()
    ):
        return None
    return (
        '{} where the firmware knows its board, or else its pins, such as {"phy_type": "LAN8720", "phy_addr": 1, '
        '"mdc": 23, "mdio": 18} or {"spi": 0, "sck": 18, "mosi": 19, "miso": 16, "cs": 17, "reset": 20}, '
        'and "address" as wifi has it'
    )


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _is_static(value: Any) -> bool:
    """Is value the four IPv4 addresses of a network that gives none: ours, the mask, the gateway, the DNS server?"""
    try:
        return isinstance(value, list) and len([str(ipaddress.IPv4Address(str(part))) for part in value]) == 4
    except ValueError:
        return False


def _fingerprint(value: Any) -> str | None:
    fine = isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")
    return None if fine else "the 64 hexadecimal digits of a certificate's SHA-256, in lower case"


def _seconds(value: Any) -> str | None:
    return None if type(value) is int and 0 <= value <= 86400 else "a number of seconds, 0 to 86400"


def _heartbeat(value: Any) -> str | None:
    return None if type(value) is int and (value == 0 or 10 <= value <= 86400) else "0, or 10 to 86400 seconds"


def _rate(value: Any) -> str | None:
    return None if type(value) is int and 0 <= value <= 600 else "a number of alerts a minute, 1 to 600, or 0 for any"


def _watchdog(value: Any) -> str | None:
    return None if type(value) is int and (value == 0 or 5 <= value <= 86400) else "0, or 5 to 86400 seconds"


def _user(value: Any) -> str | None:
    return None if isinstance(value, str) and is_name(value) else "a name without colons, quotes and backslashes"


def _password(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "a text"


def _commanders(value: Any) -> str | None:
    if isinstance(value, dict) and all(is_name(user) and algorithm_of(ha1) for user, ha1 in value.items()):
        return None
    return 'an object of users and hashes such as {"desk": "64 hexadecimal digits"}; --commander NAME makes them'


def _one_of(*names: str) -> _Check:
    return lambda value: None if value in names else " or ".join([", ".join(names[:-1]), names[-1]])


def _truth(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


_SECRETS = {"wifi": "--wifi SSID", "password": "--user NAME", "commanders": "--commander NAME"}


def _outbox(value: Any) -> str | None:
    if isinstance(value, bool) or (isinstance(value, int) and value >= _LEAST_OUTBOX):
        return None
    return f"true, false, or the octets of alerts that may wait, {_LEAST_OUTBOX} at least"


_CHECKS: dict[str, _Check] = {
    "aor": _uri,
    "to": _recipients,
    "proxy": _uri,
    "transport": _one_of("udp", "tcp", "tls", "serial"),
    "fallback": _one_of("serial"),
    "tls_fingerprint": _fingerprint,
    "bind": _bind,
    "user": _user,
    "password": _password,
    "commanders": _commanders,
    "allow": _uris,
    "wifi": _networks,
    "lan": _cable,
    "pm": _one_of("none", "performance", "powersave"),
    "register": _seconds,
    "notify": _seconds,
    "dns": _server,
    "ntp": _host,
    "outbox": _outbox,
    "escalate_s": _seconds,
    "per_minute": _rate,
    "heartbeat": _heartbeat,
    "heartbeat_to": _uri,
    "watchdog": _watchdog,
    "protect": _one_of(*PROTECTIONS),
    "clear": _truth,
    "require": _one_of("signed", "encrypted", "signed+encrypted", "shared"),
    "budget": _one_of("refuse", "compact", "split", "truncate"),
    "log": _one_of("debug", "info", "warning", "error"),
}
