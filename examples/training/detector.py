"""From an annotation table to a trained detector: is there a call, or background?"""

import keras

import kapre_cli as kx

keras.utils.set_random_seed(1)
layer = kx.MelspectrogramConfig(sr=22050, n_mels=64, power_melgram=2.0, return_decibel_melgram=True)
TABLE = "examples/training/calls.csv"
kx.extract(
    "sample_audio", "segments.h5", layer, segments=TABLE, reference="recording", overwrite=True
)
with kx.open_features("segments.h5") as features:
    windows = features.windows(seconds=0.1, hop=0.05, labels="label", channel=0)
    train, test = windows.split(0.6, seed=0)  # all segments of a recording are in one part
    mean, std = train.mean_std(axis=None)
    train, test = train.normalized(mean, std), test.normalized(mean, std)
    model = keras.Sequential([keras.Input(train.shape)])
    model.add(keras.layers.GlobalMaxPooling2D())
    model.add(keras.layers.Dense(len(train.classes), activation="softmax"))
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train.as_keras(batch_size=16, shuffle=True), epochs=50, verbose=0)
    _, accuracy = model.evaluate(test.as_keras(), verbose=0)
print(f"{accuracy:.0%} of {len(test)} windows are right: {' or '.join(test.classes)}")
