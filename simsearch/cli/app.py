"""The group of all commands; a command's module is imported when it is asked for."""

from __future__ import annotations

import difflib
import importlib

import click

# In the order of the help. The modules import click alone; the rest comes when a command runs.
COMMANDS = {
    "index": "simsearch.cli.index",
    "query": "simsearch.cli.query",
    "ui": "simsearch.cli.serving.ui",
    "serve": "simsearch.cli.serving.serve",
    "dedup": "simsearch.cli.duplicates.dedup",
    "leaks": "simsearch.cli.duplicates.leaks",
    "compare": "simsearch.cli.duplicates.compare",
    "undo": "simsearch.cli.duplicates.undo",
    "purge": "simsearch.cli.duplicates.purge",
    "verdicts": "simsearch.cli.duplicates.verdicts",
    "eval": "simsearch.cli.quality.evaluate",
    "finetune": "simsearch.cli.quality.finetune",
    "explain": "simsearch.cli.quality.explain",
    "info": "simsearch.cli.info",
}
MAINTENANCE = {
    "verify": "simsearch.cli.maintenance.verify",
    "rebuild": "simsearch.cli.maintenance.rebuild",
    "compact": "simsearch.cli.maintenance.compact",
    "remove": "simsearch.cli.maintenance.remove",
    "export": "simsearch.cli.maintenance.export",
    "import": "simsearch.cli.maintenance.importing",
    "models": "simsearch.cli.backbones.models",
    "weights": "simsearch.cli.backbones.weights",
}


class LazyGroup(click.Group):
    """A group that knows the names of its commands and imports none of them before it has to."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help."""
        return [*COMMANDS, *MAINTENANCE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command `cmd_name`, or None."""
        module = {**COMMANDS, **MAINTENANCE}.get(cmd_name)
        if module is None:
            return None
        command = importlib.import_module(module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.command is not a click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        name = args[0]
        if name not in self.list_commands(ctx) and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Everyday commands first, then those that look after an index."""
        for title, names in (("Commands", COMMANDS), ("Maintenance", MAINTENANCE)):
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                if command is not None:
                    rows.append((name, command.get_short_help_str(formatter.width - 20)))
            with formatter.section(title):
                formatter.write_dl(rows)


def _print_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from simsearch import __version__

        click.echo(f"simsearch {__version__}")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def app() -> None:
    """Find photos that look alike.

    \b
    simsearch index ~/Pictures          make or renew the index
    simsearch query holiday.jpg -k 5    what looks most like this one?
    simsearch dedup                     which photos are copies of each other?

    The answer goes to stdout; progress and errors go to stderr. Exit codes: 0 done, 1 error, 2 wrong usage,
    3 the check ran and found something, 130 interrupted.
    """
