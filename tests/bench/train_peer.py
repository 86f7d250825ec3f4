"""Times a training step of PyTorch (forward, backward and Adam), as the test `benchmark_training_step` times ours. The best of seven.

    python tests/bench/train_peer.py THREADS [CASE]
"""

import pathlib
import sys
import time

import torch
from torch import nn

sys.path.append(str(pathlib.Path(__file__).parent.parent / "fixtures"))
# The first block of EfficientNet-Lite0 that learns.
CUT = 5


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding "SAME": the odd zero goes to the bottom and the right."""

    def forward(self, x):
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:]]
        if total[0] % 2 == 0 and total[1] % 2 == 0:
            return nn.functional.conv2d(x, self.weight, None, stride, [t // 2 for t in total], 1, self.groups)
        x = nn.functional.pad(x, [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2])
        return nn.functional.conv2d(x, self.weight, None, stride, 0, 1, self.groups)


class Block(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, expand):
        super().__init__()
        inner = inputs * expand
        self.path = nn.Sequential(
            SameConv(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner, 1e-3), nn.ReLU6(inplace=True),
            SameConv(inner, inner, kernel, stride, groups=inner, bias=False), nn.BatchNorm2d(inner, 1e-3), nn.ReLU6(inplace=True),
            SameConv(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs, 1e-3))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.path(x) if self.residual else self.path(x)


def lite0_upper():
    from backbones import STAGES
    blocks, inputs = [], 32
    for kernel, first, expand, outputs, repeats in STAGES:
        for i in range(repeats):
            blocks.append((inputs, outputs, kernel, first if i == 0 else 1, expand))
            inputs = outputs
    head = [SameConv(inputs, 1280, 1, bias=False), nn.BatchNorm2d(1280, 1e-3), nn.ReLU6(inplace=True)]
    # Evaluation mode keeps the statistics of batch normalisation. PyTorch is faster with the channels last here.
    model = nn.Sequential(*[Block(*block) for block in blocks[CUT:]], *head, nn.AdaptiveAvgPool2d(1))
    return model.eval().to(memory_format=torch.channels_last)


def resnet(arch):
    import torchvision
    model = getattr(torchvision.models, arch)(weights=None).train()
    model.fc = nn.Identity()
    return model


def main():
    torch.set_num_threads(int(sys.argv[1]))
    for case, shape in [("resnet18", [64, 3, 64, 64]), ("resnet50", [8, 3, 224, 224]), ("lite0-upper", [64, 40, 16, 16])]:
        if len(sys.argv) > 2 and sys.argv[2] != case:
            continue
        model, x = (lite0_upper() if case == "lite0-upper" else resnet(case)), torch.rand(shape)
        if case == "lite0-upper":
            x = x.contiguous(memory_format=torch.channels_last)
        adam = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=5e-5)
        best = [float("inf")] * 2
        for _ in range(7):
            start = [time.perf_counter(), time.process_time()]
            adam.zero_grad()
            model(x).square().mean().backward()
            adam.step()
            took = [time.perf_counter() - start[0], time.process_time() - start[1]]
            best = [min(b, t * 1e3) for b, t in zip(best, took)]
        print(f"{case} {shape}: {best[0]:.0f} ms a step, {best[1]:.0f} ms of CPU time", flush=True)


if __name__ == "__main__":
    main()
