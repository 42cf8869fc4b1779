"""Prints what an epoch of `cnn` takes in PyTorch: JSON with seconds of each.

It is the network, the augmentation and the optimizer that ship, by hand, for grey
images. Usage: ``python torch_fit.py ARRAYS.npz BATCH_SIZE EPOCHS``, with ``items``,
uint8 ``(n, height, width, 1)``, and ``targets``.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn

FILTERS, UNITS, DROPOUT = (24, 48, 96), 128, 0.4
SHIFT, ZOOM = 0.07, 0.1
RATE, MOMENTUM = 0.05, 0.9


def resampled(size: int, offset: Any, stretch: Any) -> Any:
    """Matrices ``(batch, size, size)``; see `headrace.models.cnn`."""
    places, middle = torch.arange(size, dtype=torch.float32), (size - 1) / 2
    source = (stretch + 1) * (places - middle) + (offset + middle)
    return torch.relu(1 - (source[:, :, None] - places).abs())


def augmented(images: Any) -> Any:
    """Images ``(batch, channels, height, width)``, shifted and zoomed a little."""
    height, width = images.shape[2:]
    random = torch.erf(torch.randn(len(images), 4) * 0.5**0.5)
    rows = resampled(height, SHIFT * height * random[:, :1], ZOOM * random[:, 1:2])
    columns = resampled(width, SHIFT * width * random[:, 2:3], ZOOM * random[:, 3:])
    return torch.einsum("bih,bchw,bjw->bcij", rows, images, columns)


def network(height: int, width: int, classes: int) -> Any:
    """Blocks of a convolution, a maximum, a normalization and a ReLU; then two layers.

    Its momentum is the share of the new average, 0.1 where Keras's is 0.9.
    """
    layers: list[Any] = []
    channels = 1
    for count in FILTERS:
        layers.append(nn.Conv2d(channels, count, 3, padding="same", bias=False))
        layers += [nn.MaxPool2d(2), nn.BatchNorm2d(count, momentum=0.1), nn.ReLU()]
        channels, height, width = count, height // 2, width // 2
    layers += [nn.Flatten(), nn.Dropout(DROPOUT)]
    layers += [nn.Linear(channels * height * width, UNITS), nn.ReLU()]
    layers.append(nn.Linear(UNITS, classes))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def main() -> None:
    """Measure."""
    path, batch_size, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with np.load(path) as arrays:
        items = torch.from_numpy(arrays["items"]).permute(0, 3, 1, 2)
        targets = torch.from_numpy(arrays["targets"].astype(np.int64))
    net = network(*items.shape[2:], int(targets.max()) + 1).train()
    rule = torch.optim.SGD(net.parameters(), RATE, MOMENTUM, nesterov=True, fused=True)
    steps = epochs * -(-len(items) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(rule, steps)
    seconds = []
    for _ in range(epochs):
        began = time.perf_counter()
        for rows in torch.randperm(len(items)).split(batch_size):
            batch = augmented(items[rows].to(torch.float32) / 255)
            loss = nn.functional.cross_entropy(net(batch), targets[rows])
            rule.zero_grad()
            loss.backward()
            rule.step()
            schedule.step()
        seconds.append(time.perf_counter() - began)
    sys.stdout.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main()
