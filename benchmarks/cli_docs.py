"""Writes docs/cli.md from every command's own --help: python -m benchmarks.cli_docs"""

from __future__ import annotations

from pathlib import Path

import click

from simsearch.cli.app import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
HEAD = """# The command line

Written by `python -m benchmarks.cli_docs` from each command's `--help`.

stdout holds the answer and nothing else; progress, notes and errors go to stderr. Exit status: 0 done,
1 error, 2 wrong usage, 3 a check ran and found something (`verify`, `leaks`, `compare`, `finetune`,
`index --strict`), 130 Ctrl-C.
"""


def page() -> str:
    """The whole of docs/cli.md."""
    parts = [HEAD, section(app, "simsearch")]
    context = click.Context(app, info_name="simsearch")
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        if command is not None:
            parts.append(section(command, f"simsearch {name}"))
        if isinstance(command, click.Group):
            parts += [section(sub, f"simsearch {name} {sub.name}") for sub in command.commands.values()]
    return "\n".join(parts)


def section(command: click.Command, name: str) -> str:
    """A heading and the help of one command, 100 columns wide."""
    settings = {**app.context_settings, "terminal_width": 100, "max_content_width": 100}
    context = click.Context(command, info_name=name, **settings)
    return f"## {name}\n\n```\n{command.get_help(context).rstrip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
