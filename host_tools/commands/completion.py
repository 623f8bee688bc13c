"""`sipmote completion`: what a shell reads to complete our commands and options."""

import argparse

from sipmote.console import Lines, Output

_FILES = ("FILE", "FILE.json", "MAIN.py")  # what stands for a file in a help text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote completion`."""
    parser.description = (
        "Print what lets a shell complete our commands and options. bash: the line source <(sipmote completion bash) "
        "in ~/.bashrc. zsh: write it into a file _sipmote in a folder of $fpath. fish: write it into "
        "~/.config/fish/completions/sipmote.fish."
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(args: argparse.Namespace) -> int:
    """Print it."""
    import shtab  # with all that follows, for who asks

    from sipmote.__main__ import whole_parser

    parser = whole_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            if action.metavar in _FILES or action.dest in ("dir", "folder", "link"):
                setattr(action, "complete", shtab.FILE)  # noqa: B010  # as shtab reads it
    script = shtab.complete(parser, shell=args.shell)
    Output(args.json).say({"event": "completion", "shell": args.shell, "script": script}, Lines(script.rstrip("\n")))
    return 0
