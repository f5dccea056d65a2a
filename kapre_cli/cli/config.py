"""Defaults of options: ``--config`` files, and variables that are of no option.

Click itself reads the variables and converts the values. A file becomes Click's ``default_map``;
names and types in it are checked here, because Click ignores unknown names and converts ``"3"``.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from kapre_cli.cli.hints import hint_text
from kapre_cli.cli.options import (
    VARIABLE_PREFIX,
    Group,
    Option,
    WholeNumber,
    as_option,
    long_name,
    long_names,
)
from kapre_cli.errors import KapreExtractError, SettingsError, UsageError
from kapre_cli.text import Argument, Text, quoted

_FILE = "kapre_cli.config"
_DEFAULTS = "kapre_cli.defaults"  # of options, with the file of each, by parameter name
SHOWS_CONFIG = "kapre_cli.show_config"  # whether the current command prints its options

_MAX_BYTES = 2**18
# The parser stores every beginning of a dotted key: one of n parts needs memory for n * n.
_MAX_DOTS = 64
_MAX_BITS = 2**9  # of an integer
_MAX_SHOWN = 100  # characters

_Options = dict[str, click.Option]


def unknown_variables(program: click.Group, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable with the prefix of options, but of no option."""
    if not any(one.startswith(VARIABLE_PREFIX) for one in environment):
        return
    variables = {
        name: str(option.envvar)
        for command in all_commands(program).values()
        for name, option in long_names(command).items()
        if option.envvar
    }
    for variable in sorted({*environment}.difference(variables.values())):
        name = variable.removeprefix(VARIABLE_PREFIX)
        if name != variable and environment[variable]:
            owners = dict.fromkeys(variables, ())
            hint = hint_text(name, variables, owners, variables.__getitem__)
            yield f"the variable {variable} is of no option, and is ignored{hint}"


def all_commands(program: click.Command) -> Mapping[str, click.Command]:
    """Return the commands of a program by name, those of other packages included."""
    if not isinstance(program, click.Group):
        return {}
    program.list_commands(click.get_current_context())  # adds those of other packages
    return program.commands


def config_file() -> Path | None:
    """Return the ``--config`` file of the current command, if there is one."""
    return click.get_current_context().meta.get(_FILE)


def add_defaults(
    ctx: click.Context, path: Path, values: Mapping[str, Any], *, overrides: bool = False
) -> None:
    """Make the values of a file defaults of options, by parameter name.

    They override those of another file or not. ``None`` stands for the default of the option.
    """
    before = ctx.meta.get(_DEFAULTS, {})
    added = {name: (path, value) for name, value in values.items()}
    defaults = before | added if overrides else added | before
    ctx.meta[_DEFAULTS] = defaults
    ctx.default_map = {name: value for name, (_, value) in defaults.items() if value is not None}


def with_source(error: click.ClickException) -> click.ClickException:
    """Return an error about an option's value that names its variable or file."""
    ctx, option = getattr(error, "ctx", None), getattr(error, "param", None)
    if not (isinstance(error, click.BadParameter) and ctx and isinstance(option, click.Option)):
        return error
    source = ctx.get_parameter_source(option.name or "")
    if source is ParameterSource.ENVIRONMENT:
        origin = f"the variable {option.envvar}"
    elif (path := _file_of(ctx, option)) is not None:
        origin = f"{quoted(path)}: {long_name(option)}"
    else:
        return error
    return click.UsageError(f"{origin}: {error.message}", ctx)


def _file_of(ctx: click.Context, option: click.Option) -> Path | None:
    """Return the file that an option's value is from, if it is from one."""
    name = option.name or ""
    if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT_MAP:
        return None
    path: Path = ctx.meta[_DEFAULTS][name][0]
    return path


def sources_text(ctx: click.Context, error: SettingsError) -> str:
    """Return the end of the message of an error: which files set arguments in it."""
    options = {f"--{name}": option for name, option in long_names(ctx.command).items()}
    names: dict[Path, dict[str, None]] = {}
    for part in Text(error).parts:
        name = as_option(Argument(part.name)) if isinstance(part, Argument) else ""
        path = _file_of(ctx, options[name]) if name in options else None
        if path is not None:
            names.setdefault(path, {})[name] = None
    return "".join(f"; {quoted(path)} sets {' and '.join(one)}" for path, one in names.items())


def _read(ctx: click.Context, _option: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    commands = all_commands(ctx.find_root().command)
    options = {name: _options(one) for name, one in commands.items()}
    ctx.meta[_FILE] = path
    add_defaults(ctx, path, _config_defaults(path, ctx.info_name or "", options))


def _show(ctx: click.Context, _option: click.Parameter, is_shown: bool) -> None:
    ctx.meta[SHOWS_CONFIG] = is_shown


CONFIG_OPTIONS = (
    Option(
        "--config",
        group=Group.GENERAL,
        type=click.Path(path_type=Path),
        is_eager=True,  # before the options that it has defaults for
        expose_value=False,
        callback=_read,
        help="Read options from a TOML file. They have their long names, at its top or in a table "
        "named after the command. The command line and the environment take precedence.",
    ),
    Option(
        "--show-config",
        group=Group.GENERAL,
        expose_value=False,
        allow_from_autoenv=False,
        callback=_show,
        help="Print all options as a TOML file for --config, and do nothing else.",
    ),
)


def _options(command: click.Command) -> _Options:
    """Return the options that a file may have, by their long names.

    Those that choose a file or an output to read options from are none of them.
    """
    own = {long_name(one) for one in CONFIG_OPTIONS}
    return {
        name: one
        for name, one in long_names(command).items()
        if one.expose_value and name not in own
    }


def config_text(ctx: click.Context) -> str:
    """Return a ``--config`` file with which a command does what it does now."""
    lines = [f"[{ctx.info_name}]"]
    for option in _options(ctx.command).values():
        value = ctx.params[option.name or ""]
        is_given = ctx.get_parameter_source(option.name or "") is not ParameterSource.DEFAULT
        if value is None and is_given:
            value = "none"  # an option that is explicitly None
        lines.append(config_line(ctx, option, value))
    return "\n".join(lines)


def config_line(ctx: click.Context, option: click.Option, value: Any) -> str:
    """Return a line of a ``--config`` file: an option's value, or a comment if it has none."""
    name = long_name(option)
    if value is None or value == ():
        default = option.get_help_extra(ctx).get("default", "")
        return f"# {name}: {str(default).strip('()') or 'not set'}"
    try:
        return toml(name, [*value] if option.multiple else value)
    except KapreExtractError as error:
        raise click.UsageError(f"--{name}: {error}", ctx) from error


def _config_defaults(path: Path, name: str, options: Mapping[str, _Options]) -> dict[str, Any]:
    """Return a file's values for the command ``name``, by parameter name.

    ``options`` has the options of every command by their long names. Raise UsageError, which names
    the file and the option, if the file cannot be read, has an option that no command has, one
    twice, or a value of another type.
    """
    stored = _toml_of(path)
    all_options = {key: option for known in options.values() for key, option in known.items()}
    owners = {key: [one for one in options if key in options[one]] for key in all_options}
    top = {key: value for key, value in stored.items() if key not in options}
    tables = {f"{key}.": value for key, value in stored.items() if key in options}
    defaults: dict[str, Any] = {}
    for prefix, values in {"": top, **tables}.items():
        command = prefix[:-1]
        if not isinstance(values, dict):
            raise UsageError(
                f"{quoted(path)}: {command} is a command; write its options in a table [{command}]"
            )
        allowed = options[command] if command else all_options
        seen = set()
        for written, value in values.items():
            key = written.replace("_", "-")
            if key not in allowed:
                raise UsageError(
                    f"{quoted(path)}: there is no option {quoted(prefix + written)}"
                    f"{hint_text(written, allowed, owners, str)}"
                )
            if key in seen:
                raise UsageError(f"{quoted(path)}: {prefix}{key} is given twice")
            seen.add(key)
            _check_type(path, prefix + key, value, allowed[key])
            if command in ("", name) and key in options[name]:
                defaults[options[name][key].name or ""] = value
    return defaults


def _toml_of(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):  # not needed for --help
        import tomllib
    else:
        import tomli as tomllib

    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{quoted(path)} cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(
            f"{quoted(path)} has more than {_MAX_BYTES:,} bytes, too many for a file of options; "
            "name another"
        )
    # Only without multi-line strings is a line that begins with # certainly a comment.
    has_comments = not (b'"""' in content or b"'''" in content)
    for number, line in enumerate(content.split(b"\n"), 1):
        is_comment = has_comments and line.lstrip(b" \t").startswith(b"#")
        if line.count(b".") > _MAX_DOTS and not is_comment:
            raise UsageError(
                f"{quoted(path)}: line {number} has more than {_MAX_DOTS} dots, which no option "
                "needs"
            )
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{quoted(path)} is not TOML: {error}") from error


def _check_type(path: Path, name: str, value: Any, option: click.Option) -> None:
    kinds, rule = _kinds(option)
    values = value if option.multiple and isinstance(value, list) else [value]
    if any(isinstance(one, int) and one.bit_length() > _MAX_BITS for one in values):
        raise UsageError(
            f"{quoted(path)}: {name} is a number of more than {_MAX_BITS} bits; write a smaller one"
        )
    if any(isinstance(one, str) and "\0" in one for one in values):
        raise UsageError(f"{quoted(path)}: {name} has a NUL in it, which no name has; remove it")
    is_list = isinstance(value, list)
    if is_list != option.multiple or not all(type(one) in kinds for one in values):
        raise UsageError(f"{quoted(path)}: {name} must be {rule}, not {_value_text(value)}")


def _value_text(value: Any) -> str:
    """Return a value as messages show it, shortened if it is long."""
    import json  # not needed for --help

    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and any(isinstance(one, (list, dict)) for one in value):
        return "a list of lists or tables"
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."


def _kinds(option: click.Option) -> tuple[tuple[type, ...], str]:
    """Return the types that an option's value may have in a file, and what it must be."""
    if option.is_flag:
        return (bool,), "true or false"
    if isinstance(option.type, WholeNumber):  # its own type accepts 16000.0
        return (int, float), "a list of integers" if option.multiple else "an integer"
    if isinstance(option.type, (click.types.FloatParamType, click.FloatRange)):
        return (int, float), "a number"
    if isinstance(option.type, (click.Choice, click.Path, click.types.StringParamType)):
        return (str,), "a string"
    return (str, int, float), "a string or a number"


def toml(name: str, value: Any) -> str:
    r"""Return a named value as TOML: a boolean, a number, a list, or else text.

    Unprintable characters are escaped. Raise UsageError for text that is not Unicode, such as a
    path that is not UTF-8.

    >>> print(toml("output", Path('a "b"')))
    output = "a \"b\""
    """
    import tomli_w  # not needed for --help

    plain = value if isinstance(value, (bool, int, float, list)) else str(value)
    written = tomli_w.dumps({name: plain}).removesuffix("\n")
    try:
        written.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{quoted(value)} is not UTF-8, which TOML must be") from None
    return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in written)
