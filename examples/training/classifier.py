"""From a folder of recordings to a trained classifier: are the calls high or low?"""

import keras

import kapre_cli as kx

keras.utils.set_random_seed(1)
LABELS = {"bird.flac": "high", "pond/crickets.wav": "high"}
LABELS |= {"four microphones.wav": "low", "pond/frogs.flac": "low", "vowels.wav": "low"}
layer = kx.MelspectrogramConfig(sr=22050, n_mels=64, power_melgram=2.0, return_decibel_melgram=True)
kx.extract("sample_audio", "calls.h5", layer, overwrite=True)
with kx.open_features("calls.h5") as features:
    windows = features.windows(seconds=0.5, hop=0.1, keys=LABELS, labels=LABELS, channel=0)
    train, test = windows.split(0.6, seed=0)  # no recording is in both
    mean, std = train.mean_std()
    train, test = train.normalized(mean, std), test.normalized(mean, std)
    model = keras.Sequential([keras.Input(train.shape)])
    model.add(keras.layers.AveragePooling2D((1, train.n_frames)))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(len(train.classes), activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train.as_keras(batch_size=16, shuffle=True), epochs=50, verbose=0)
    _, accuracy = model.evaluate(test.as_keras(), verbose=0)
print(f"{accuracy:.0%} of {len(test)} windows of {' and '.join(test.keys)}")
