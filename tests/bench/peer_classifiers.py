"""What plain classifiers reach in PyTorch with the backbone of model/clothes: one linear layer for the category and one for each attribute
on the mean of EfficientNet-Lite0's last map, the whole network learning from photographs that are cropped, turned and lit anew each time. It
cannot retrieve; it says how much of the tags' errors is the embedding's.

python tests/bench/peer_classifiers.py --data clothes --weights efficientnet-lite0-*.pth [--epochs 15]

DATA is made by `coopembed data clothes`. Prints the accuracy on the gallery in percent, of images that have a value, every fifth epoch. Needs
numpy, torch and pillow.
"""
import argparse, copy, csv, json, pathlib, sys
import numpy as np, torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

here = pathlib.Path(__file__).parent
sys.path += [str(here), str(here.parent / "fixtures")]
from backbones import STAGES
from train_peer import SameConv

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=pathlib.Path, required=True)
parser.add_argument("--weights", type=pathlib.Path, required=True)
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--size", type=int, default=160)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--images", type=int, default=0, help="only so many of each half, to try it out")
args = parser.parse_args()
torch.manual_seed(0)
torch.set_num_threads(args.threads)
random = np.random.default_rng(0)


class Block(nn.Module):
    """An inverted residual, with the checkpoint's names."""

    def __init__(self, inputs, outputs, kernel, stride, expand):
        super().__init__()
        inner = inputs * expand
        self.expands, self.residual = expand > 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner, 1e-3)
        self._depthwise_conv, self._bn1 = SameConv(inner, inner, kernel, stride, groups=inner, bias=False), nn.BatchNorm2d(inner, 1e-3)
        self._project_conv, self._bn2 = SameConv(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs, 1e-3)

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return x + y if self.residual else y


class Classifiers(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32, 1e-3)
        blocks, inputs = [], 32
        for kernel, first, expand, outputs, repeats in STAGES:
            for i in range(repeats):
                blocks.append(Block(inputs, outputs, kernel, first if i == 0 else 1, expand))
                inputs = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = SameConv(inputs, 1280, 1, bias=False), nn.BatchNorm2d(1280, 1e-3)
        self.heads = nn.ModuleList(nn.Linear(1280, n) for n in classes)

    def forward(self, x):
        x = self._blocks(F.relu6(self._bn0(self._conv_stem(x))))
        x = F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        x = F.dropout(x, 0.2, self.training)
        return [head(x) for head in self.heads]


# Photographs only: not the shots that were made from them.
rows = [r for r in csv.DictReader(open(args.data / "images.csv")) if "-shot" not in r["path"]]
halves = [[r for r in rows if (r["split"] == "train") == train and r["split"] != "query"] for train in (True, False)]
if args.images:
    halves = [half[:args.images] for half in halves]
names = ["category", *json.loads((args.data / "attributes.json").read_text())]
values = [sorted({r[name] for r in rows} - {""}) for name in names]
labels = [torch.tensor([[v.index(r[name]) if r[name] else -1 for name, v in zip(names, values)] for r in half]) for half in halves]
side = args.size * 5 // 4
load = lambda r: np.asarray(Image.open(args.data / r["path"]).convert("RGB").resize((side, side), Image.BILINEAR, reducing_gap=3.0))
images = [np.stack([load(r) for r in half]) for half in halves]
mean, deviation = (torch.tensor(x)[:, None, None] for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def augmented(x):
    """Crops of 40 to 100 % of the area, mirrored, turned by up to 15 degrees, with other brightness, contrast, saturation and tint."""
    n = len(x)
    uniform = lambda *shape: torch.rand(shape) * 2 - 1
    area, ratio = 0.7 + 0.3 * uniform(n), torch.exp(0.22 * uniform(n))
    w, h = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    flip, angle = (torch.rand(n) < 0.5).float() * 2 - 1, 0.26 * uniform(n)
    turn = torch.stack([w * angle.cos() * flip, -h * angle.sin(), uniform(n) * (1 - w),
                        w * angle.sin() * flip, h * angle.cos(), uniform(n) * (1 - h)], 1).view(n, 2, 3)
    grid = F.affine_grid(turn, [n, 3, args.size, args.size], align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    middle = x.mean((1, 2, 3), keepdim=True)
    x = ((x - middle) * (1 + 0.25 * uniform(n, 1, 1, 1)) + middle) * (1 + 0.25 * uniform(n, 1, 1, 1))
    grey = x.mean(1, keepdim=True)
    return ((x - grey) * (1 + 0.2 * uniform(n, 1, 1, 1)) + grey) * (1 + 0.05 * uniform(n, 3, 1, 1))


def batch(half, index):
    x = torch.from_numpy(images[half][index]).permute(0, 3, 1, 2).float() / 255
    x = augmented(x) if half == 0 else F.interpolate(x, (args.size, args.size), mode="bilinear", antialias=True)
    return ((x.clamp(0, 1) - mean) / deviation).contiguous(memory_format=torch.channels_last)


def accuracies(model):
    model.eval()
    with torch.no_grad():
        parts = [model(batch(1, np.arange(at, min(at + 128, len(images[1]))))) for at in range(0, len(images[1]), 128)]
    predicted = [torch.cat(outputs).argmax(1) for outputs in zip(*parts)]
    right = [(p == y)[y >= 0].float().mean() * 100 for p, y in zip(predicted, labels[1].T)]
    return ", ".join(f"{name} {share:.1f}" for name, share in zip(names, right))


model = Classifiers([len(v) for v in values])
state = {k: v for k, v in torch.load(args.weights, map_location="cpu", weights_only=True).items() if not k.startswith("_fc")}
missing = model.load_state_dict(state, strict=False)
assert not missing.unexpected_keys and all(k.startswith("heads") or "num_batches" in k for k in missing.missing_keys), missing
model = model.to(memory_format=torch.channels_last)
average = copy.deepcopy(model)
heads = list(model.heads.parameters())
rest = [p for name, p in model.named_parameters() if not name.startswith("heads")]
adam = torch.optim.AdamW([{"params": heads, "lr": 1e-3}, {"params": rest, "lr": 3e-4}], weight_decay=0.02)
steps = len(images[0]) // args.batch
total = args.epochs * steps
schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: min(1, (step + 1) / steps) * 0.5 * (1 + np.cos(np.pi * step / total)))
for epoch in range(1, args.epochs + 1):
    model.train()
    order = random.permutation(len(images[0]))
    for step in range(steps):
        index = order[step * args.batch:(step + 1) * args.batch]
        outputs, y = model(batch(0, index)), labels[0][index].T
        losses = [F.cross_entropy(o, t, ignore_index=-1, label_smoothing=0.1) for o, t in zip(outputs, y) if (t >= 0).any()]
        adam.zero_grad()
        (sum(losses) + losses[0]).backward()  # the category counts twice
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        adam.step()
        schedule.step()
        decay = min(0.998, (schedule.last_epoch + 1) / (schedule.last_epoch + 10))
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), model.state_dict().values()):
                a.copy_(decay * a + (1 - decay) * b if a.dtype.is_floating_point else b)
    if epoch % 5 == 0 or epoch == args.epochs:
        print(f"epoch {epoch}: {accuracies(average)}", flush=True)
