"""The description of the API for programs (OpenAPI 3.1)."""

from importlib.metadata import version
from typing import Any

Json = dict[str, Any]

_STRING, _NUMBER, _INTEGER, _FLAG = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))
_MAYBE_STRING, _MAYBE_NUMBER, _MAYBE_INTEGER = ({"type": [kind, "null"]} for kind in ("string", "number", "integer"))


def _object(*, optional: Json | None = None, **fields: Json) -> Json:
    """Return the schema of an object that has all of these fields, and maybe optional ones."""
    return {"type": "object", "properties": {**fields, **(optional or {})}, "required": list(fields)}


def _list(of: Json) -> Json:
    return {"type": "array", "items": of}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_PROOF = _object(level={"enum": ["signed", "shared", "login", "none"]}, by=_MAYBE_STRING)
_POINTS = _list({"type": "array", "prefixItems": [_NUMBER, _NUMBER]})
_RECORD = _object(
    at=_NUMBER, level={"enum": ["debug", "info", "warning", "error"]}, event=_STRING, fields={"type": "object"}
)
_SCHEMAS: Json = {
    "Message": _object(
        **{"id": _INTEGER, "from": _STRING, "to": _STRING, "call_id": _STRING, "content_type": _STRING},
        transport=_STRING,
        source=_STRING,
        user=_MAYBE_STRING,
        body=_MAYBE_STRING,
        received=_STRING,
        received_at=_NUMBER,
        date=_MAYBE_STRING,
        valid_until=_MAYBE_INTEGER,
        expired={"type": ["boolean", "null"]},
        stale=_FLAG,
        duplicate=_FLAG,
        open=_FLAG,
        proof=_PROOF,
        marks=_list(_STRING),
        answers=_MAYBE_INTEGER,
        replies=_list(_ref("Reply")),
        acknowledged={"anyOf": [_object(by=_STRING, at=_NUMBER), {"type": "null"}]},
        escalated=_list(_object(to=_STRING, at=_NUMBER, state=_STRING)),
        optional={
            **dict.fromkeys(("subject", "display_name", "priority", "body_base64"), _STRING),
            **dict.fromkeys(("encrypted", "unauthenticated", "for_others", "again"), _FLAG),
            **dict.fromkeys(("from_error", "encoding_error"), _FLAG),
            "cpim": _object(
                optional={
                    "from": _STRING,
                    "to": _STRING,
                    "datetime": _STRING,
                    "subject": _STRING,
                    "message_id": _STRING,
                    "from_differs": _FLAG,
                }
            ),
            "signature": _object(state=_STRING, signer=_MAYBE_STRING),
        },
    ),
    "Reply": _object(
        id=_INTEGER,
        message=_MAYBE_INTEGER,
        to=_STRING,
        text=_STRING,
        by=_STRING,
        at=_NUMBER,
        expires_at=_MAYBE_INTEGER,
        status=_MAYBE_INTEGER,
        reason=_STRING,
        tries=_INTEGER,
        ended_at=_MAYBE_NUMBER,
        next_at=_MAYBE_NUMBER,
        answered=_MAYBE_INTEGER,
        kind={"enum": ["reply", "escalation"]},
        state={"enum": ["waiting", "sending", "delivered", "accepted", "failed", "expired"]},
    ),
    "Board": _object(
        aor=_STRING,
        heard=_NUMBER,
        heard_by=_STRING,
        every=_MAYBE_INTEGER,
        late_at=_NUMBER,
        gone_at=_NUMBER,
        proof=_PROOF,
        source=_STRING,
        transport=_STRING,
        free=_MAYBE_INTEGER,
        rssi=_MAYBE_INTEGER,
        clock=_MAYBE_STRING,
        uptime=_MAYBE_INTEGER,
        waiting=_MAYBE_INTEGER,
        messages=_INTEGER,
        open=_INTEGER,
        last={"anyOf": [_ref("Message"), {"type": "null"}]},
        state={"enum": ["alive", "late", "gone"]},
        optional={"replies": _list(_ref("Reply"))},
    ),
    "Log": _object(records=_list(_RECORD)),
    "Session": _object(
        user=_MAYBE_STRING,
        may_act=_FLAG,
        may_read=_FLAG,
        login=_list(_STRING),
        csrf=_MAYBE_STRING,
        guided=_FLAG,
        version=_STRING,
    ),
    "Error": _object(error=_STRING, optional={"retry_s": _NUMBER}),
    "Acknowledged": _object(acknowledged=_list(_INTEGER)),
    "Boards": _object(
        now=_NUMBER,
        boards=_list(_ref("Board")),
        counts=_object(**dict.fromkeys(("alive", "late", "gone", "open"), _INTEGER)),
    ),
    "Messages": _object(messages=_list(_ref("Message")), next=_MAYBE_INTEGER, complete=_FLAG),
    "Series": _object(
        since=_NUMBER,
        until=_NUMBER,
        step=_NUMBER,
        **dict.fromkeys(("free", "rssi", "delivery", "alerts"), _POINTS),
    ),
}
_FILTERS = {
    "text": _STRING,
    "from": _STRING,
    "board": _STRING,
    "open": _STRING,
    "since": _NUMBER,
    "until": _NUMBER,
    "before": _INTEGER,
    "after": _INTEGER,
}
_TEXT = _object(text=_STRING, optional={"expires_s": _MAYBE_INTEGER})
_GET: dict[str, tuple[str, str, Json]] = {  # path: what it is, schema of the answer or its content type, its query
    "/api/session": ("Who you are, and whether you may act", "Session", {}),
    "/api/boards": ("All boards, those heard last first", "Boards", {}),
    "/api/boards/{aor}": ("A board, and what was written to it", "Board", {}),
    "/api/boards/{aor}/series": ("The values of its charts", "Series", {"hours": _NUMBER}),
    "/api/boards/{aor}/log": ("Its last log records that monitors have posted, the newest first", "Log", {}),
    "/api/messages": (
        "Messages, the newest first, with after the oldest first. next: what before, or after, is to be next; complete "
        "false: the search stopped for its time limit",
        "Messages",
        {**_FILTERS, "limit": _INTEGER},
    ),
    "/api/messages.csv": ("The same as a table", "text/csv", _FILTERS),
    "/api/messages/{id}": ("A message", "Message", {}),
    "/api/events": (
        "message, board, reply, acknowledgement as they come; counts: how many messages are open; forgotten: boards "
        "that are known no longer; reset: load anew",
        "text/event-stream",
        {},
    ),
    "/metrics": ("For Prometheus", "text/plain", {}),
}
_POST: dict[str, tuple[str, int, str, Json]] = {  # path: what it does, status, schema of the answer, of the request
    "/api/session": (
        "Log in: with user and password, or with token. 429: wait",
        200,
        "Session",
        _object(optional={"user": _STRING, "password": _STRING, "token": _STRING}),
    ),
    "/api/messages/{id}/acknowledgement": (
        "Acknowledge a message",
        200,
        "Message",
        _object(optional={"tell_board": _FLAG}),
    ),
    "/api/acknowledgements": (
        "Acknowledge many. The answer names those of which nobody had, and leaves out what has been deleted",
        200,
        "Acknowledged",
        _object(messages={"type": "array", "items": _INTEGER, "minItems": 1, "maxItems": 500}),
    ),
    "/api/messages/{id}/replies": ("Answer a message", 201, "Reply", _TEXT),
    "/api/boards/{aor}/log": (
        "Tell what a monitor has heard a board log: 1 to 200 records, 64 KiB. The board counts as heard",
        200,
        "Board",
        _object(records=_list(_RECORD)),
    ),
    "/api/boards/{aor}/messages": ("Write to a board", 201, "Reply", _TEXT),
}
_WRITES = ("/acknowledgement", "/replies", "/messages")  # to a board, once for each
_ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Up to 100 characters, new for each text. Who asks again with it gets the Reply of the first time",
    "schema": _STRING,
}


def document() -> Json:
    """Return the document."""
    paths: dict[str, Json] = {}
    for path, (about, answer, query) in _GET.items():
        operation = {"summary": about, "parameters": _parameters(path, query), "responses": _responses(200, answer)}
        paths.setdefault(path, {})["get"] = operation
    for path, (about, status, answer, asked) in _POST.items():
        paths.setdefault(path, {})["post"] = {
            "summary": about,
            "parameters": [*_parameters(path, {}), *([_ONCE] if path.endswith(_WRITES) else [])],
            "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
            "responses": _responses(status, answer),
            "security": [] if path == "/api/session" else [{"token": []}, {"session": [], "csrf": []}],
        }
    paths["/api/session"]["delete"] = {"summary": "Log out", "responses": _responses(200, "Session")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "sipmote inbox", "version": version("sipmote")},
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "sipmote"},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
            },
        },
    }


def _parameters(path: str, query: Json) -> list[Json]:
    named = [name for name in ("aor", "id") if f"{{{name}}}" in path]
    found = [{"name": name, "in": "path", "required": True, "schema": _STRING} for name in named]
    return [*found, *({"name": name, "in": "query", "schema": schema} for name, schema in query.items())]


def _responses(status: int, answer: str) -> Json:
    content = {answer: {}} if "/" in answer else {"application/json": {"schema": _ref(answer)}}
    failed = {"description": "what was wrong", "content": {"application/json": {"schema": _ref("Error")}}}
    return {str(status): {"description": "done", "content": content}, "4XX": failed}
