"""What became of a message: an exit code, an event for programs, and words for people with a remedy where there is one.

A failure's event has more where it is known: redirected_to, the URI of the last request if a 3xx led to it, with
next_hop, where it went; contact, where a 3xx names nobody that we can reach; remedy, of a 401 or 407; over, by how many
octets the answer to a challenge or a redirect was over the budget.
"""

import os
import re
from typing import Any

from sipmote.agent.events import Outcome
from sipmote.agent.headers.delta import retry_after_s
from sipmote.agent.registration.failure import reason_of as reason_with_warning
from sipmote.send.way import Way
from sipmote.sip.heard import Heard, in_words
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
    493: "the key there is not that of our certificate (sipmote keys trust FILE, or --encrypt-to, takes the right one; "
    "a board's: sipmote provision --protect), or signer, date or type of what is inside is refused",
}


def read(outcome: Outcome, trouble: str, heard: Heard, has_login: bool) -> Result:
    """Return what an outcome means; trouble: why its flow failed; heard: what went and came meanwhile.

    has_login: have we name and password?
    """
    code = UNANSWERED if trouble else _CODES.get(outcome.name, REFUSED)
    final = heard.final
    words = outcome.reason
    is_theirs = not trouble and 300 <= outcome.status == final.status
    if is_theirs and words == final.reason:
        words = reason_with_warning(outcome.status, final)
    reason = trouble or words.decode("utf-8", "backslashreplace")
    event = {"event": outcome.name, "status": outcome.status, "reason": reason}
    event |= {"call_id": outcome.call_id.decode()}
    if outcome.name == "timeout":
        event |= heard.event()
    if not 200 <= outcome.status < 400:
        event |= heard.redirection()
    pause_s = retry_after_s(outcome.retry_after)
    if pause_s:
        event["retry_after"] = pause_s
    return code, event | _more(outcome, heard, has_login) if is_theirs else event


def _more(outcome: Outcome, heard: Heard, has_login: bool) -> dict[str, Any]:
    """Return what the final response to a message that failed adds to its event."""
    final = heard.final
    over = _OVER.match(outcome.reason) if outcome.reason != final.reason else None
    if over:
        return {"over": int(over[1])}
    if final.status in (401, 407):
        return {"remedy": heard.login_remedy(has_login)}
    contacts = final.all(b"contact") if final.status < 400 else []
    return {"contact": ", ".join([value.decode("utf-8", "backslashreplace") for value in contacts])} if contacts else {}


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
    text = "" if "over" in event else event.get("remedy") or _of_status(event, is_smime) or _of_way(way, event)
    return text and f" ({text})"


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
