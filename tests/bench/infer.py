"""Times passes through the backbones by coopembed, ONNX Runtime and PyTorch, on the same weights and images.

    python tests/bench/infer.py compare PROGRAM BENCH FOLDER

PROGRAM is coopembed, which imports the weights, BENCH its example `bench`. Each engine is a process that runs as many passes as each
line that it reads says. They take turns; the wall time of a turn is that from line to answer, its CPU time what the kernel counts for
the threads of the process meanwhile. The others get their best case: batch normalisation folded, padding inside the convolutions.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

sys.path.append(str(pathlib.Path(__file__).parent.parent / "fixtures"))
SIZE = 224
ENGINES = ["coopembed", "onnx", "torch"]


def images(batch):
    i = np.arange(batch * 3 * SIZE * SIZE, dtype=np.uint64)
    u = (i * 2654435761 % 2**32 >> 8).astype(np.float64) / 2**24
    return ((u - 0.5) * 4).astype(np.float32).reshape(batch, 3, SIZE, SIZE)


class Layers:
    """A backbone as calls of `conv(x, ...)`; a subclass says what a call does."""

    def __init__(self, weights):
        self.weights = weights

    def folded(self, name, norm, eps):
        w, scale = self.weights[name + ".weight"], self.weights[norm + ".weight"]
        scale = scale / np.sqrt(self.weights[norm + ".running_var"] + eps)
        bias = self.weights[norm + ".bias"] - self.weights[norm + ".running_mean"] * scale
        return (w * scale[:, None, None, None]).astype(np.float32), bias.astype(np.float32)

    def resnet50(self, x):
        def conv(x, names, outputs, kernel=1, stride=1, act=True, residual=None):
            return self.conv(x, *names, 1e-5, outputs, kernel, stride, [kernel // 2] * 4, "relu" if act else None, residual)
        x = self.max_pool(conv(x, ["conv1", "bn1"], 64, 7, 2))
        for stage, repeats in enumerate([3, 4, 6, 3]):
            width = 64 << stage
            for i in range(repeats):
                p, stride, short = f"layer{stage + 1}.{i}.", 2 if i == 0 and stage > 0 else 1, x
                if i == 0:
                    short = conv(x, [p + "downsample.0", p + "downsample.1"], 4 * width, 1, stride, act=False)
                y = conv(x, [p + "conv1", p + "bn1"], width)
                y = conv(y, [p + "conv2", p + "bn2"], width, 3, stride)
                x = conv(y, [p + "conv3", p + "bn3"], 4 * width, residual=short)
        return self.mean(x)

    def efficientnet_lite0(self, x):
        from backbones import STAGES
        size = SIZE

        def conv(x, name, norm, outputs, kernel=1, stride=1, depthwise=False, act=True, residual=None):
            nonlocal size
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            size = -(-size // stride)
            pads = [total // 2, total // 2, total - total // 2, total - total // 2]
            act = "relu6" if act else None
            return self.conv(x, name, norm, 1e-3, outputs, kernel, stride, pads, act, residual, depthwise)
        x, n, inputs = conv(x, "_conv_stem", "_bn0", 32, 3, 2), 0, 32
        for kernel, first, expand, outputs, repeats in STAGES:
            for i in range(repeats):
                b, y, stride = f"_blocks.{n}.", x, first if i == 0 else 1
                if expand > 1:
                    y = conv(y, b + "_expand_conv", b + "_bn0", inputs * expand)
                y = conv(y, b + "_depthwise_conv", b + "_bn1", inputs * expand, kernel, stride, depthwise=True)
                residual = x if stride == 1 and inputs == outputs else None
                x = conv(y, b + "_project_conv", b + "_bn2", outputs, act=False, residual=residual)
                n, inputs = n + 1, outputs
        return self.mean(conv(x, "_conv_head", "_bn1", 1280))


class Names(Layers):
    """Makes the weights, by the formula of tests/fixtures/backbones.py. A feature map `x` is its number of channels."""

    def __init__(self):
        super().__init__({})

    def conv(self, x, name, norm, eps, outputs, kernel, stride, pads, act, residual=None, depthwise=False):
        from backbones import tensor
        self.weights[name + ".weight"] = tensor(name + ".weight", (outputs, 1 if depthwise else x, kernel, kernel)).numpy()
        for part in ["weight", "bias", "running_mean", "running_var"]:
            self.weights[f"{norm}.{part}"] = tensor(f"{norm}.{part}", (outputs,)).numpy()
        return outputs

    max_pool = mean = lambda self, x: x


class Onnx(Layers):
    """Builds a graph of ONNX. A feature map `x` is its name."""

    def __init__(self, weights):
        super().__init__(weights)
        self.nodes, self.constants = [], []

    def node(self, op, inputs, **attributes):
        from onnx import helper
        self.nodes.append(helper.make_node(op, inputs, [f"m{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def constant(self, array):
        from onnx import numpy_helper
        self.constants.append(numpy_helper.from_array(np.asarray(array, np.float32), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def conv(self, x, name, norm, eps, outputs, kernel, stride, pads, act, residual=None, depthwise=False):
        w, b = self.folded(name, norm, eps)
        x = self.node("Conv", [x, self.constant(w), self.constant(b)], kernel_shape=[kernel] * 2, strides=[stride] * 2,
                      pads=pads, group=outputs if depthwise else 1)
        if residual:
            x = self.node("Add", [x, residual])
        if act == "relu6":
            return self.node("Clip", [x, self.constant(0), self.constant(6)])
        return self.node("Relu", [x]) if act else x

    def max_pool(self, x):
        return self.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    def mean(self, x):
        return self.node("Flatten", [self.node("GlobalAveragePool", [x])])

    def model(self, arch):
        from onnx import TensorProto, helper
        y = getattr(self, arch)("x")
        value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, arch, [value("x", ["batch", 3, SIZE, SIZE])], [value(y, ["batch", "features"])],
                                  self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()


class Torch(Layers):
    """Runs PyTorch eagerly; folded weights are kept from pass to pass."""

    def __init__(self, weights):
        super().__init__(weights)
        self.kept = {}

    def conv(self, x, name, norm, eps, outputs, kernel, stride, pads, act, residual=None, depthwise=False):
        import torch
        import torch.nn.functional as F
        if name not in self.kept:
            w, b = map(torch.from_numpy, self.folded(name, norm, eps))
            self.kept[name] = w.contiguous(memory_format=torch.channels_last), b
        if pads[0] == pads[2]:
            x = F.conv2d(x, *self.kept[name], stride, pads[0], 1, outputs if depthwise else 1)
        else:
            x = F.conv2d(F.pad(x, [pads[1], pads[3], pads[0], pads[2]]), *self.kept[name], stride, 0, 1, outputs if depthwise else 1)
        if residual is not None:
            x += residual
        return F.hardtanh_(x, 0, 6) if act == "relu6" else x.relu_() if act else x

    def max_pool(self, x):
        import torch.nn.functional as F
        return F.max_pool2d(x, 3, 2, 1)

    def mean(self, x):
        return x.mean((2, 3))


def engine(kind, arch, weights, batch, threads):
    """Returns a function that runs one pass and returns features."""
    x = images(batch)
    if kind == "onnx":
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        model = Onnx(weights).model(arch)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"x": x})[0]
    import torch
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    layers, x = Torch(weights), torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
    return lambda: getattr(layers, arch)(x).numpy()


def serve(kind, arch, weights, batch, threads):
    run = engine(kind, arch, dict(np.load(weights)), int(batch), int(threads))
    for line in sys.stdin:
        for _ in range(int(line)):
            features = run()
        print(np.linalg.norm(features.astype(np.float64)), flush=True)


def cpu_seconds(pid):
    """CPU time of all threads of a process."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class Engine:
    """A process that computes when it is told to, and the times of its turns."""

    def __init__(self, command, threads):
        # No library may use more threads than it is told to.
        env = os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.wall, self.cpu = [], []

    def turn(self, passes, images):
        cpu, wall = cpu_seconds(self.process.pid), time.perf_counter()
        self.process.stdin.write(f"{passes}\n")
        self.process.stdin.flush()
        norm = float(self.process.stdout.readline())
        self.wall.append((time.perf_counter() - wall) * 1e3 / images)
        self.cpu.append((cpu_seconds(self.process.pid) - cpu) * 1e3 / images)
        return norm

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def compare(program, bench, folder):
    import torch
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    setting = lambda name, default: os.environ.get(name, default).split()
    rounds = int(setting("ROUNDS", "15")[0])
    print("median ms per image            wall: ours  ONNX Runtime  PyTorch   CPU: ours  ONNX Runtime  PyTorch   CPU: ours / ONNX, / PyTorch")
    for arch in setting("ARCHS", "resnet50 efficientnet_lite0"):
        names, npz, safe = Names(), folder / f"{arch}.npz", folder / f"{arch}.safetensors"
        getattr(names, arch)(3)
        np.savez(npz, **names.weights)
        checkpoint = folder / f"{arch}.pth"
        torch.save({name: torch.from_numpy(w) for name, w in names.weights.items()}, checkpoint)
        command = [program, "import-backbone", checkpoint, "--arch", arch, "--out", safe]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for batch in map(int, setting("BATCHES", "1 16")):
            for threads in map(int, setting("THREADS", "1 2")):
                serve = lambda kind: [sys.executable, __file__, "serve", kind, arch, npz, str(batch), str(threads)]
                ours = [bench, "backbone", safe, "--size", str(SIZE), "--batch", str(batch)]
                engines = [Engine(ours if kind == "coopembed" else serve(kind), threads) for kind in ENGINES]
                norms = [one.turn(2, 1) for one in engines]
                assert max(norms) <= 1.001 * min(norms), f"{arch}: features of norms {norms}"
                passes = max(1, 16 // batch // 2)
                for one in engines:
                    one.wall, one.cpu = [], []
                for _ in range(rounds):
                    for one in engines:
                        one.turn(passes, passes * batch)
                for one in engines:
                    one.end()
                wall, cpu = ([statistics.median(getattr(e, what)) for e in engines] for what in ("wall", "cpu"))
                print(f"{arch:19} x{batch:<3} {threads} thread{'s' if threads > 1 else ' '} {wall[0]:11.2f} {wall[1]:13.2f} {wall[2]:8.2f} "
                      f"{cpu[0]:11.2f} {cpu[1]:13.2f} {cpu[2]:8.2f} {cpu[0] / cpu[1]:14.2f} {cpu[0] / cpu[2]:10.2f}", flush=True)


if __name__ == "__main__":
    {"compare": compare, "serve": serve}[sys.argv[1]](*sys.argv[2:])
