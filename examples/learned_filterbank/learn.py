"""Learn a filterbank: its bands shall tell two crickets apart, 150 Hz from each other, in noise."""

import keras
import numpy as np

from kapre_cli import Melspectrogram

rng = np.random.default_rng(1)
species = rng.integers(0, 2, 600)
hertz = 4000 + 150 * species + rng.normal(0, 20, 600)
seconds = np.arange(4410) / 22050
songs = np.sin(2 * np.pi * hertz[:, None] * seconds) + rng.normal(0, 4, (600, 4410))
songs = songs[:, np.newaxis]  # one channel

keras.utils.set_random_seed(1)
bands = Melspectrogram(n_mels=4, fmin=3000, fmax=5500, norm=None, trainable_fb=True, name="bands")
model = keras.Sequential([keras.Input((1, 4410)), bands])
model.add(keras.layers.AveragePooling2D((1, 18)))  # over time
model.add(keras.layers.Flatten())
model.add(keras.layers.LayerNormalization())
model.add(keras.layers.Dense(1, activation="sigmoid"))
model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy", metrics=["accuracy"])
model.fit(songs[:400], species[:400].astype("float32"), batch_size=16, epochs=20, verbose=0)
model.save("learned.keras")

_, accuracy = model.evaluate(songs[400:], species[400:].astype("float32"), verbose=0)
print(f"{accuracy:.0%} of 200 songs that it has not heard")
