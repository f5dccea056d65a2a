"""Draw the bands that an output was made with, beside the mel bands that they began as."""

import matplotlib.pyplot as plt
import numpy as np

import kapre_cli as kx

with kx.open_features("learned.h5") as features:
    layer, learned = features.layer, features.weights.arrays["mel_filterbank"]
began = layer.keras_layer()
began.build((None, 1, None))
hertz = np.arange(layer.n_freq) * layer.sr / layer.n_dft

figure, parts = plt.subplots(1, 2, figsize=(8, 3), sharex=True, sharey=True, layout="constrained")
for part, title, matrix in (
    (parts[0], "Before training", began.get_weights()[0]),
    (parts[1], "After training", learned),
):
    part.plot(hertz, matrix)
    part.set(title=title, xlabel="Frequency (Hz)", xlim=(2800, 5700))
    for song in (4000, 4150):
        part.axvline(song, color="gray", linestyle=":", zorder=0)
parts[0].set_ylabel("Weight")
figure.savefig("learned.png", dpi=100)
