"""Trains with the paper's losses in plain PyTorch on the features that coopembed has cached, to compare its results with ours.

python tests/bench/peer_frozen.py --data data/emoji --cache ~/.cache/coopembed/features/<context>.features [--seeds 3] [--method multitask]

Simple on purpose: autograd, torch.optim.Adam, the losses as the paper writes them. Prints instance R@1, attribute mAP and
category mAP in percent, means over the seeds. Needs numpy and torch; images without boxes only.
"""
import argparse, csv, hashlib, json, pathlib, struct
import numpy as np, torch

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=pathlib.Path, required=True)
parser.add_argument("--cache", type=pathlib.Path, required=True)
parser.add_argument("--method", choices=["cooperative", "multitask"], default="cooperative")
parser.add_argument("--decay", type=float, default=5e-5)
parser.add_argument("--proxy-std", type=float, default=0.125)
parser.add_argument("--seeds", type=int, default=1)
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--rate", type=float, default=1e-4)
parser.add_argument("--dim", type=int, default=50)
parser.add_argument("--lambdas", default="1,1,1,0.5", help="instance, attribute, category, norm")
args = parser.parse_args()
l_ins, l_attr, l_cat, l_reg = map(float, args.lambdas.split(","))

# The cache: magic, F, then records of a key (SHA-256 of the image's SHA-256 and "box flipped"), F floats and a check.
raw = args.cache.read_bytes()
F = struct.unpack("<Q", raw[8:16])[0]
records = np.frombuffer(raw[16:16 + (len(raw) - 16) // (40 + 4 * F) * (40 + 4 * F)],
                        dtype=[("key", "V32"), ("row", "<f4", F), ("check", "V8")])
place = {r.tobytes(): i for i, r in enumerate(records["key"])}
rows = list(csv.DictReader(open(args.data / "images.csv")))


declared = json.loads((args.data / "attributes.json").read_text())


def may_mirror(row):
    unmirrored = [name for name, a in declared.items() if isinstance(a, dict) and not a.get("mirror", True)]
    return declared.get("mirror") is not False and not any(row[name] for name in unmirrored)


def features(of, flip):
    def key(r):
        image = hashlib.sha256((args.data / r["path"]).read_bytes()).digest()
        flipped = "true" if flip and may_mirror(r) else "false"
        return hashlib.sha256(image + f"None {flipped}".encode()).digest()
    return torch.from_numpy(np.stack([records["row"][place[key(r)]] for r in of]))


split = {s: [r for r in rows if r["split"] == s] for s in ("train", "query", "gallery")}
train, test = split["train"], split["query"] + split["gallery"]
plain, flipped = features(train, False), features(train, True)
query, gallery = features(split["query"], False) if split["query"] else None, features(split["gallery"], False)
names = [c for c in rows[0] if c in declared]
index = lambda of, column: {v: i for i, v in enumerate(sorted({r[column] for r in of}))}
instances, categories = index(train, "instance"), index(train, "category")
y_ins = torch.tensor([instances[r["instance"]] for r in train])
y_cat = torch.tensor([categories[r["category"]] for r in train])
y_att = [torch.tensor([declared[a]["values"].index(r[a]) if r[a] else -1 for r in train]) for a in names]
classes = [len(declared[a]["values"]) for a in names]
P, C, K, n = len(instances), len(categories), len(names), args.dim
category_of = torch.zeros(P, dtype=torch.long).scatter_(0, y_ins, y_cat)
members = torch.nn.functional.one_hot(category_of, C).float().T
means = members / members.sum(1, keepdim=True)
ce = torch.nn.functional.cross_entropy
distances = lambda f, p: f.pow(2).sum(1, keepdim=True) - 2 * f @ p.T + p.pow(2).sum(1)


shared = args.method == "multitask"  # one embedding for everything, as the baseline of Section 5.4


def unit(f):
    return torch.nn.functional.normalize(f.view(len(f), 1 if shared else K, -1), dim=-1).flatten(1)


def part(k):
    return slice(None) if shared else slice(k * n, (k + 1) * n)


def average_precision(score, relevant):
    hits = relevant[torch.argsort(score, stable=True)].double()
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    return (precision * hits).sum().item() / hits.sum().item()


def run(seed):
    torch.manual_seed(seed)
    linear = torch.nn.Linear(F, K * n)
    if shared:
        heads = [torch.nn.Linear(K * n, c) for c in [P, C, *classes]]
        proxies = [x for h in heads for x in h.parameters()]
        logits_ins, logits_cat, *logits_att = heads
    else:
        p = torch.nn.Parameter(torch.randn(P, K * n) * args.proxy_std)
        a = [torch.nn.Parameter(torch.randn(c, n) * args.proxy_std) for c in classes]
        proxies = [p, *a]
        logits_ins = lambda f: -distances(f, p)
        logits_cat = lambda f: -distances(f, means @ p)
        logits_att = [lambda f, k=k: -distances(f[:, part(k)], a[k]) for k in range(K)]
    adam = torch.optim.Adam([{"params": linear.parameters(), "lr": args.rate},
                             {"params": proxies, "lr": 10 * args.rate}], weight_decay=args.decay)
    for _ in range(args.epochs):
        for batch in torch.randperm(len(train)).split(128):
            mirror = torch.rand(len(batch)) < .5
            f = linear(torch.where(mirror[:, None], flipped[batch], plain[batch]))
            loss = l_reg * f.pow(2).sum(1).mean()
            if l_ins:
                loss = loss + l_ins * ce(logits_ins(f), y_ins[batch])
            if l_cat:
                loss = loss + l_cat * ce(logits_cat(f), y_cat[batch])
            for k in range(K if l_attr else 0):
                y = y_att[k][batch]
                if (y >= 0).any():
                    loss = loss + l_attr / K * ce(logits_att[k](f[y >= 0]), y[y >= 0])
            adam.zero_grad()
            loss.backward()
            adam.step()
    with torch.no_grad():
        t, g = unit(linear(plain)), unit(linear(gallery))
        g_ins, q = [r["instance"] for r in split["gallery"]], unit(linear(query)) if query is not None else None
        if q is None:
            d = torch.cdist(g, g).fill_diagonal_(float("inf"))
            q_ins = g_ins
        else:
            d, q_ins = torch.cdist(q, g), [r["instance"] for r in split["query"]]
        known = set(g_ins)
        r1 = np.mean([g_ins[j] == i for i, j in zip(q_ins, d.argmin(1).tolist()) if i in known])
        att, present = [], []  # over the whole gallery; over its images that have the attribute
        for k, name in enumerate(names):
            for v, value in enumerate(declared[name]["values"]):
                shown, right = y_att[k] == v, torch.tensor([r[name] == value for r in split["gallery"]])
                if shown.any() and right.any():
                    d = (g[:, part(k)] - t[shown][:, part(k)].mean(0)).pow(2).sum(1)
                    att.append(average_precision(d, right))
                    has = torch.tensor([r[name] != "" for r in split["gallery"]])
                    present.append(average_precision(d[has], right[has]))
        cat = []
        for c, i in categories.items():
            right = torch.tensor([r["category"] == c for r in split["gallery"]])
            if right.any():
                cat.append(average_precision((g - t[y_cat == i].mean(0)).pow(2).sum(1), right))
    return 100 * np.array([r1, np.mean(att), np.mean(cat), np.mean(present)])


results = np.stack([run(s) for s in range(args.seeds)])
spread = results.std(0, ddof=1) if args.seeds > 1 else 0 * results[0]
for name, mean, deviation in zip(["R@1", "attribute mAP", "category mAP", "attribute mAP where present"], results.mean(0), spread):
    print(f"{args.method}: {name} {mean:.1f} ± {deviation:.1f} over {args.seeds} seeds")
