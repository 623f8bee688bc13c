# command.py, where what was signed is remembered on flash.
import renaming  # noqa: F401 I001
import command  # noqa: F401
