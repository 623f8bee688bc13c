"""What stands inside an opened envelope: who says it, to whom and when. Loaded for a message, and freed."""

from binascii import hexlify
from hashlib import sha256

from agent.compat import const
from agent.cpim.reader import parse_address, parse_cpim
from agent.errors import ParseError, UsageError
from agent.headers.values import media_type
from agent.uri import parse_uri
from mote.keys import person_of
from mote.limits import allowed, seen
from mote.log import INFO
from mote.net.sockets import now
from mote.replay import is_new

_WINDOW = const(300)  # s, as in agent.uas.freshness
_IMDN = b"urn:ietf:params:imdn"


def read(mote: object, event: object, inside: object, stale: str, found: tuple) -> tuple:
    """Return (the MessageReceived inside of an opened one, was it taken before?).

    inside: the class of its message, as mote.unprotect.Inside. found: what mote.envelope.open_envelope() has returned.
    Raises agent.errors.ParseError: with 493 for what is wrong inside of what was encrypted, 403 for what everybody can
    see; 400 with a reason that begins with stale. The user of what comes from a signer who may not command is None.
    """
    content_type, content, is_encrypted, signature, peer = found
    status = 493 if is_encrypted else 403
    uri = event.sender if peer is None else peer["uri"].encode()
    unix = None
    if media_type(content_type) == b"message/cpim":
        try:
            cpim = parse_cpim(content, (_IMDN,))
        except ParseError as error:
            raise ParseError(error.detail, status)
        _check_names(cpim, uri, mote.agent.aor, status)
        unix = cpim.unix()
        content_type, content = cpim.content_type, cpim.body
    elif peer is not None:
        raise ParseError("message/cpim was expected inside, with From, To and DateTime that are signed", status)
    message = inside(event.message, content_type, content)
    user = event.user
    if peer is not None:
        if unix is None:
            raise ParseError("a DateTime inside was expected: set the sender's clock", status)
        user = uri if _may_command(mote, uri) else None
        covered = found[1] if signature is None else signature[2]
        message.mark = sha256(uri + b"\n" + covered).digest()[:16]
        message.signed = (peer["uri"], unix, hexlify(message.mark[:8]).decode())
    elif user == b"":
        raise ParseError("a signature or a password was expected (setting commanders)", status)
    inner = type(event)(message, event.flow, uri, *event[3:8], user)
    return inner, peer is not None and _is_known(mote, message, unix, stale)


def _check_names(cpim: object, uri: bytes, own: bytes, status: int) -> None:
    """Is a message/cpim from who has signed or sent it, and to us? Else it was meant for somebody else."""
    sender = cpim.address(b"From")
    if sender is None or person_of(sender) != person_of(uri):
        raise ParseError("it is from %s, by its From inside, but comes from %s" % (_told(sender), _told(uri)), status)
    to = [parse_address(found[3])[1] for found in cpim.headers if found[1] == b"To"]
    if person_of(own) not in [person_of(one) for one in to]:
        told = _told(b", ".join(to)), _told(own)
        raise ParseError("it is to %s, by its To inside: this board is %s" % told, status)


def _told(uri: bytes | None) -> str:
    return "nobody" if not uri else uri.decode()


def _may_command(mote: object, uri: bytes) -> bool:
    """May a signer command? Those may whom the setting commanders or allow names."""
    person = parse_uri(uri)
    own = parse_uri(mote.agent.aor)
    commanders = mote.settings.get("commanders") or ()
    return (person.host == own.host and (person.user or b"").decode() in commanders) or allowed(mote, uri) is not None


def _is_known(mote: object, message: object, unix: int, stale: str) -> bool:
    """Was the same thing taken before? Raises ParseError for one that is too old to tell, or dated wrongly."""
    if seen(message.mark, True) is not None:
        return False  # mote.commands sees to it
    try:
        fresh = is_new(*message.signed)
    except UsageError as error:
        raise ParseError(str(error), 500)
    if fresh is None:
        return True
    if not fresh:
        raise ParseError("%s: it is older than the newest one of %s" % (stale, message.signed[0]), 400)
    clock = mote.agent.clock
    at = None if clock is None else clock.unix(now())
    if at is None:
        mote.log(INFO, "age_unchecked", sender=message.signed[0])
    elif abs(unix - at) > _WINDOW:
        told = "%d s %s this board's clock" % (abs(unix - at), "ahead of" if unix > at else "behind")
        raise ParseError("%s: its DateTime is %s: set the one that is wrong" % (stale, told), 400)
    return False
