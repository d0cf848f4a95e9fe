"""The command group. Commands are imported when they run, so that help is instant."""

from __future__ import annotations

import difflib
import importlib
import sys

import click

from motiontok.cli.threads import prepare_threads

# Command -> its one-line help. The module motiontok.cli.<name> holds a click command
# of the same name (dashes become underscores).
COMMANDS = {
    "compare": "Train and measure methods side by side.",
    "convert": "Write a motion as another kind of file.",
    "decode": "Decode tokens to motion (BVH or npz).",
    "demo": "Train, encode, decode, retarget and render, on made-up clips.",
    "encode": "Encode motion capture into tokens.",
    "eval": "Measure a tokenizer on clips it has not seen.",
    "export": "Write encoder and decoder as programs for other runtimes.",
    "inspect": "Show what a file holds and how it is understood.",
    "pack": "Pack folders of clips into a store, for more than memory holds.",
    "plan": "Plan a motion along waypoints, a velocity profile or poses.",
    "render": "Draw a motion or a robot as video or picture.",
    "retarget": "Put a motion on a robot by inverse kinematics.",
    "robots": "List the robots, or show one.",
    "sample": "Draw new motion from a prior.",
    "serve": "Serve codes and robot states over ZeroMQ.",
    "train": "Train a tokenizer.",
    "train-prior": "Train a prior over a tokenizer's codes.",
    "view": "Play a motion or tokens in the browser.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        attribute = name.replace("-", "_")
        command = getattr(importlib.import_module(f"motiontok.cli.{attribute}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            guess = f"did you mean {near[0]}? " if near else ""
            ctx.fail(f"no command {args[0]!r}: {guess}choose from {', '.join(COMMANDS)}")
        # An empty path would be the present folder.
        if any(not arg or (arg.startswith("--") and arg.endswith("=")) for arg in args):
            ctx.fail("an argument is empty; is a variable of the shell not set?")
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            _refuse_many_robots(ctx, command, rest)
        return name, command, rest


def _refuse_many_robots(ctx: click.Context, command: click.Command, args: list[str]) -> None:
    """Refuse a second ``--robot`` of a command that takes one: Click would drop the first.

    Raises:
        click.UsageError: it is given again.
    """
    with click.Context(command, ctx, info_name=command.name) as inner:
        try:
            _, _, order = command.make_parser(inner).parse_args(list(args))
        except click.UsageError:
            return  # the command reports it
        for option in order:
            single = isinstance(option, click.Option) and not option.multiple
            if single and "--robot" in option.opts and (times := order.count(option)) > 1:
                inner.fail(
                    f"--robot is given {times} times: {command.name} takes one; run it once for "
                    "each robot"
                )


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"motiontok {version('motiontok')}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Human motion capture to short discrete tokens and back into robot motion."""
    ctx.obj = {"debug": debug}
    prepare_threads()


def main() -> None:
    """Run the command line; errors a user can cause are printed as one line.

    Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
    """
    debug = "--debug" in sys.argv
    if debug:
        # Accepted anywhere on the line, also behind the command.
        sys.argv = [a for a in sys.argv if a != "--debug"]
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        if len(sys.argv) > 1:
            click.echo(f"error: {_usage(error)}", err=True)
        else:
            error.show()  # the whole help
        sys.exit(error.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        code, message = _explain(error)
        from bvh.remarks import printable

        # Names in a file may hold control characters of terminals.
        click.echo(f"error: {printable(' '.join(message.split()))}", err=True)
        sys.exit(code)


def _usage(error: click.ClickException) -> str:
    """The fault of the command line, and where its help is, in one line."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context else message


def _explain(error: Exception) -> tuple[int, str]:
    """Exit code and message of an error."""
    from bvh.errors import BVHError
    from motiontok.errors import InputError, MotiontokError
    from motiontok.memory_shortage import shortage

    if isinstance(error, InputError | BVHError):
        return 2, str(error)
    if isinstance(error, MotiontokError):
        return 1, str(error)
    if short := shortage(error):
        return 1, f"{short}; ask for less, or for it in smaller parts"
    if isinstance(error, OSError) and error.filename is not None:
        return 1, f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError):
        return 1, str(error)
    return 1, f"unexpected {type(error).__name__}: {error}; --debug shows where"


if __name__ == "__main__":
    main()
