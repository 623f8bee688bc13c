"""What a user agent needs of a board's further settings. Loaded where there are any, and freed as mote.settings is."""

import os
from time import gmtime


def further(settings: dict, more: dict, mote: object) -> None:
    """Add to more, what UserAgent is given by name, what these settings ask for, and to a mote.Mote."""
    given = settings.get
    if "users" in more and more["users"][0].find(b"%") >= 0:
        from agent.escapes import unescape

        more["users"] = (unescape(more["users"][0]),)
    if given("proxy"):
        more["proxy"] = given("proxy").encode()
    if given("transport"):
        more["transport"] = given("transport").upper().encode()
        if given("transport") == "serial":
            more["proxy"] = b"sip:0.0.0.0"  # a flow for all, and nothing to look up
    if given("notify"):
        from mote.notify import ACCEPT, unpacker

        more["accept"] = ACCEPT
        more["inflate"] = unpacker()
    _around(given, mote)
    if given("protect") or given("require"):
        from agent.cms.mime import MULTIPART, PKCS7

        more["accept"] = more.get("accept", (b"text/plain",)) + (PKCS7, MULTIPART)
    if given("password") or given("commanders"):
        from mote.passwords import secrets

        more.update(secrets(settings, os.urandom))
    if gmtime()[0] >= 2024 or given("ntp"):  # an earlier year: the board's clock was never set
        from mote.clock import clock

        more["clock"] = clock()


def _around(given: object, mote: object) -> None:
    """Put around a mote.Mote what settings ask for. given: settings.get."""
    if given("protect"):
        from mote.protect import guarded

        mote.submit = guarded(mote)
        if given("protect") == "sign":  # with what is encrypted, too, no certificate fits
            from mote import protect, showing

            protect.show = showing.show
    if given("heartbeat"):
        from mote.heartbeat import Heartbeat

        Heartbeat(mote)
