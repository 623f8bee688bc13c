"""R0-P12: what an envelope tells of its failures, and what it may cost."""

from agent.cms.enveloping import build_enveloped
from agent.cms.mime import ENCRYPTED, PKCS7, SIGNED, entity
from agent.cms.signing import build_signed
from agent.cms.smime import open_body
from agent.errors import ParseError
from tests.agent.test_cms_ciphers import agreed_in_cbc, in_cbc
from tests.agent.test_cms_enveloped import BY_ISSUER, BY_KEY_ID, Toy, opened, refused
from tests.helpers import raises

DESK = Toy(BY_KEY_ID, "ecdh")


def signed(content):
    return build_signed(content, BY_ISSUER, "ecdsa", lambda octets: octets[-8:])


class Watched(Toy):
    """A Toy that notes what is done with it, and whose key fails where it is told to."""

    def __init__(self, kind, failing):
        Toy.__init__(self, BY_ISSUER, kind)
        self.steps = []
        self._failing = failing

    def _step(self, name):
        self.steps.append(name)
        if name == self._failing:
            raise ValueError("as a key does that can't be had")

    def random(self, size):
        self.steps.append("random")
        return Toy.random(self, size)

    def transport(self, octets):
        self._step("transport")
        return b"k" * (17 if self._failing == "size" else 16)

    def unwrap(self, by, wrapped):
        self._step("unwrap")
        return b"k" * (17 if self._failing == "size" else 16)

    def decrypt_cbc(self, key, start, octets):
        self.steps.append("cbc of %d" % len(key))
        return bytes(len(octets)) if key == Toy.random(self, len(key)) else octets


def test_each_failure_inside_takes_the_same_steps_as_success():
    """R0-P12: key, size of it, padding: a random key takes the place of one that can't be had (RFC 3218)"""
    for kind, build in (("transport", in_cbc), ("unwrap", agreed_in_cbc)):
        for failing, padding in ((None, b"\1"), (kind, b"\1"), ("size", b"\1"), (None, b"\0"), (kind, b"\0")):
            toy = Watched("rsa", failing)
            data = build(b"x" * 15 + padding)
            if failing is None and padding == b"\1":
                assert opened(data, toy) == b"x" * 15
            else:
                assert refused(data, toy)
            assert toy.steps == [kind, "random", "cbc of 16"]


def test_one_layer_is_encrypted_at_most():
    """Each takes the private key"""
    once = entity(ENCRYPTED, build_enveloped(entity(b"text/plain", b"hot"), DESK))
    for inner in (once, entity(SIGNED, signed(once))):
        error = raises(ParseError, open_body, ENCRYPTED, build_enveloped(inner, DESK), DESK)
        assert (error.status, error.detail) == (493, "one layer of encryption was expected")


def test_what_may_have_been_changed_on_its_way_says_so():
    """R0-P12: AES-CBC, as against AES-GCM; and whether the shell knows the content key from elsewhere"""
    found = open_body(ENCRYPTED, build_enveloped(entity(b"text/plain", b"hot"), DESK), DESK)
    assert (found.encrypted, found.authenticated, found.key.is_reused) == (True, True, False)
    toy = Toy(BY_ISSUER, "rsa")
    toy.is_reused = True
    found = open_body(PKCS7, in_cbc(b"\r\n" + b"hot!" * 3 + b"\2\2"), toy)
    assert (found.encrypted, found.authenticated, found.key.is_reused) == (True, False, True)
    found = open_body(SIGNED, signed(entity(b"text/plain", b"hot")), toy)
    assert (found.encrypted, found.authenticated, found.key) == (False, False, None)
