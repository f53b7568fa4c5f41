"""The time of a training step in PyTorch, for comparison with face-ssd's example training_step: the
same layers, eight images of 352 x 352, everything trained, on as many threads as there are cores."""
import os
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(os.cpu_count())


class Affine(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x):
        return x * self.scale + self.shift


def conv(inputs, outputs, kernel, stride=1, dilation=1, bias=True):
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=bias)


class Block(nn.Module):
    def __init__(self, inputs, inner, outputs, stride, dilation):
        super().__init__()
        self.norm = Affine(inputs)
        self.conv1 = conv(inputs, inner, 3, stride)
        self.conv2 = conv(inner, outputs, 3, 1, dilation, False)
        self.shortcut = conv(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        active = F.relu(self.norm(x))
        return active, self.conv2(F.relu(self.conv1(active))) + self.shortcut(active)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.input, self.stem = Affine(3), conv(3, 32, 7, 2)
        self.first = nn.ModuleList([conv(32, 32, 3), conv(32, 32, 3, bias=False)])
        self.blocks = nn.ModuleList(
            [Block(32, 128, 128, 2, 1), Block(128, 256, 256, 2, 1), Block(256, 128, 256, 1, 2)]
        )
        self.last = Affine(256)
        extras = [(256, 128, 256, 2), (256, 64, 128, 2), (128, 64, 128, 1), (128, 64, 128, 1)]
        self.extras = nn.ModuleList(
            [nn.ModuleList([conv(i, m, 1), conv(m, o, 3, stride)]) for i, m, o, stride in extras]
        )
        self.scale = nn.Parameter(torch.full((1, 128, 1, 1), 20.0))
        heads = zip([128, 256, 256, 128, 128, 128], [11, 2, 2, 2, 2, 4])
        self.heads = nn.ModuleList(
            [nn.ModuleList([conv(c, 4 * p, 3), conv(c, 2 * p, 3)]) for c, p in heads]
        )

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem(self.input(x))), 3, 2, ceil_mode=True)
        x = self.first[1](F.relu(self.first[0](x))) + x
        _, x = self.blocks[0](x)
        active, x = self.blocks[1](x)
        _, x = self.blocks[2](x)
        maps = [F.normalize(active, dim=1) * self.scale, F.relu(self.last(x))]
        for conv1, conv2 in self.extras:
            maps.append(F.relu(conv2(F.relu(conv1(maps[-1])))))
        rows = lambda y, values: y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, values)
        deltas = [rows(head[0](y), 4) for head, y in zip(self.heads, maps)]
        logits = [rows(head[1](y), 2) for head, y in zip(self.heads, maps)]
        return torch.cat(deltas, 1), torch.cat(logits, 1)


for layout in (torch.contiguous_format, torch.channels_last):
    network = Network().to(memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters(), 4e-4, weight_decay=1e-4)
    images = torch.randn(8, 3, 352, 352).to(memory_format=layout)
    times = []
    for _ in range(5):
        start = time.time()
        deltas, logits = network(images)
        classes = torch.zeros(8 * 900, dtype=torch.long)
        loss = F.smooth_l1_loss(deltas[:, :300], torch.zeros(8, 300, 4))
        loss = loss + F.cross_entropy(logits[:, :900].reshape(-1, 2), classes)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10)
        optimizer.step()
        times.append(time.time() - start)
    print(f"{layout}: {sorted(times)[2]:.3f} s a step, median of {len(times)}")
