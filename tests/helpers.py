"""What the portable tests share. Runs on CPython and on MicroPython."""


def raises(kind, function, *arguments):
    """Call function; returns the exception of this kind that it must raise."""
    try:
        function(*arguments)
    except kind as error:
        return error
    raise AssertionError("%s was not raised" % kind.__name__)
