"""What each key of mote.json means, and what counts without it: for people, on the command line and in the manual.

board/config.py says which values are right. A test holds the table of micropython/README.md to this one.
"""

from typing import NamedTuple


class Key(NamedTuple):
    """A key of mote.json; both texts are Markdown, of which nothing but backquotes is used."""

    meaning: str
    default: str


_TEXTS = {
    "aor": ("who the board is, `sip:boiler@example.org`", "needed"),
    "to": (
        "who gets the alerts, a `sip:` or `sips:` URI, or a list of them; `;transport=tcp` behind it says "
        "how; with `--set`, commas between them",
        "needed",
    ),
    "proxy": ("the server to which every request goes first, `sip:192.0.2.1;transport=tcp`", "none"),
    "transport": (
        "`udp`, `tcp` or `tls`, where no URI names one. With `tcp` and `tls` the board also listens on TCP. `serial`: "
        "no network; all goes over the serial line to a `sipmote bridge`",
        "`udp`",
    ),
    "fallback": (
        "`serial`: an alert that the network doesn't get out goes over the serial line, if a `sipmote bridge` is there",
        "none",
    ),
    "bind": (
        "local address and port; port 0 takes a free one. `[::]:5060` is IPv6: names are looked up for it, "
        "too, and IPv4 ones behind",
        "`0.0.0.0:5060`",
    ),
    "register": (
        "seconds to keep a binding for at the registrar, which is the aor's domain, by the proxy; 0: don't",
        "`0`",
    ),
    "user": ("whom a server is told that asks; `deploy --user NAME` asks for the password", "the aor's user"),
    "password": ("that user's password", "none"),
    "allow": ("senders whose commands are obeyed; with `--set`, commas between them", "what `to` says"),
    "commanders": ("who may command with a password, and its hash: `deploy --commander NAME`", "none"),
    "protect": (
        "what is done end to end, by S/MIME, to what the board sends: `sign`, `encrypt`, `sign+encrypt`, or `shared` "
        "(encrypted with a key that both have); `sipmote provision --protect` gives it the keys",
        "none",
    ),
    "clear": (
        "`true`: to who has no key here, or can't read S/MIME, it goes in clear, and the log says so; `false`: it "
        "doesn't go",
        "none",
    ),
    "require": (
        "what a command has to be: `signed`, `encrypted`, `signed+encrypted` or `shared`; without it those in clear "
        "are taken, too",
        "none",
    ),
    "budget": ("what becomes of a text over 1300 octets: `refuse`, `compact`, `split`, `truncate`", "`compact`"),
    "outbox": (
        "`true`: alerts wait on flash, up to 262144 octets; or another number of octets; `false`: in memory",
        "`True`",
    ),
    "escalate_s": (
        "with a list in `to`: seconds after which the next one gets an alert that nobody has acknowledged; 0:"
        " all at once",
        "`0`",
    ),
    "per_minute": (
        "alerts that leave to each receiver in a minute, without those that have a priority; 0: any number",
        "none",
    ),
    "notify": (
        "seconds to wait after a 202 for the receiver's word that it has the alert (RFC 5438), packed or not;"
        " 0: don't ask",
        "`0`",
    ),
    "wifi": (
        'networks to join, the first that answers: `[["ssid", "password"]]`, an open one with `""`, hidden '
        "ones too; `deploy --wifi SSID` asks. A third item is a fixed address, as `WLAN.ifconfig()` takes it:"
        ' `["192.0.2.7", "255.255.255.0", "192.0.2.1", "192.0.2.1"]`',
        "none",
    ),
    "lan": (
        "a cable, tried before `wifi`: `{}` where the firmware knows its board, else its pins. An ESP32 takes"
        " `phy_type` (`LAN8720`, `W5500` and whatever `network.PHY_` has), `phy_addr`, `mdc`, `mdio`, "
        "`power`, `reset`, `ref_clk`, `ref_clk_mode` (`in`, `out`); a chip at an SPI, as at a Pico, `spi` "
        "(its number), `sck`, `mosi`, `miso`, `cs`, `reset`, `int`. `address` is a fixed one, as for `wifi`",
        "none",
    ),
    "pm": ("how Wi-Fi saves power: `none` (quick answers), `performance`, `powersave` (a battery)", "the port's"),
    "ntp": ("a time server, name or address, with a port if it isn't 123", "none"),
    "dns": ("a DNS server, `192.0.2.53`, `[2001:db8::53]` or with a port, in place of the network's", "the network's"),
    "heartbeat": (
        "seconds between two messages that tell a `sipmote inbox` that the board lives, 10 to 86400; before "
        "`mote.sleep` there is one, too; 0: none",
        "`0`",
    ),
    "heartbeat_to": ("who gets the heartbeats, a URI", "who gets alerts first"),
    "watchdog": (
        "seconds that your program may hold everything up for before the board starts anew, 5 at least; 0: "
        "for ever. It switches safe mode on, too",
        "`0`",
    ),
    "tls_fingerprint": (
        "SHA-256 of the one server certificate to trust, in hexadecimal; `deploy --tls-ca FILE` brings a CA instead",
        "none",
    ),
    "log": ("the lowest level that is logged: `debug`, `info`, `warning`, `error`", "`info`"),
}

KEYS = {name: Key(*texts) for name, texts in _TEXTS.items()}

ALIASES = {  # what people write for a key, and which that is
    "port": "bind",
    "host": "bind",
    "address": "bind",
    "listen": "bind",
    "uri": "aor",
    "from": "aor",
    "name": "aor",
    "identity": "aor",
    "recipient": "to",
    "recipients": "to",
    "desk": "to",
    "server": "proxy",
    "registrar": "proxy",
    "outbound_proxy": "proxy",
    "protocol": "transport",
    "ssid": "wifi",
    "network": "wifi",
    "ethernet": "lan",
    "username": "user",
    "login": "user",
    "expires": "register",
    "commander": "commanders",
    "allowed": "allow",
    "rate": "per_minute",
    "loglevel": "log",
    "level": "log",
    "time": "ntp",
    "timeserver": "ntp",
    "nameserver": "dns",
    "fingerprint": "tls_fingerprint",
    "escalate": "escalate_s",
    "beat": "heartbeat",
    "alive": "heartbeat",
    "wdt": "watchdog",
}


def plain(markdown: str) -> str:
    """Return one of the texts as a terminal shows it."""
    return markdown.replace("`", "")


def manual() -> str:
    """Return the rows of the manual's table."""
    return "".join(f"| `{name}` | {key.meaning} | {key.default} |\n" for name, key in KEYS.items())
