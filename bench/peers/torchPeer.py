# Times the same workloads in PyTorch. Reads one JSON line per request {"case", "seconds"}, answers {"ms"}.
import json, sys, time
import torch
import torch.nn as nn
import torch.nn.functional as F

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
torch.set_num_threads(threads)
torch.manual_seed(0)


def matmul(m, k, n):
    a, b = torch.randn(m, k), torch.randn(k, n)
    return lambda: a @ b


def step(model, opt, x, y, loss):
    def run():
        opt.zero_grad(set_to_none=True)
        l = loss(model(x), y)
        l.backward()
        opt.step()
    return run


def adamw(m):
    return torch.optim.AdamW(m.parameters(), lr=1e-3)


def xor_mlp():
    m = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    return step(m, torch.optim.SGD(m.parameters(), lr=0.1), torch.randn(4, 2), torch.rand(4, 1), F.binary_cross_entropy_with_logits)


def mnist_mlp():
    m = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    return step(m, adamw(m), torch.randn(64, 784), torch.randint(0, 10, (64,)), F.cross_entropy)


def wide_mlp():
    m = nn.Sequential(nn.Linear(1024, 4096), nn.GELU(), nn.Linear(4096, 4096), nn.GELU(), nn.Linear(4096, 1024))
    return step(m, adamw(m), torch.randn(256, 1024), torch.randn(256, 1024), F.mse_loss)


def cnn():
    m = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, 10))
    return step(m, adamw(m), torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,)), F.cross_entropy)


def op16():
    a, b = torch.randn(16, requires_grad=True), torch.randn(16)
    def run():
        for _ in range(1000):
            a * b
    return run


makers = {f'matmul{n}': (lambda n=n: matmul(n, n, n)) for n in (64, 256, 512, 1024, 2048)}
makers['matmul64x784x256'] = lambda: matmul(64, 784, 256)
makers['matmul1x4096x4096'] = lambda: matmul(1, 4096, 4096)
makers.update(xor_mlp=xor_mlp, mnist_mlp=mnist_mlp, wide_mlp=wide_mlp, cnn=cnn, op16=op16)
live = {}
print(json.dumps({'version': torch.__version__}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    name = request['case']
    if name not in makers:
        print(json.dumps({'error': f'no case {name}'}), flush=True)
        continue
    if name not in live:
        live.clear()  # one model at a time
        live[name] = makers[name]()
        live[name]()
    run = live[name]
    times, end = [], time.perf_counter() + request['seconds']
    while time.perf_counter() < end or len(times) < 3:
        t = time.perf_counter()
        run()
        times.append(time.perf_counter() - t)
    times.sort()
    print(json.dumps({'ms': times[len(times) // 2] * 1e3 / (1000 if name == 'op16' else 1)}), flush=True)
