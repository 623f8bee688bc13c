"""`parse_once.py WHICH N`: parse one 450-octet MESSAGE N times and read six fields, for callgrind to count."""

import sys
from collections.abc import Callable
from typing import Any

BODY = b"ALERT node=esp32-01 temp=87.3C limit=80.0C seq=000123 prio=1"
REQUEST = (
    b"MESSAGE sip:ops@192.0.2.10:5060 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.21:5060;branch=z9hG4bK7f3a9c21d4e85b60;rport\r\nMax-Forwards: 70\r\n"
    b'From: "Pump 7" <sip:pump7@iot.example.net>;tag=4a8f2c1e\r\nTo: <sip:ops@iot.example.net>\r\n'
    b"Call-ID: 5f1d7c3a9b2e4d60@192.0.2.21\r\nCSeq: 142 MESSAGE\r\nUser-Agent: agent/0.1\r\n"
    b"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 60\r\n\r\n" + BODY
)


def ours() -> Callable[[], Any]:
    from sipmote.sip.reader import Message

    return _six_fields(Message)


def portable() -> Callable[[], Any]:
    from sipmote.agent.message import Message

    return _six_fields(Message)


def _six_fields(reader: Any) -> Callable[[], Any]:
    from sipmote.agent.headers.values import param

    def once() -> Any:
        message = reader(REQUEST)
        grammar = message.grammar
        via, sender, to, call_id, cseq = message.values(b"via from to call-id cseq")
        via = grammar.parse_via(via)
        tagged, uri = grammar.parse_address(sender)[2], grammar.parse_address(to)[1]
        tag, branch = param(tagged, b"tag"), param(via.params, b"branch")
        return message.method, branch, tag, uri, call_id, grammar.parse_cseq(cseq), message.body

    return once


def splitting() -> Callable[[], Any]:
    def once() -> Any:
        head, _, body = REQUEST.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        return lines[0].split(" ", 2), [line.split(":", 1) for line in lines[1:]], body

    return once


def sipmessage() -> Callable[[], Any]:
    from sipmessage import Message

    def once() -> Any:
        m = Message.parse(REQUEST)
        branch, tag = m.via[0].parameters["branch"], m.from_address.parameters["tag"]
        return m.method, branch, tag, str(m.to_address.uri), m.call_id, m.cseq.sequence, m.cseq.method, m.body

    return once


def aiosipua() -> Callable[[], Any]:
    from aiosipua.message import SipMessage

    def once() -> Any:
        m = SipMessage.parse(REQUEST)
        return (
            m.method,
            m.via[0].branch,
            m.from_addr.tag,
            str(m.to_addr.uri),
            m.call_id,
            m.cseq.seq,
            m.cseq.method,
            m.body,
        )

    return once


def sippy() -> Callable[[], Any]:
    from sippy.SipRequest import SipRequest

    def once() -> Any:
        m = SipRequest(REQUEST.decode())
        field = m.getHFBody
        names = field("via").getBranch(), field("from").getTag(), str(field("to").getUrl()), str(field("call-id"))
        return m.getMethod(), names, field("cseq").getCSeq(), str(m.getBody()).encode()

    return once


if __name__ == "__main__":
    run = globals()[sys.argv[1]]()
    for _ in range(int(sys.argv[2])):
        run()
