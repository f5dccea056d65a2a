"""The ``Melspectrogram`` layer."""

import warnings
from typing import Any

import keras
from keras import ops

from kapre_cli.layers import steps
from kapre_cli.layers.configs import MelspectrogramConfig
from kapre_cli.layers.filterbank import band_groups, empty_bands_warning, filterbank_of
from kapre_cli.layers.spectrogram import LayerWarning, Shape, Spectrogram
from kapre_cli.layers.steps import Tensor


class EmptyMelBandsWarning(LayerWarning):
    """Some mel bands have no frequency bin: they are 0 for any input."""


@keras.saving.register_keras_serializable(package="kapre_cli")
class Melspectrogram(Spectrogram):
    """Power of the short-time Fourier transform, summed into mel bands.

    ``(mel @ |X|^2) ** (power_melgram / 2)``, where ``mel`` is the matrix of triangular bands
    that ``librosa.filters.mel`` gives for the same arguments. Its scale is that of the Auditory
    Toolbox (M. Slaney, Interval Research Technical Report 1998-010), or that of the Hidden Markov
    Model Toolkit (S. Young et al., The HTK Book, eq. 5.13).

    Args:
        sr: Sample rate of the input in Hz, above 0.
        n_mels: Number of mel bands, at least 1.
        fmin: Lower edge of the lowest band in Hz, at least 0.
        fmax: Upper edge of the highest band in Hz, above ``fmin`` and at most ``sr / 2``.
            ``None``: ``sr / 2``.
        power_melgram: Exponent of the result, above 0: 2 for power, 1 for amplitude.
        return_decibel_melgram: Return decibels, ``max(d - max(d), -80)`` with
            ``d = 10 * log10(max(v, amin))``, where ``v`` is what the layer returns otherwise and
            ``max(d)`` the largest value of the example. Every example has its own reference.
            ``amin`` is an argument of :class:`Spectrogram`.
        trainable_fb: Make the mel matrix a trainable weight of shape ``(n_freq, n_mels)``, which
            optimisers keep from going below 0. A large step (1e-2 with Adam) can take all weights
            of a band to 0, from where no gradient brings them back: use a small rate, such as 1e-3.
        htk: Use HTK's mel scale instead of Slaney's.
        norm: ``"slaney"`` gives every band the same area, a number or infinity divides each
            band by that p-norm of its weights, ``None`` leaves every peak at 1.
        **kwargs: The arguments of :class:`Spectrogram` and of every Keras layer.
            ``power_spectrogram`` must stay 2.0 and ``return_decibel_spectrogram`` ``False``.

    Input shape:
        As :class:`Spectrogram`.

    Output shape:
        ``(batch, channel, n_mels, n_time)`` for ``"channels_first"``,
        ``(batch, n_mels, n_time, channel)`` for ``"channels_last"``.

    Raises:
        ValueError: As :class:`Spectrogram`.

    Warns:
        LayerWarning: As :class:`Spectrogram`.
        EmptyMelBandsWarning: If bands are so narrow that no frequency bin falls into them.

    >>> import numpy as np
    >>> layer = Melspectrogram(
    ...     sr=8000, n_mels=10, n_dft=256, image_data_format="channels_last"
    ... )
    >>> layer(np.zeros((1, 2, 8000), "float32")).shape
    TensorShape([1, 10, 63, 2])
    """

    config_class: type[MelspectrogramConfig] = MelspectrogramConfig

    sr: float
    n_mels: int
    fmin: float
    fmax: float
    power_melgram: float
    return_decibel_melgram: bool
    trainable_fb: bool
    htk: bool
    norm: str | float | None

    def __init__(
        self,
        sr: float = 22050,
        n_mels: int = 128,
        fmin: float = 0.0,
        fmax: float | None = None,
        power_melgram: float = 1.0,
        return_decibel_melgram: bool = False,
        trainable_fb: bool = False,
        htk: bool = False,
        norm: str | float | None = "slaney",
        **kwargs: Any,
    ) -> None:
        of_layer = self._pop_arguments(kwargs)
        is_input_format_given = of_layer.get("input_data_format") is not None
        if not is_input_format_given:
            of_layer.pop("input_data_format", None)
        config = self.config_class(
            sr=sr,
            n_mels=n_mels,
            fmin=fmin,
            fmax=fmax,
            power_melgram=power_melgram,
            return_decibel_melgram=return_decibel_melgram,
            trainable_fb=trainable_fb,
            htk=htk,
            norm=norm,
            **of_layer,
        )
        self._configure(config, is_input_format_given=is_input_format_given, **kwargs)
        filterbank = filterbank_of(config)
        if trainable_fb:
            self._bins_to_bands = filterbank.dense().T
        self._groups = list(band_groups(filterbank))
        if warning := empty_bands_warning(filterbank, config):
            warnings.warn(str(warning), EmptyMelBandsWarning, stacklevel=2)

    def build(self, input_shape: Shape) -> None:
        """Create the weights, if there are any."""
        super().build(input_shape)
        if self.trainable_fb:
            self.mel_filterbank = self.add_weight(
                shape=self._bins_to_bands.shape,
                initializer=steps.initializer(self._bins_to_bands),
                autocast=False,
                # Weights below 0 are raised to 0 in `transform`: they would get no gradient.
                constraint=keras.constraints.NonNeg(),
                name="mel_filterbank",
            )

    @property
    def _is_trained(self) -> bool:
        """Whether the transform has weights."""
        return self.config.trainable_kernel or self.trainable_fb

    def transform(self, signal: Tensor) -> Tensor:
        """Return the features of each frame, without padding and last step.

        Args:
            signal: Shape ``(batch, channel, samples)``, at least ``n_dft`` samples.

        Returns:
            Shape ``(batch, channel, n_time, n_mels)``; frame ``i`` depends on samples
            ``i * n_hop`` to ``i * n_hop + n_dft - 1`` alone.
        """
        power, dtype = self._power(signal), self._working_dtype
        if self.trainable_fb:
            bands = ops.matmul(power, ops.convert_to_tensor(self.mel_filterbank, dtype=dtype))
            # Assigned weights may be below 0; a power cannot.
            bands = ops.maximum(bands, 0.0)
        else:
            bands = steps.sum_bands(power, self._groups)
        return steps.raise_to(bands, self.config.power_exponent)
