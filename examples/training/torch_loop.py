"""The loop of PyTorch over windows, with a loader of two processes."""

import torch
from torch.utils.data import DataLoader

import kapre_cli as kx

LABELS = {"bird.flac": 0, "pond/crickets.wav": 0, "pond/frogs.flac": 1, "vowels.wav": 1}
layer = kx.MelspectrogramConfig(sr=22050, n_mels=64, power_melgram=2.0, return_decibel_melgram=True)
kx.extract("sample_audio", "torch.h5", layer, overwrite=True)
features = kx.open_features("torch.h5")
windows = features.windows(seconds=0.5, hop=0.1, keys=LABELS, labels=LABELS, channel=0)
windows = windows.normalized(*windows.mean_std())
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
model(torch.zeros(1, *windows.shape))  # makes the weights

optimizer = torch.optim.Adam(model.parameters())
for _ in range(20):
    for x, y in DataLoader(windows.as_torch(), batch_size=16, shuffle=True, num_workers=2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

x, y = map(torch.from_numpy, windows[:])
print(f"{(model(x).argmax(1) == y).float().mean():.0%} of {len(windows)} windows are learned")
