"""A model of Keras 2 with a layer that computes as those of kapre 0.1.7 did.

    python -m tests.kapre_01 docs/kapre_01_model.h5

The layer is written from the documentation of kapre 0.1.7 and compared with a reference in
``tests/test_from_kapre.py``. Its weights have the names, the shapes and the order of kapre's.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal
import tensorflow as tf
import tf_keras
from librosa.filters import mel as mel_matrix

from tests import reference

Array = npt.NDArray[Any]

OPTIONS: dict[str, Any] = {"n_dft": 64, "n_hop": 24}
MEL: dict[str, Any] = {"sr": 8000, "n_mels": 8, "fmin": 100.0, "norm": None}
N_SAMPLES = 1003


def kernels(n_dft: int) -> tuple[Array, Array]:
    """Return the kernels that kapre 0.1 began with, each of shape ``(n_dft, 1, 1, n_freq)``.

    They are the transform of every single sample, windowed.
    """
    window = scipy.signal.get_window("hann", n_dft, fftbins=True)
    spectra = (window[:, np.newaxis] * scipy.fft.rfft(np.eye(n_dft)))[:, np.newaxis, np.newaxis]
    return spectra.real.astype(np.float32), spectra.imag.astype(np.float32)


class KapreLayer(tf_keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """``Spectrogram`` of kapre 0.1.7, or ``Melspectrogram`` with the arguments ``mel``.

    ``(batch, channel, samples)`` becomes ``(batch, feature, time, channel)``: frequency before
    time, for ``image_data_format="channels_last"``. Its weights are attributes and nothing else,
    as with ``trainable_kernel=False``.
    """

    def __init__(
        self,
        n_dft: int,
        n_hop: int,
        mel: dict[str, Any] | None = None,
        exponent: float = 1.0,
        decibel: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_dft, self.n_hop, self.mel = n_dft, n_hop, mel
        self.exponent, self.decibel = exponent, decibel

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        real, imaginary = kernels(self.n_dft)
        self.dft_real_kernels = tf.Variable(real, name="real_kernels")
        self.dft_imag_kernels = tf.Variable(imaginary, name="imag_kernels")
        if self.mel is not None:
            matrix = mel_matrix(n_fft=self.n_dft, **self.mel)
            self.freq2mel = tf.Variable(matrix.T)
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Return the features of a batch."""
        n_channels, n_samples = inputs.shape[1:]
        each = tf.reshape(inputs, (-1, n_samples, 1, 1))
        parts = [
            tf.nn.conv2d(each, kernel, strides=(self.n_hop, 1), padding="SAME")[:, :, 0]
            for kernel in (self.dft_real_kernels, self.dft_imag_kernels)
        ]
        values = parts[0] ** 2 + parts[1] ** 2
        if self.mel is not None:
            values = values @ self.freq2mel
        values = tf.sqrt(values) ** self.exponent
        values = tf.reshape(values, (-1, n_channels, *values.shape[1:]))
        if self.decibel:
            log = 10 * tf.math.log(tf.maximum(values, 1e-10)) / np.log(10.0)
            log -= tf.reduce_max(log, axis=(1, 2, 3), keepdims=True)
            values = tf.maximum(log, -80.0)
        return tf.transpose(values, (0, 3, 2, 1))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        names = ("n_dft", "n_hop", "mel", "exponent", "decibel")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def trained_model(**options: Any) -> tf_keras.Model:
    """Return a model of one layer and a head, trained for some steps."""
    tf_keras.utils.set_random_seed(1)
    model = tf_keras.Sequential(
        [
            tf_keras.layers.Input((2, N_SAMPLES)),
            KapreLayer(**OPTIONS, **options, name="mel"),
            tf_keras.layers.GlobalAveragePooling2D(),
            tf_keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(tf_keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    signals = np.stack([reference.noise(2, N_SAMPLES, seed) for seed in range(8)])
    model.fit(signals, np.arange(8) % 2, epochs=5, batch_size=4, verbose=0)
    return model


def save(model: tf_keras.Model, path: Path) -> Path:
    """Save a model as HDF5, without the state of its optimiser."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5 file")
        model.save(path, include_optimizer=False)
    return path


if __name__ == "__main__":
    save(trained_model(mel=MEL), Path(sys.argv[1]))
