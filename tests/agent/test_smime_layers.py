"""R8591-2, R8591-3, R8591-5, R8591-6: bodies of messages taken apart layer by layer."""

from binascii import b2a_base64, unhexlify

from agent.cms.der import OID, SEQUENCE, encode
from agent.cms.enveloping import build_enveloped
from agent.cms.mime import ENCRYPTED, MULTIPART, PKCS7, SIGNED, canonical, entity
from agent.cms.signing import build_signed
from agent.cms.smime import is_protected, open_body
from agent.errors import ParseError
from tests.agent.test_cms_enveloped import BY_KEY_ID, Toy
from tests.agent.test_cms_signed import ALICE, BER, WITH_CERTIFICATE, toy
from tests.helpers import changed, raises

# openssl cms -sign -binary -md sha256 -outform DER -in mime -nosmimecap -signer alice.crt -inkey alice.key -nocerts
DETACHED = unhexlify(
    "3082013206092a864886f70d010702a08201233082011f020101310d300b0609608648016503040201300b06092a864886f70d01"
    "07013181fd3081fa02010130283010310e300c06035504030c05616c69636502145d72d01bbc7f68643290404fd890e5d6f17abf"
    "1a300b0609608648016503040201a069301806092a864886f70d010903310b06092a864886f70d010701301c06092a864886f70d"
    "010905310f170d3236313132343132303834315a302f06092a864886f70d010904312204203aae7507e7d1eed78ad9588b55dbc0"
    "ef723c6eea39cac975bb6cfa553e2ea41d300a06082a8648ce3d04030204473045022100a269a9cceac054e293424bd0e628280d"
    "26509300c847c5b3691b4e058c9a8fa602201df66571e4c12a24e7c45b8d9f788b0bd928c22486f3aad688c7f149374a0e16"
)

DESK = Toy(BY_KEY_ID, "ecdh")
TYPE = MULTIPART + b';protocol="application/pkcs7-signature";micalg=sha-256;boundary="b 1"'


def signed(content):
    return build_signed(content, ALICE, "ecdsa", toy)


def multipart(part=b"Content-Type: text/plain\r\n\r\nhot\r\n", signature=DETACHED, encoding=b"binary"):
    return (
        b"This is for readers who know no MIME.\r\n--b 1\r\n%s\r\n--b 1  \r\nContent-Type: application/pkcs7-signature;"
        b" name=smime.p7s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s\r\n--b 1--\r\n" % (part, encoding, signature)
    )


def test_types_say_what_is_protected():
    for name in (b"application/pkcs7-mime", b"Application/PKCS7-MIME; smime-type=signed-data; name=smime.p7m", TYPE):
        assert is_protected(name)
    for name in (SIGNED, ENCRYPTED):
        assert is_protected(name)
    for name in (b"text/plain", b"multipart/mixed;boundary=b", b"application/pkcs7-signature"):
        assert not is_protected(name)


def test_signed_content_is_shown_with_its_own_type():
    """R8591-2, R8591-3: whatever smime-type says"""
    for content_type in (SIGNED, PKCS7, PKCS7 + b";smime-type=enveloped-data;name=smime.p7m"):
        for data in (BER, WITH_CERTIFICATE):
            opened = open_body(content_type, data, None)
            assert (opened.content_type, opened.body, opened.encrypted) == (b"text/plain", b"hot\r\n", False)
            assert len(opened.signatures) == 1 and opened.signatures[0].intact


def test_multipart_signed_is_read_in_binary_and_base64():
    """R8591-2, R8591-6: the signature that OpenSSL made is of the first part"""
    for body in (multipart(), multipart(encoding=b"Base64", signature=b2a_base64(DETACHED))):
        opened = open_body(TYPE, body, None)
        assert (opened.content_type, opened.body) == (b"text/plain", b"hot\r\n")
        assert opened.signatures[0].intact
    assert not open_body(TYPE, changed(multipart(), b"hot", b"hat"), None).signatures[0].intact


def test_blanks_behind_a_boundary_are_no_part_of_what_follows():
    """R8591-2: as many as some gateway adds (RFC 2046 section 5.1.1)"""
    for first, second in ((b"", b""), (b" ", b""), (b"  ", b"\t"), (b"", b" " * 9), (b"\t   ", b" ")):
        body = changed(multipart(), b"--b 1\r\nContent-Type: text", b"--b 1" + first + b"\r\nContent-Type: text")
        body = changed(body, b"--b 1  \r\n", b"--b 1" + second + b"\r\n")
        opened = open_body(TYPE, body, None)
        assert (opened.content_type, opened.body) == (b"text/plain", b"hot\r\n")
        assert opened.signatures[0].intact


def test_lines_are_made_canonical_before_they_are_hashed():
    """R8551-1: lines that lost their CR on the way are hashed as they were, text is signed with CRLF"""
    lost = multipart(part=b"Content-Type: text/plain\n\nhot\n")
    assert open_body(TYPE, lost, None).signatures[0].intact
    assert entity(b"text/plain", b"a\nb\r\n\nc") == b"Content-Type: text/plain\r\n\r\na\r\nb\r\n\r\nc"
    assert entity(b"image/png", b"a\nb")[-3:] == b"a\nb"
    assert canonical(canonical(b"\n\r\n\n")) == b"\r\n\r\n\r\n"


def test_signed_then_encrypted_is_both():
    """R8591-5: and the signature is the inner one's"""
    inner = entity(SIGNED, signed(entity(b"text/plain", b"hot")))
    opened = open_body(ENCRYPTED, build_enveloped(inner, DESK), DESK)
    assert (opened.content_type, opened.body, opened.encrypted) == (b"text/plain", b"hot", True)
    assert opened.signatures[0].intact and opened.signatures[0].identifier == ALICE


def test_who_signs_what_is_encrypted_is_not_its_author():
    """R8591-5: anybody can put a signature round what he can't read"""
    hidden = build_enveloped(entity(b"text/plain", b"hot"), DESK)
    opened = open_body(SIGNED, signed(entity(ENCRYPTED, hidden)), DESK)
    assert (opened.body, opened.encrypted, opened.signatures, opened.certificates) == (b"hot", True, [], [])


def test_without_a_key_what_is_encrypted_gets_493():
    """R8591-8: and so does all that is broken behind the cipher"""
    good = build_enveloped(entity(b"text/plain", b"hot"), DESK)
    assert raises(ParseError, open_body, ENCRYPTED, good, None).status == 493
    for content in (b"no entity", entity(SIGNED, b"no CMS"), entity(MULTIPART, b"")):
        assert raises(ParseError, open_body, ENCRYPTED, build_enveloped(content, DESK), DESK).status == 493


def test_layers_are_bounded():
    """R8551-2: four, as in signed, encrypted, signed and what a gateway adds"""
    body = entity(b"text/plain", b"hot")
    for _ in range(4):
        body = entity(SIGNED, signed(body))
    assert open_body(b"application/pkcs7-mime", body[body.find(b"\r\n\r\n") + 4 :], None).body == b"hot"
    assert raises(ParseError, open_body, SIGNED, signed(body), None).status == 400


def test_what_is_broken_gets_400():
    certificates = encode(SEQUENCE, encode(OID, b"\x2a\x03"), encode(0xA0, encode(SEQUENCE)))
    for content_type, body in (
        (PKCS7, b""),
        (PKCS7, b"MIAGCSqGSIb3DQEHAqCA"),
        (PKCS7, b"\x31\x00"),
        (PKCS7, certificates),
        (PKCS7, DETACHED),
        (PKCS7, signed(b"no entity")),
        (MULTIPART, multipart()),
        (MULTIPART + b";boundary=", multipart()),
        (MULTIPART + b";boundary=c", multipart()),
        (TYPE, changed(multipart(), b"--b 1--", b"--b 1")),
        (TYPE, changed(multipart(), b"pkcs7-signature;", b"pgp-signature;")),
        (TYPE, multipart(signature=b"!!!")),
        (TYPE, multipart(signature=build_enveloped(b"", DESK))),
        (TYPE, multipart(signature=b"a", encoding=b"base64")),
    ):
        assert raises(ParseError, open_body, content_type, body, DESK).status == 400
    for size in range(0, len(BER), 5):
        assert raises(ParseError, open_body, PKCS7, BER[:size], None).status == 400


def test_content_without_a_type_is_text():
    opened = open_body(SIGNED, signed(b"\r\nhot"), None)
    assert (opened.content_type, opened.body) == (b"text/plain;charset=us-ascii", b"hot")
