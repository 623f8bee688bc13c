"""The hosts' reader of messages says what the portable one says."""

from sipmote.agent.message import Message
from sipmote.sip import reader


def test_every_field_is_what_the_portable_reader_finds() -> None:
    """R3261-7.3: compact names, odd capitals, folded lines, blanks before colons, several of a name, none at all"""
    data = (
        b"MESSAGE sip:a@b SIP/2.0\r\nv: one\r\nVIA : two,\r\n three\r\nf:<sip:c@d>;tag=1\r\nSubject:\r\ns: x:y\r\n"
        b"no field\r\nX-Y:\t z \r\nl: 2\r\n\r\nhi"
    )
    for octets in (data, data[:-8], data.replace(b"l: 2", b"l: 2\r\nContent-Length: 3"), data.replace(b"l: 2", b"l")):
        plain, indexed = Message(octets), reader.Message(octets)
        for name in (b"via", b"from", b"subject", b"x-y", b"content-length", b"to"):
            assert (indexed.get(name), indexed.all(name)) == (plain.get(name), plain.all(name))
        assert (indexed.fault, indexed.length, indexed.body) == (plain.fault, plain.length, plain.body)
