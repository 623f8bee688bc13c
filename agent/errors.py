"""Whose fault was it? The peer's bytes raise ParseError, our caller raises UsageError."""


class AgentError(Exception):
    """Parent of everything the core raises."""


class ParseError(AgentError):
    """The peer's bytes are not what the grammar asks for.

    detail: a constant ASCII text that says what was expected.
    status: the final response that a request of this kind deserves, 400..699.
    """

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


class UsageError(AgentError):
    """Our caller asked for what can't be done; the text names the thing and the remedy."""
