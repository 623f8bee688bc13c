"""What a person at a tool is told."""


class ToolError(Exception):
    """The command can't go on; its text is one line that names the thing and the remedy. The exit code is 1."""
