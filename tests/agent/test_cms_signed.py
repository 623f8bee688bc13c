"""R8591-2, R8591-4, R3428-11.5: SignedData that OpenSSL made is read, and what we make has its parts in place."""

import hashlib
from binascii import unhexlify

from agent.cms.certificate import issuer_and_serial
from agent.cms.der import INTEGER, OCTETS, OID, SEQUENCE, SET, encode
from agent.cms.der_reader import decode
from agent.cms.names import DATA, SIGNED_DATA
from agent.cms.signed import read_signed
from agent.cms.signing import build_signed
from agent.errors import ParseError
from tests.helpers import Dice, changed, raises

# openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=alice
#     -addext subjectAltName=URI:sip:alice@example.org -keyout alice.key -out alice.crt
# printf 'Content-Type: text/plain\r\n\r\nhot\r\n' >mime
CONTENT = b"Content-Type: text/plain\r\n\r\nhot\r\n"
# openssl cms -sign -binary -nodetach -md sha256 -outform DER -in mime -nosmimecap -signer alice.crt -inkey alice.key
WITH_CERTIFICATE = unhexlify(
    "308202f606092a864886f70d010702a08202e7308202e3020101310d300b0609608648016503040201303006092a864886f70d01"
    "0701a0230421436f6e74656e742d547970653a20746578742f706c61696e0d0a0d0a686f740d0aa082019b308201973082013da0"
    "0302010202145d72d01bbc7f68643290404fd890e5d6f17abf1a300a06082a8648ce3d0403023010310e300c06035504030c0561"
    "6c696365301e170d3236313132343132303834305a170d3336313132313132303834305a3010310e300c06035504030c05616c69"
    "63653059301306072a8648ce3d020106082a8648ce3d030107034200047f1991acec9f4884b9542030b7a944d9d36c13913cf36b"
    "24278f86c60aff19934afea0b8d374a52a901bde1245ed7741c98901c4ebfe251ab05df85616f74b0ca3753073301d0603551d0e"
    "04160414290317dd8db061173c5eed5c09d590c07b6ab02a301f0603551d23041830168014290317dd8db061173c5eed5c09d590"
    "c07b6ab02a300f0603551d130101ff040530030101ff30200603551d110419301786157369703a616c696365406578616d706c65"
    "2e6f7267300a06082a8648ce3d040302034800304502205c5f84cb84cc6f013a288d76cbd5257d02134a13ff6caa747896097844"
    "9699850221008e4b77529d874bf67916b3257dbc55c1be7ae7903e7f19f7c24b580d57fabd543181fd3081fa0201013028301031"
    "0e300c06035504030c05616c69636502145d72d01bbc7f68643290404fd890e5d6f17abf1a300b0609608648016503040201a069"
    "301806092a864886f70d010903310b06092a864886f70d010701301c06092a864886f70d010905310f170d323631313234313230"
    "3834315a302f06092a864886f70d010904312204203aae7507e7d1eed78ad9588b55dbc0ef723c6eea39cac975bb6cfa553e2ea4"
    "1d300a06082a8648ce3d04030204473045022100c00dbf373bfcd16b1b1282e139b1872f5e79c495c527216d17760f7987e81d34"
    "0220283c11fa070421b3146f0bbdf0745f0a757ab87f61bd452ec28cc6c034d545bd"
)

# the same with -nocerts -stream, which makes it BER
BER = unhexlify(
    "308006092a864886f70d010702a0803080020101310d300b0609608648016503040201308006092a864886f70d010701a0802480"
    "0421436f6e74656e742d547970653a20746578742f706c61696e0d0a0d0a686f740d0a0000000000003181fe3081fb0201013028"
    "3010310e300c06035504030c05616c69636502145d72d01bbc7f68643290404fd890e5d6f17abf1a300b06096086480165030402"
    "01a069301806092a864886f70d010903310b06092a864886f70d010701301c06092a864886f70d010905310f170d323631313234"
    "3132303834315a302f06092a864886f70d010904312204203aae7507e7d1eed78ad9588b55dbc0ef723c6eea39cac975bb6cfa55"
    "3e2ea41d300a06082a8648ce3d04030204483046022100c99ddb1d73f4ae82d26093d011180cdfbd257fd04e488906511c5b24a7"
    "28286a022100a4798fcf1ebf786d83ea607b4c5cbae605d4642d5702281fe5204059cc6ae4e2000000000000"
)

# with -nocerts -noattr -keyid
BY_KEY_ID = unhexlify(
    "3081d306092a864886f70d010702a081c53081c2020103310d300b0609608648016503040201303006092a864886f70d010701a0"
    "230421436f6e74656e742d547970653a20746578742f706c61696e0d0a0d0a686f740d0a317c307a0201038014290317dd8db061"
    "173c5eed5c09d590c07b6ab02a300b0609608648016503040201300a06082a8648ce3d0403020446304402203bd6a0fac552faa3"
    "2554b485a3724711a148483b12bf938129818a92660de6b8022054eea1cf6ccd36494cd9988b4c59262fc439c9dae35b57f6df06"
    "7bfee7eb455e"
)

ALICE = unhexlify("30283010310e300c06035504030c05616c69636502145d72d01bbc7f68643290404fd890e5d6f17abf1a")
KEY_ID = unhexlify("8014290317dd8db061173c5eed5c09d590c07b6ab02a")


def element(data):
    root = decode(data)
    assert root.take(OID).octets == SIGNED_DATA
    return root.take(0xA0, SEQUENCE)


def read(data, content=None):
    """Return content, certificates and the one Signature."""
    content, certificates, signatures = read_signed(element(data), content)
    assert len(signatures) == 1
    return content, certificates, signatures[0]


def toy(octets):
    return hashlib.sha256(b"secret" + octets).digest()


def test_what_openssl_signed_is_read():
    """R8551-2: definite lengths and indefinite ones"""
    for data, count in ((WITH_CERTIFICATE, 1), (BER, 0)):
        content, certificates, signature = read(data)
        assert (content, len(certificates)) == (CONTENT, count)
        assert (signature.identifier, signature.kind, signature.hash) == (ALICE, "ecdsa", "sha256")
        assert signature.intact
        # what openssl has put under its signature: DER of the attributes as a SET
        digest = unhexlify("6ecda9d2db384de3769b7e90af42803dc28b4f0277893c12140c586c9104740e")
        assert hashlib.sha256(signature.covered).digest() == digest
        assert signature.value[:2] == b"\x30" + bytes((len(signature.value) - 2,))
        assert signature.signed_at == 1795522121  # 2026-11-24 12:08:41


def test_a_certificate_is_called_by_issuer_and_serial_number():
    assert issuer_and_serial(read(WITH_CERTIFICATE)[1][0]) == ALICE
    raises(ParseError, issuer_and_serial, b"\x30\x00")


def test_a_signature_without_attributes_covers_the_content():
    content, certificates, signature = read(BY_KEY_ID)
    assert (content, certificates, signature.covered) == (CONTENT, [], CONTENT)
    assert (signature.identifier, signature.intact, signature.signed_at) == (KEY_ID, True, None)


def test_content_that_was_changed_is_not_intact():
    for data in (WITH_CERTIFICATE, BER):
        assert not read(changed(data, b"hot\r\n", b"hat\r\n"))[2].intact


def test_content_of_another_type_than_was_signed_is_not_intact():
    other = DATA[:-1] + b"\x05"
    for data in (BY_KEY_ID, BER):
        at = data.find(DATA)
        signature = read(data[:at] + other + data[at + len(DATA) :])[2]
        assert not signature.intact


def signed_with(more=b"", between=b""):
    """Return SignedData with one more signed attribute, and with more in front of its signers."""
    signer = element(WITH_CERTIFICATE).rest()[-1].parts[0]
    parts = [part.raw for part in signer.parts]
    attributes = signer.parts[3].parts
    parts[3] = encode(0xA0, attributes[0].raw, attributes[2].raw, more)
    signers = encode(SET, encode(SEQUENCE, *parts))
    return decode(encode(SEQUENCE, *([part.raw for part in element(BER).parts[:3]] + [between, signers])))


def test_a_second_digest_among_the_attributes_is_refused():
    digest = element(WITH_CERTIFICATE).rest()[-1].parts[0].parts[3].parts[2].raw
    raises(ParseError, read_signed, signed_with(digest))


def test_a_signing_time_from_2050_on_has_a_year_of_four_digits():
    """R8551-2: a GeneralizedTime (RFC 5652 section 11.3); in another zone it is none"""
    for text, unix in ((b"20500101000000Z", 2524608000), (b"20501301000000Z", None), (b"205001010000Z", None)):
        time = encode(SEQUENCE, encode(OID, unhexlify("2a864886f70d010905")), encode(SET, encode(0x18, text)))
        (signature,) = read_signed(signed_with(time))[2]
        assert signature.intact and signature.signed_at == unix


def test_revocation_lists_are_passed_over():
    """R8551-2: RFC 5652 section 5.1, crls"""
    content, certificates, signatures = read_signed(signed_with(between=encode(0xA1, encode(SEQUENCE))))
    assert (content, certificates, len(signatures)) == (CONTENT, [], 1)


def test_each_digest_of_sha_2_is_called_by_its_name():
    """R8591-4: which of them hashlib has is another thing: without it nobody can verify the signature"""
    sha256 = unhexlify("608648016503040201")
    data = build_signed(CONTENT, ALICE, "rsa", toy)
    for last, name in ((1, "sha256"), (2, "sha384"), (3, "sha512")):
        signature = read(changed(data, sha256, sha256[:-1] + bytes((last,))))[2]
        assert signature.hash == name
        assert signature.kind == ("rsa" if hasattr(hashlib, name) else "")


def test_algorithms_that_we_do_not_have_are_left_to_the_caller():
    ecdsa = unhexlify("2a8648ce3d040302")
    for other in (unhexlify("2a8648ce3d040303"), unhexlify("2a8648ce3d040301")):  # of another digest, and with SHA-1
        assert read(changed(BER, ecdsa, other))[2].kind == ""
    sha256 = unhexlify("608648016503040201")
    signature = read(changed(BER, sha256, sha256[:-1] + b"\x09"))[2]
    assert (signature.kind, signature.intact) == ("", False)


def test_what_we_sign_is_read_again():
    """R3428-11.5, R8591-9: the certificate goes with it only when it is given"""
    seen = []

    def sign(octets):
        seen.append(octets)
        return toy(octets)

    for identifier, version, kind, certificate in (
        (ALICE, b"\x01", "ecdsa", b""),
        (KEY_ID, b"\x03", "rsa", read(WITH_CERTIFICATE)[1][0]),
    ):
        data = build_signed(CONTENT, identifier, kind, sign, certificate)
        content, certificates, signature = read(data)
        assert (content, signature.kind, signature.identifier) == (CONTENT, kind, identifier)
        assert certificates == ([certificate] if certificate else [])
        assert signature.intact and signature.covered == seen.pop()
        assert signature.value == toy(signature.covered)
        assert element(data).take(INTEGER).octets == version
        assert element(data).parts[-1].parts[0].take(INTEGER).octets == version


def test_attributes_are_signed_as_a_set_in_order():
    """R8551-2: DER asks for the parts of a SET by size and octets"""
    seen = []
    build_signed(CONTENT, ALICE, "ecdsa", lambda octets: seen.append(octets) or b"x")
    attributes = decode(seen[0])
    encodings = [part.raw for part in attributes.parts]
    assert attributes.tag == SET and encodings == sorted(encodings) and len(encodings) == 2
    assert encodings[1].find(hashlib.sha256(CONTENT).digest()) > 0


def test_every_cut_and_nonsense_raises_parse_error_only():
    for data in (BER, BY_KEY_ID):
        for size in range(0, len(data), 3):
            raises(ParseError, decode, data[:size])
    dice = Dice(5652)
    for _ in range(400):
        data = bytearray(BER if dice.roll(2) else BY_KEY_ID)
        data[dice.roll(len(data))] = dice.roll(256)
        try:
            root = decode(bytes(data))
            root.take(OID)
            read_signed(root.take(0xA0, SEQUENCE))
        except ParseError:
            continue


def test_signing_times_that_are_none_are_left_out():
    at = BER.find(b"261124120841Z")
    for text, unix in (
        (b"700101000000Z", 0),
        (b"491231235959Z", 2524607999),
        (b"500101000000Z", None),
        (b"261324120841Z", None),
        (b"260024120841Z", None),
        (b"2611241208410", None),
        (b"26x124120841Z", None),
        (b"261131120841Z", None),
        (b"270229120841Z", None),
        (b"261100120841Z", None),
        (b"261124240841Z", None),
        (b"261124126041Z", None),
        (b"261124120861Z", None),
    ):
        assert read(BER[:at] + text + BER[at + 13 :])[2].signed_at == unix


def test_what_could_be_the_attributes_of_another_signature_is_no_content():
    """R0-P12: the octets that a signature covers, shown as its content, in a SignedData without attributes"""
    _, _, signature = read(BER)
    stripped = build_without_attributes(signature.covered, signature.value)
    content, _, other = read(stripped)
    assert (content, other.covered, other.value) == (signature.covered, signature.covered, signature.value)
    assert not other.intact
    assert read(build_without_attributes(CONTENT, b"x"))[2].intact


def build_without_attributes(content, value, signers=1, certificates=0):
    """Return SignedData whose signatures cover the content itself."""
    algorithm = encode(SEQUENCE, encode(OID, unhexlify("2a8648ce3d040302")))
    hash = encode(SEQUENCE, encode(OID, unhexlify("608648016503040201")))
    signer = encode(SEQUENCE, encode(INTEGER, b"\1"), ALICE, hash, algorithm, encode(OCTETS, value))
    capsule = encode(SEQUENCE, encode(OID, DATA), encode(0xA0, encode(OCTETS, content)))
    carried = encode(0xA0, encode(SEQUENCE) * certificates)
    inside = encode(
        SEQUENCE, encode(INTEGER, b"\1"), encode(SET, hash), capsule, carried, encode(SET, signer * signers)
    )
    return encode(SEQUENCE, encode(OID, SIGNED_DATA), encode(0xA0, inside))


def test_signers_and_certificates_are_few():
    """R0-P12: each is a signature to verify"""
    for signers, certificates, is_taken in ((2, 0, True), (3, 0, False), (1, 4, True), (1, 5, False), (0, 0, True)):
        signed = element(build_without_attributes(CONTENT, b"x", signers, certificates))
        if is_taken:
            assert [len(found) for found in read_signed(signed)[1:]] == [certificates, signers]
        else:
            assert raises(ParseError, read_signed, signed).status == 400
