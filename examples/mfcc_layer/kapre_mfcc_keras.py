"""The Keras layer ``Mfcc``."""

from typing import Any

import keras
from kapre_mfcc import MfccConfig, dct_matrix
from keras import ops

from kapre_cli.time_frequency import Melspectrogram


@keras.saving.register_keras_serializable(package="kapre_mfcc")
class Mfcc(Melspectrogram):
    """Mel-frequency cepstral coefficients: the DCT of a mel-spectrogram in decibels.

    Args:
        n_mfcc: Number of coefficients, at most ``n_mels``.
        **kwargs: The arguments of :class:`kapre_cli.time_frequency.Melspectrogram`.

    Output shape:
        ``(batch, channel, n_mfcc, n_time)`` for ``"channels_first"``,
        ``(batch, n_mfcc, n_time, channel)`` for ``"channels_last"``.
    """

    config_class = MfccConfig
    config: MfccConfig

    def __init__(self, n_mfcc: int = 20, **kwargs: Any) -> None:
        super().__init__(n_mfcc=n_mfcc, **{"power_melgram": 2.0, **kwargs})

    def finish(self, features: Any) -> Any:
        """Return the coefficients of the power in mel bands."""
        decibels = super().finish(features)
        matrix = dct_matrix(self.config.n_mels, self.config.n_mfcc)
        return ops.matmul(decibels, ops.convert_to_tensor(matrix, dtype=decibels.dtype))
