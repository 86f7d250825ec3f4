"""Times a training step of PyTorch (forward, backward and Adam), as the test `a_step_takes_this_long` times ours. The best of five."""

import sys
import time

import torch
import torchvision

torch.set_num_threads(int(sys.argv[1]))
for arch, size, batch in [("resnet18", 64, 64), ("resnet50", 224, 8)]:
    if len(sys.argv) > 2 and sys.argv[2] != arch:
        continue
    model = getattr(torchvision.models, arch)(weights=None).train()
    model.fc = torch.nn.Identity()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=5e-5)
    images = torch.rand(batch, 3, size, size)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        adam.zero_grad()
        model(images).square().mean().backward()
        adam.step()
        best = min(best, (time.perf_counter() - start) * 1e3)
    print(f"{arch} {size} px batch {batch}: {best:.0f} ms a step", flush=True)
