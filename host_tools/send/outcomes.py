"""What became of a message: an exit code, an event for programs, and words for people with a remedy where there is one.

A failure's event has more where it is known: redirected_to, the URI of the last request if a 3xx led to it, with
next_hop, where it went; contact, where a 3xx names nobody that we can reach; offers, the ways to log in of a 401 or 407
that has none we know; over, by how many octets the answer to a challenge or a redirect was over the budget.
"""

import os
import re
from typing import Any

from sipmote.agent.auth.client import choose
from sipmote.agent.auth.digest import parse_parameters
from sipmote.agent.errors import ParseError
from sipmote.agent.events import Outcome
from sipmote.agent.headers.delta import retry_after_s
from sipmote.agent.message import Message
from sipmote.agent.registration.failure import reason_of as reason_with_warning
from sipmote.send.heard import Heard, in_words
from sipmote.send.way import Way
from sipmote.sip.reasons import reason_of

DELIVERED, USAGE, ACCEPTED, REFUSED, UNANSWERED = 0, 2, 3, 4, 5  # exit codes

Result = tuple[int, dict[str, Any]]  # exit code and event

_CODES = {"delivered": DELIVERED, "accepted": ACCEPTED, "timeout": UNANSWERED}
_OVER = re.compile(rb"(\d+) octets over the budget ")  # agent.recovery says so in place of the server
_REMEDIES = {
    403: "a board takes commands from the addresses in its allow, or else its to: name one with --from",
    404: "check what stands before the @",
}
_SMIME_REMEDIES = {
    415: "no S/MIME is read there",
    493: "--encrypt-to is not a certificate of the key there, or signer, date or type of what is inside is refused",
}


def read(outcome: Outcome, trouble: str, heard: Heard) -> Result:
    """Return what an outcome means; trouble: why its flow failed; heard: what went and came meanwhile."""
    code = UNANSWERED if trouble else _CODES.get(outcome.name, REFUSED)
    final = heard.final
    words = outcome.reason
    is_theirs = not trouble and 300 <= outcome.status == final.status
    if is_theirs and words == final.reason:
        words = reason_with_warning(outcome.status, final)
    reason = trouble or words.decode("utf-8", "backslashreplace")
    event = {"event": outcome.name, "status": outcome.status, "reason": reason}
    event |= {"call_id": outcome.call_id.decode(), **heard.event(outcome)}
    pause_s = retry_after_s(outcome.retry_after)
    if pause_s:
        event["retry_after"] = pause_s
    return code, event | _more(outcome, final) if is_theirs else event


def _more(outcome: Outcome, final: Message) -> dict[str, Any]:
    """Return what the final response to a message that failed adds to its event."""
    over = _OVER.match(outcome.reason) if outcome.reason != final.reason else None
    if over:
        return {"over": int(over[1])}
    if final.status in (401, 407) and not _can_answer(final):
        return {"offers": [_offer(value) for value in _challenges(final)]}
    contacts = final.all(b"contact") if final.status < 400 else []
    return {"contact": ", ".join([value.decode("utf-8", "backslashreplace") for value in contacts])} if contacts else {}


def _challenges(response: Message) -> list[bytes]:
    return response.all(b"www-authenticate") + response.all(b"proxy-authenticate")


def _can_answer(response: Message) -> bool:
    """Is there a challenge among those of a response that we know the answer to, given a password?"""
    return bool(choose(_challenges(response), b""))


def _offer(challenge: bytes) -> str:
    """Return for people the way to log in that a challenge stands for, e.g. "Basic" or "Digest with SHA-1"."""
    scheme = (challenge.split() or [b"nothing"])[0].decode("utf-8", "backslashreplace")
    if scheme.lower() != "digest":
        return scheme
    try:
        _, params = parse_parameters(challenge)
    except ParseError:
        return f"{scheme} that can't be read"
    if b"realm" not in params or b"nonce" not in params:
        return f"{scheme} without realm or nonce"
    what = params.get(b"algorithm", b"MD5")
    if not choose([b'Digest realm="", nonce="", algorithm=' + what], b""):
        return f"{scheme} with {what.decode('utf-8', 'backslashreplace')}"
    return f"{scheme} with qop={params.get(b'qop', b'').decode('utf-8', 'backslashreplace')}"


def unreachable(error: OSError) -> Result:
    """Return what it means that there is no way to the first hop."""
    return UNANSWERED, {"event": "failed", "status": 503, "reason": reason_of(error), "call_id": None}


def as_text(way: Way, code: int, event: dict[str, Any]) -> str:
    """Return an outcome for people; where nobody has answered there is no status to be told."""
    text = f"{event['event']}: {event['reason'] if code == UNANSWERED else _status(event)}"
    if "retry_after" in event:
        text += f", try again in {event['retry_after']} s"
    if code in (DELIVERED, ACCEPTED):
        return text
    whom = os.fsdecode(way.target)
    return f"{whom}: redirected to {event['redirected_to']}: {text}" if "redirected_to" in event else f"{whom}: {text}"


def _status(event: dict[str, Any]) -> str:
    return f"{event['status']} {event['reason']}"


def remedy(way: Way, event: dict[str, Any], is_smime: bool = False) -> str:
    """Return in brackets what a person can do about a failure that doesn't say so itself, else nothing."""
    text = "" if "over" in event else _login(way, event) or _of_status(event, is_smime) or _of_way(way, event)
    return text and f" ({text})"


def _login(way: Way, event: dict[str, Any]) -> str:
    """Return a remedy where a password is wanted."""
    if event["status"] not in (401, 407):
        return ""
    if event.get("offers"):
        return f"the server offers only {', '.join(event['offers'])}: it has to offer Digest with SHA-256 or MD5"
    if not way.credentials:
        return "add --user NAME"
    if "offers" in event:
        return "the server doesn't say how to log in: it has sent no challenge"
    return "check the name and the password"


def _of_status(event: dict[str, Any], is_smime: bool) -> str:
    status = event["status"]
    return (_SMIME_REMEDIES.get(status, "") if is_smime else "") or _REMEDIES.get(status, "")


def _of_way(way: Way, event: dict[str, Any]) -> str:
    """Return a remedy where the way leads nowhere."""
    first_hop = event.get("next_hop") or os.fsdecode(way.proxy or way.target)
    if event["reason"] == "Invalid argument" and "[fe80:" in first_hop.lower():
        return "a link-local address needs its interface, as in [fe80::1%eth0]"
    if "contact" in event:
        return f"it names {event['contact']}: try that yourself, or name a proxy that can with --proxy"
    if "heard" in event:
        return in_words(event["heard"])
    if event["event"] == "timeout":
        return f"check host, port and transport of {first_hop}, and that nothing between filters them"
    if event["reason"] == "connection refused":
        return f"nobody listens at {first_hop}: check port and transport, or start the server"
    return ""
