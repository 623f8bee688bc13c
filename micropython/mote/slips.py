"""What a line of the program asks for and can't have. Loaded by a slip alone."""

from agent.errors import UsageError


def no_period(seconds: float) -> None:
    """Raise agent.errors.UsageError for a sensor that nobody could ever read."""
    raise UsageError("every: %r s is no time from one run to the next; 30 or so, 0.001 at least" % (seconds,))


def no_word(word: str) -> None:
    """Raise agent.errors.UsageError for a command that no message could name."""
    raise UsageError("command: %r is not one word; what follows the word is in command.words" % (word,))
