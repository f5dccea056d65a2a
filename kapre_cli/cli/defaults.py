"""What options are if the command line does not say: the environment, then ``--config``.

Every command gets this where it is added to the program, so that no option need know of it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from click.core import ParameterSource

from kapre_cli.cli.config_file import Options, config_defaults, toml
from kapre_cli.cli.help_text import Group, Option
from kapre_cli.cli.option_names import long_name, near_hint, option_hint
from kapre_cli.errors import KapreExtractError, quoted, writing
from kapre_cli.report import ExitCode

_PREFIX = "KAPRE_EXTRACT_"
GENERAL = ("config", "show_config")  # the options that this gives to every command

_FILE = "kapre_cli.config"
SHOWS_CONFIG = "kapre_cli.show_config"  # whether the current command prints its options


def with_defaults(command: click.Command) -> click.Command:
    """Let a command's options have defaults in the environment and in a file, and be shown.

    The variable of ``--n-dft`` is ``KAPRE_EXTRACT_N_DFT``.
    """
    for name, option in _options(command).items():
        option.envvar = _PREFIX + name.upper().replace("-", "_")
    command.params += [
        Option(
            "--config",
            group=Group.GENERAL,
            type=click.Path(path_type=Path),
            envvar=f"{_PREFIX}CONFIG",
            is_eager=True,  # before the options that it has defaults for
            expose_value=False,
            callback=_read,
            help="Read options from a TOML file. They have their long names, and stand at its top "
            "or in a table named after the command. The command line and the environment take "
            "precedence.",
        ),
        Option(
            "--show-config",
            group=Group.GENERAL,
            is_flag=True,
            expose_value=False,
            callback=_show,
            help="Print all options as a TOML file for --config, and do nothing else.",
        ),
    ]
    return command


def unknown_variables(program: click.Group, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that looks like one of an option, and is of none."""
    every = {
        long_name(one): str(one.envvar)
        for command in program.commands.values()
        for one in command.params
        if isinstance(one, click.Option) and one.envvar
    }
    for variable in sorted({*environment}.difference(every.values())):
        name = variable.removeprefix(_PREFIX)
        if name == variable or not environment[variable]:
            continue
        spelled = every.__getitem__
        hint = option_hint(name, every, dict.fromkeys(every, ()), spelled)
        hint = hint or near_hint(name, every, spelled)
        more = f"; {hint}" if hint else ""
        yield f"the variable {variable} is of no option, and is ignored{more}"


def config_file() -> Path | None:
    """Return the file that the current command took options from, if there is one."""
    return click.get_current_context().meta.get(_FILE)


def blamed(error: click.ClickException) -> click.ClickException:
    """Return an error about an option's value as one that says where the value stands."""
    ctx, option = getattr(error, "ctx", None), getattr(error, "param", None)
    if not (isinstance(error, click.BadParameter) and ctx and isinstance(option, click.Option)):
        return error
    source = ctx.get_parameter_source(option.name or "")
    if source is ParameterSource.ENVIRONMENT:
        place = f"the variable {option.envvar}"
    elif source is ParameterSource.DEFAULT_MAP:
        place = f"{quoted(ctx.meta[_FILE])}: {long_name(option)}"
    else:
        return error
    return click.UsageError(f"{place}: {error.message}", ctx)


def _read(ctx: click.Context, _option: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    commands = getattr(ctx.find_root().command, "commands", {})
    options = {name: _options(one) for name, one in commands.items()}
    ctx.meta[_FILE] = path
    ctx.default_map = config_defaults(path, ctx.info_name or "", options)


def _show(ctx: click.Context, _option: click.Parameter, is_shown: bool) -> None:
    ctx.meta[SHOWS_CONFIG] = is_shown


def _options(command: click.Command) -> Options:
    """Return the options of a command by their long names, but for those of this module."""
    return {
        long_name(one): one
        for one in command.params
        if isinstance(one, click.Option) and one.callback not in (_read, _show)
    }


def print_config(ctx: click.Context) -> ExitCode:
    """Print the options of a command as a file for ``--config``."""
    text = config_text(ctx)
    with writing("standard output"):
        click.echo(text.encode())
    return ExitCode.OK


def config_text(ctx: click.Context) -> str:
    """Return a file that makes a command do what it would do now, with the same inputs."""
    lines = [f"[{ctx.info_name}]"]
    for name, option in _options(ctx.command).items():
        value = ctx.params[option.name or ""]
        is_given = ctx.get_parameter_source(option.name or "") is not ParameterSource.DEFAULT
        if value is None and is_given:
            value = "none"  # what an option that is None by its own choice is called
        if value is None or value == ():
            default = option.get_help_extra(ctx).get("default", "")
            lines.append(f"# {name}: {str(default).strip('()') or 'not set'}")
            continue
        try:
            lines.append(f"{name} = {toml([*value] if option.multiple else value)}")
        except KapreExtractError as error:
            raise click.UsageError(f"--{name}: {error}", ctx) from error
    return "\n".join(lines)
