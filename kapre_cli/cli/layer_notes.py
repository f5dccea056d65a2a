"""What is said of a layer before the work: what is allowed and rarely meant."""

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from kapre_cli.cli.options.layer import as_option
from kapre_cli.report import Report
from kapre_cli.settings import LayerConfig


def warn_of_layer(config: LayerConfig, report: Report) -> None:
    """Say what is rarely meant, with options that would do; --verbose lists empty mel bands."""
    from kapre_cli.filterbank import layer_warnings  # NumPy only where it is needed

    for warning in layer_warnings(config, as_option, lists_bands=report.verbose):
        report.warn(warning)


def tell_of_layer(options: Mapping[str, Any], config: LayerConfig, report: Report) -> None:
    """Say before a run what is to be said of its layer."""
    _note_half_decibels(options, report)
    warn_of_layer(config, report)


def _note_half_decibels(options: Mapping[str, Any], report: Report) -> None:
    """Say that decibels of amplitude are half of the usual ones, if nobody asked for amplitude."""
    source = click.get_current_context().get_parameter_source("power")
    if options["decibel"] and options["power"] == 1.0 and source is ParameterSource.DEFAULT:
        report.say(
            "note: --decibel with the default --power 1 gives half of the usual decibels "
            "(10*log10 of amplitude); use --power 2 for decibels of power"
        )
