"""The names of commands that later versions will have."""

import click

_NAMES = ("plot", "merge")


def _reserved(name: str) -> click.Command:
    def refuse() -> None:
        raise click.UsageError(
            f"The command {name!r} is reserved for a later version; this one has spectrogram and "
            "melspectrogram. kapre_cli.open_features reads outputs from Python."
        )

    return click.Command(
        name,
        callback=refuse,
        hidden=True,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


RESERVED = tuple(_reserved(name) for name in _NAMES)
