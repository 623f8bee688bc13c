"""What a UAC tries before it gives up: RFC 3261 section 8.1.3. Loaded at the first request that fails."""

from agent.clock import later, until
from agent.compat import const
from agent.errors import ParseError
from agent.headers import media_type, parse_address, parse_delta, takes
from agent.message import Message
from agent.uac import BUDGET, Draft, Uac
from agent.uri import Uri, parse_uri

_MAX_ATTEMPTS = const(8)  # of one request, whatever the reasons
_MAX_REFUSED = const(64)  # content types of peers that are remembered
_DEAD_S = const(30)  # how long a flow that led nowhere is put behind others
_MAX_DEAD = const(16)  # flows remembered as such
_LONGEST_PAUSE_S = const(3600)
_MAX_FLOWS = const(16)  # with challenges that are remembered


def retry_after_s(value: bytes | None) -> int:
    """Return the seconds to wait that a Retry-After value asks for, an hour at most; 0 when there is none to obey."""
    if value is None:
        return 0
    return min(parse_delta(value.split(b";")[0].split(b"(")[0].strip()) or 0, _LONGEST_PAUSE_S)


def amend(uac: Uac, draft: Draft, status: int, message: Message | None, now: int) -> bool:
    """Change draft so that it is worth another attempt; False when there is none.

    status: of the final response, 408 for a timeout, 503 for a transport error; message: the response, if there is one.
    """
    if status == 503 or message is None:
        _bury(uac, draft.flow, message, now)
    if len(draft.tried) >= _MAX_ATTEMPTS:
        return False
    if status == 503 or message is None:
        if message is None and status == 503 and not draft.flows:
            _add_udp(uac, draft)
        return _turn(uac, draft)
    if status in (401, 407):
        return _answer(uac, draft, message)
    if status < 400:
        return _redirect(uac, draft, message)
    if status == 416 and draft.uri.scheme in (b"im", b"tel") and b"416" not in draft.tried and draft.uri.host:
        draft.tried.append(b"416")
        old = draft.uri
        draft.uri = Uri(b"sip", old.user, old.host, old.port, old.params)
        return True
    return status == 415 and draft.fallback is not None and _fall_back(uac, draft, message)


def _fall_back(uac: Uac, draft: Draft, message: Message) -> bool:
    """Turn to the sender's other content type, unless the peer's Accept leaves that out, too; remember it for the peer.

    Source: RFC 3261 section 8.1.3.5.
    """
    content_type, body = draft.fallback  # type: ignore[misc]
    draft.fallback = None
    accepted = [media_type(value) for value in b",".join(message.all(b"accept")).split(b",")]
    if b"" not in accepted and not takes(accepted, media_type(content_type)):  # without an Accept it may take anything
        return False
    uac.refused = uac.refused[1 - _MAX_REFUSED :] + ((draft.key, draft.content_type),)
    draft.content_type = content_type
    draft.body = body
    return True


def _bury(uac: Uac, flow: tuple, message: Message | None, now: int) -> None:
    """Remember for a while that a flow leads nowhere: for Retry-After, or a time of our own."""
    dead = uac.dead = getattr(uac, "dead", {})
    for known in list(dead):
        if until(dead[known], now) <= 0 or len(dead) >= _MAX_DEAD:
            del dead[known]
    seconds = 0 if message is None else retry_after_s(message.get(b"retry-after"))
    dead[flow[:3]] = later(now, (seconds or _DEAD_S) * 1000)


def _turn(uac: Uac, draft: Draft) -> bool:
    """Turn to the next flow: the same request in a new transaction (RFC 3263 section 4.3).

    Another server may challenge for the same realms, with nonces of its own.
    """
    if not draft.flows:
        return False
    draft.flow = draft.flows.pop(0)
    draft.cseq -= 1
    draft.challenges = uac.challenges.get((draft.method, draft.flow[:3]), [])
    draft.tried = [b"flow" if mark.find(b" ") > 0 else mark for mark in draft.tried]  # a field and its realm
    draft.tried.append(b"flow")
    return True


def _add_udp(uac: Uac, draft: Draft) -> None:
    """Let UDP be next where our preference alone has led to TCP, and the peer has none (RFC 3261 section 18.1.1)."""
    flow = draft.flow
    if flow[0] != b"TCP" or flow == uac.proxy_flow or draft.uri.param(b"transport") is not None or not draft.uri.host:
        return
    from agent.locate import is_address

    if flow == draft.uri.flow(b"TCP") and is_address(flow[1]):
        draft.flows.append((b"UDP",) + flow[1:])


def _answer(uac: Uac, draft: Draft, message: Message) -> bool:
    """Take up the challenges we have credentials for (RFC 3261 section 22): each realm once, again only when stale.

    A proxy that forks puts the challenges of all branches in one response, so that both fields may be in either status
    (RFC 3261 section 16.7, step 7).
    """
    from agent.digest import choose, unquote

    challenges = list(draft.challenges)
    changed = False
    found = choose(message.all(b"www-authenticate"), b"Authorization")
    for challenge in found + choose(message.all(b"proxy-authenticate"), b"Proxy-Authorization"):
        mark = b"%s %s" % (challenge.field, challenge.realm)
        if mark in draft.tried and not (challenge.stale and draft.tried.count(mark) < 2):
            continue
        for realm, user, password in uac.credentials:
            if realm in (b"", unquote(challenge.realm)):
                challenge.user = user
                challenge.password = password
                for known in challenges:
                    if known.field == challenge.field and known.realm == challenge.realm:
                        challenges.remove(known)
                        break
                challenges.append(challenge)
                draft.tried.append(mark)
                changed = True
                break
    if changed:
        if len(uac.challenges) >= _MAX_FLOWS:
            uac.challenges.clear()
        draft.challenges = uac.challenges[(draft.method, draft.flow[:3])] = challenges
    else:  # the next request begins without credentials that are no good
        uac.challenges.pop((draft.method, draft.flow[:3]), None)
    return changed


def recall(uac: Uac, draft: Draft, now: int) -> None:
    """Let a request that had to wait take up the challenges met meanwhile where it goes, if the budget allows."""
    known = uac.challenges.get((draft.method, draft.flow[:3]), draft.challenges)
    for challenges in (known, draft.challenges):
        draft.challenges = challenges
        draft.cseq -= 1  # it was built before, and not sent
        uac.build(draft, now)
        if len(draft.request) <= BUDGET:
            break


def _redirect(uac: Uac, draft: Draft, message: Message) -> bool:
    """Turn to the next Contact of a 3xx that was not tried yet, never from sips to sip (RFC 3261 section 8.1.3.4)."""
    if not draft.tried:
        draft.tried.append(draft.uri.key())
    try:
        contacts = message.members(b"contact")
    except ParseError:
        return False
    for contact in contacts:
        try:
            uri = parse_uri(parse_address(contact)[1])
            flow = uac.proxy_flow or uri.flow(draft.flow[0])
        except ParseError:
            continue
        if uri.key() in draft.tried or (draft.uri.scheme == b"sips" and uri.scheme != b"sips"):
            continue
        draft.tried.append(uri.key())
        draft.uri = uri
        draft.flow = flow
        draft.flows = []
        draft.challenges = uac.challenges.get((draft.method, flow[:3]), [])  # the old ones were others'
        return True
    return False
