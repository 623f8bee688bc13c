"""What the inbox tells, in lines for people and in events for programs."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from sipmote.agent.events import Outcome
from sipmote.agent.registration import Registered, RegistrationLost
from sipmote.console import Lines, Output, Part
from sipmote.inbox.received import Received
from sipmote.sip.heard import Heard, in_words

_LONGEST_SAID = 64  # characters of a display name that are shown
_INDENT = " " * 9  # what stands below a message begins behind its time
MARK = _INDENT[2:] + "| "  # what a message goes on in, and nothing of ours begins with

_REMEDIES = {  # by the status of a line that was typed
    403: ": a board takes commands from the addresses in its allow, or else its to; --as says who we are",
    493: ": the key there is another one than here, or has ours not: sipmote keys trust, sipmote provision --protect",
}


class Screen:
    """Shows what happens at an inbox."""

    def __init__(self, output: Output, says_source: bool = False) -> None:
        """says_source: tell of each message where it came from, also on a narrow terminal."""
        self._output = output
        self._says_source = says_source
        self._day = _midnight(time.localtime())

    def ready(self, bound: Sequence[str], file: str = "", aor: str = "") -> None:
        """We listen. file: where messages are kept; aor: who we are, where somebody has said it."""
        event = {"event": "ready", "db": file, "aor": aor or None, "bind": bound}
        self._output.say(event, (f"listening at {', '.join(bound)}; stop with Ctrl-C", "dim"))
        if not self._output.has_person():
            return
        kept = "nowhere" if file == ":memory:" else f"in {file}"
        self._output.say(None, (f"{f'you are {aor}; ' if aor else ''}messages are kept {kept}", "dim"))

    def page(self, url: str) -> None:
        """There is a page."""
        self._output.say({"event": "page", "url": url}, (f"the page is at {url}", "dim"))

    def messages(self, batch: Sequence[Received]) -> None:
        """These have come, and are stored and answered."""
        self._show(batch, _event)

    def earlier(self, batch: Sequence[Received]) -> None:
        """These have come and been shown before, some of them on other days: for a person who comes back to them."""
        self._show(batch, lambda one: None)

    def _show(self, batch: Sequence[Received], as_event: Callable[[Received], dict[str, Any] | None]) -> None:
        """Show messages, and the day before those that came on another one than what was shown last."""
        for day, of_one_day in groupby(batch, self._day_of):
            if day != self._day:
                self._output.say(None, (time.strftime("%A, %Y-%m-%d", day), "bold dim"))
                self._day = day
            self._output.show(of_one_day, as_event, self._message)

    def _day_of(self, one: Received) -> time.struct_time:
        try:
            came = time.localtime(one.received)
        except (ValueError, OverflowError, OSError, TypeError):  # somebody has damaged the store
            return self._day
        return _midnight(came)

    def help(self, lines: Sequence[str]) -> None:
        """A person has asked what can be typed."""
        self._output.show(lines, lambda line: None, lambda line: (f"{_INDENT}{line}",))

    def _message(self, one: Received) -> list[Part]:
        """Return the line of a message, or that there is one."""
        try:
            line = _message_line(one)
            if self._says_source or not self._output.is_narrow():
                line.append((f"  {one.transport} {one.source}", "dim"))
            return line
        except Exception as error:
            return [(f"can't show the message {one.call_id}: {error!r}", "red")]

    def notice(self, line: dict[str, Any]) -> None:
        """A peer's program has told something: what became of a message, or that somebody is typing."""
        told = f"{line['event']} of {line['message_id']}" if "message_id" in line else line["event"]
        self._output.say(line, (f"{_INDENT}{line['from']}: {told}: {line['status']}", "dim"))

    def heartbeat(self, line: dict[str, Any]) -> None:
        """A board lives, which no person wants to read every few minutes."""
        self._output.say(line)

    def outcome(self, event: Outcome, trouble: str) -> None:
        """A message that was typed has its result. trouble: why its flow failed, "" when a peer or a timer spoke."""
        reason = trouble or event.reason.decode("utf-8", "backslashreplace")
        told = {"event": "outcome", "call_id": event.call_id.decode(), "outcome": event.name}
        style = "green" if event.name in ("delivered", "accepted") else "red"
        remedy = "" if trouble else _REMEDIES.get(event.status, "")
        line = (f"{_INDENT}{event.name} ({event.status} {reason}){remedy}", style)
        self._output.say({**told, "status": event.status, "reason": reason}, line)

    def registered(self, event: Registered) -> None:
        """A registrar has us, or lets us go as we asked (for 0 seconds)."""
        line = f"registered for {event.expires} s" if event.expires else "unregistered"
        self._output.say({"event": "registered", "expires": event.expires}, (line, "dim"))

    def registration_lost(self, event: RegistrationLost, trouble: str, heard: Heard, has_login: bool = True) -> None:
        """No registrar has us. heard: what came of our REGISTER. has_login: have we a name and a password for it?"""
        told = {"event": "not_registered", "status": event.status, "retry_s": event.pause_s}
        said = trouble or event.reason.decode("utf-8", "backslashreplace")
        if said:
            told["reason"] = said
        if not trouble and said:
            remedy = ""
            if event.status in (401, 407):
                told["remedy"] = remedy = heard.login_remedy(has_login)
            elif event.status == 403 and has_login:
                remedy = "check the name and the password"
            said = f"status {event.status} {said}" + (f": {remedy}" if remedy else "")
        elif not trouble:
            told |= heard.event()
            said = in_words(told["heard"], "the registrar") if "heard" in told else "no answer"
        self._output.say(told, (f"not registered: {said}; next attempt in {event.pause_s} s", "red"))

    def relay(self, event: str, call_id: str, **what: Any) -> None:
        """A message that is passed on has ended ("relayed") or has to wait ("relay_waits")."""
        told = what.get("outcome") or f"waits {what['retry_s']} s"
        line = f"{_INDENT}passed on: {told} {what.get('status') or ''} {call_id}"
        self._output.say({"event": event, "call_id": call_id, **what}, (line, "dim"))

    def dropped(self, counts: Counter[str]) -> None:
        """Bytes came in the last second that led to nothing."""
        text = "; ".join(f"{count} times {reason}" for reason, count in counts.items()) + ": dropped"
        self._output.warn(text, {"event": "dropped", "count": sum(counts.values()), "reasons": counts})

    def warning(self, text: str, **more: Any) -> None:
        """Something went wrong that needs a person; we go on."""
        self._output.warn(text, {"event": "warning", "text": text, **more})


def _event(one: Received) -> dict[str, Any]:
    """Return the event of a message, a warning instead where that can't be made: it hides no other message."""
    try:
        return one.line()
    except Exception as error:
        return {"event": "warning", "text": f"can't show a message: {error!r}", "call_id": one.call_id}


def _midnight(moment: time.struct_time) -> time.struct_time:
    """Return what all moments of a day have in common."""
    return time.struct_time((*moment[:3], 0, 0, 0, *moment[6:8], 0))


def _message_line(one: Received) -> list[Part]:
    """Return the line of a message. Of what its sender may have written nothing can be taken for a mark of ours."""
    line: list[Part] = [(time.strftime("%H:%M:%S ", time.localtime(one.received)), "dim")]
    line += [(f"{word} ", style) for word, style in proofs(one)]
    line += sender_of(one)
    line += [(f" [{mark}]", "bold red") for mark in marks(one)]
    return [*line, *content_of(one)]


def sender_of(one: Received) -> list[Part]:
    """Return the parts of a line that tell who a message is from, and what that one says of itself."""
    parts: list[Part] = [(one.sender if one.answerable else _said(one.sender), "bold")]
    if one.user is not None:
        parts.append((f" ({one.user})", "dim"))
    return [*parts, *[(f" says {what}", "italic") for what in _claims(one)]]


def content_of(one: Received) -> list[Part]:
    """Return the parts of a line that tell what is in a message."""
    text, encoding_error = one.text()
    parts: list[Part] = [(" [damaged text]", "red")] if encoding_error else []
    if one.subject:
        parts.append((f" {one.subject}:", "italic"))
    if text is None:
        return [*parts, (f" {len(one.body)} octets of {one.content_type}", "dim")]
    return [*parts, Lines(" " + text.rstrip())]


def proofs(one: Received) -> list[tuple[str, str]]:
    """Return what is certain of a message, each with its style."""
    is_shared = one.verdict is not None and one.verdict.state == "shared"
    found = [("by a shared key" if is_shared else "signed", "green")] if one.is_by_sender else []
    return [*found, ("encrypted", "dim")] if one.encrypted else found


def marks(one: Received) -> list[str]:
    """Return what to beware of."""
    marks = [mark for mark in ("expired", "stale", "duplicate", "again") if getattr(one, mark)]
    if not one.answerable:
        marks.append("can't be answered")
    if one.disguised:
        state = None if one.verdict is None else one.verdict.state
        proof = {"good": ", who has signed it", "shared": ", whose shared key it is"}.get(state or "", "")
        marks.append(f"in the name of {one.author}{proof}")
    if one.user is not None and not one.is_in_login and not one.is_by_sender and one.parcel is None:
        marks.append(f"login of {one.user}, From says {one.sender}")
    if one.for_others:
        marks.append(f"for {', '.join(one.for_others)}")
    if one.unauthenticated:
        marks.append("encryption that others can change")
    if one.verdict is not None and not one.verdict.is_good:
        marks.append(f"signature {one.verdict.state}: {one.verdict.reason}")
    return marks


def _claims(one: Received) -> list[str]:
    """Return what the sender says of itself and of its message, quoted. That it is normal goes without saying."""
    claims = [_said(one.display_name)] if one.display_name else []
    if one.priority and one.priority.lower() != "normal":
        claims.append(f"priority {_said(one.priority)}")
    return claims


def _said(text: str) -> str:
    """Return a stranger's text in quotes, none of which can be its own, and not without an end."""
    text = text.replace('"', "'")
    return f'"{text[:_LONGEST_SAID]}..."' if len(text) > _LONGEST_SAID else f'"{text}"'
