"""Is what a desk answers what its description for programs says? Asked of the real one and of the page's stand-in."""

import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from sipmote.desk.openapi import document

_EVENTS = {"message": "Message", "board": "Board", "reply": "Reply"}


def check(method: str, path: str, status: int, answer: Any) -> None:
    """Raise ValidationError for an answer in JSON that isn't as its path has it, KeyError for a status it hasn't."""
    path = path.partition("?")[0]
    for template, methods in document()["paths"].items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
            responses = methods[method.lower()]["responses"]
            response = responses[str(status) if status < 400 else "4XX"]
            _validator(response["content"]["application/json"]["schema"]["$ref"]).validate(answer)


def check_event(name: str, data: Any) -> None:
    """Raise ValidationError for an event with a message, a board or a reply that isn't as described."""
    if name in _EVENTS:
        _validator(f"#/components/schemas/{_EVENTS[name]}").validate(data)


@cache
def _validator(ref: str) -> Draft202012Validator:
    schema: dict[str, Any] = _strict({"$ref": ref, "components": document()["components"]})
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _strict(schema: Any) -> Any:
    """Have every object with described fields take no others: what nobody has described isn't answered."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(one) for name, one in schema.items()}
    return {**made, "additionalProperties": False} if "properties" in made and made.get("type") == "object" else made
