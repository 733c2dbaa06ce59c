# Times the same workloads in PyTorch. Reads one JSON line per request {"case", "seconds"}, answers {"ms"}; {"case", "steps"} is answered
# by {"grownMb"}: how far the resident set rose at most over that of the fresh process, model included; {"case", "train"} by {"losses"} of a
# training on given weights and batches.
import array, json, os, sys, time
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchLayers

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
compiled = len(sys.argv) > 2 and sys.argv[2] == 'compile'  # forward, loss and backward by torch.compile, optimizers fused
torch.set_num_threads(threads)
torch.manual_seed(0)
clock = time.process_time if os.environ.get('BENCH_CLOCK') == 'cpu' else time.perf_counter


def matmul(m, k, n):
    a, b = torch.randn(m, k), torch.randn(k, n)
    return lambda: a @ b


def step(model, opt, x, y, loss):
    forward = lambda x, y: loss(model(x), y)
    if compiled:
        forward = torch.compile(forward)
    def run():
        opt.zero_grad(set_to_none=True)
        forward(x, y).backward()
        opt.step()
    run.parts = model, opt, loss
    return run


fused = {'fused': True} if compiled else {}


def adamw(m):
    return torch.optim.AdamW(m.parameters(), lr=1e-3, **fused)


def xor_mlp():
    m = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    return step(m, torch.optim.SGD(m.parameters(), lr=0.1, **fused), torch.randn(4, 2), torch.rand(4, 1), F.binary_cross_entropy_with_logits)


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


class GptBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask):
        batch, time, width = x.shape
        heads_of = lambda z: z.view(batch, time, self.heads, width // self.heads).transpose(1, 2)
        q, k, v = map(heads_of, self.qkv(self.norm1(x)).split(width, 2))
        scores = (q @ k.transpose(-2, -1)) * (1 / (width // self.heads) ** 0.5)
        weights = F.softmax(scores.masked_fill(mask[:time, :time] == 0, float('-inf')), -1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(batch, time, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, vocabulary, context, layers, width, heads):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList([GptBlock(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.mask = torch.tril(torch.ones(context, context))

    def forward(self, ids):
        x = self.token(ids) + self.position(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.norm(x))


def gpt_mini():
    m = Gpt(96, 128, 4, 128, 4)
    opt = torch.optim.AdamW(m.parameters(), lr=3e-4, **fused)
    loss = lambda logits, ids: F.cross_entropy(logits.reshape(-1, 96), ids.reshape(-1))
    return step(m, opt, torch.randint(0, 96, (8, 128)), torch.randint(0, 96, (8, 128)), loss)


class LstmClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 256, batch_first=True), nn.Linear(256, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def lstm():
    m = LstmClassifier()
    return step(m, torch.optim.Adam(m.parameters(), **fused), torch.randn(32, 64, 64), torch.randint(0, 10, (32,)), F.cross_entropy)


class ResidualBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.c2, self.b2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        same = stride == 1 and i == o
        self.shortcut = nn.Identity() if same else nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return F.relu(self.b2(self.c2(F.relu(self.b1(self.c1(x))))) + self.shortcut(x))


def resnet20():
    layers, i = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for o, stride in ((16, 1), (32, 2), (64, 2)):
        for k in range(3):
            layers.append(ResidualBlock(i, o, stride if k == 0 else 1))
            i = o
    m = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    opt = torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, **fused)
    return step(m, opt, torch.randn(64, 3, 32, 32), torch.randint(0, 10, (64,)), F.cross_entropy)


def op16():
    a, b = torch.randn(16, requires_grad=True), torch.randn(16)
    def run():
        for _ in range(1000):
            a * b
    return run


makers = {f'matmul{n}': (lambda n=n: matmul(n, n, n)) for n in (64, 256, 512, 1024, 2048)}
makers['matmul64x784x256'] = lambda: matmul(64, 784, 256)
makers['matmul1x4096x4096'] = lambda: matmul(1, 4096, 4096)
makers.update(xor_mlp=xor_mlp, mnist_mlp=mnist_mlp, wide_mlp=wide_mlp, cnn=cnn, resnet20=resnet20, gpt_mini=gpt_mini, lstm=lstm, op16=op16)
live = {}


def resident(key):
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key))


def grown(name, steps):
    torch.ones(4).add(1)
    with open('/proc/self/clear_refs', 'w') as refs:
        refs.write('5')  # the peak so far is forgotten
    base = resident('VmRSS')
    run = makers[name]()
    for _ in range(steps):
        run()
    return resident('VmHWM') - base


def floats(path, kind, torch_type, shape):
    values = array.array(kind)
    with open(path, 'rb') as file:
        values.frombytes(file.read())
    return torch.frombuffer(values, dtype=torch_type).clone().reshape(shape)


def train(name, files, dtype):
    """The loss of each step from the weights in files['weights'] (names and shapes beside them), in float32 or under autocast."""
    model, opt, loss = makers[name]().parts
    weights = floats(files['weights'], 'f', torch.float32, [-1])
    with torch.no_grad():
        named, at = dict(model.named_parameters()), 0
        for key, shape in files['names']:
            count = named[key].numel()
            named[key].copy_(weights[at:at + count].reshape(shape))
            at += count
    kind = ('i', torch.int32) if files['integers'] else ('f', torch.float32)
    xs, ys = floats(files['x'], *kind, files['xShape']), floats(files['y'], 'i', torch.int32, files['yShape']).long()
    losses = []
    for x, y in zip(xs.long() if files['integers'] else xs, ys):
        opt.zero_grad(set_to_none=True)
        with torch.autocast('cpu', getattr(torch, dtype or 'bfloat16'), enabled=dtype is not None):
            l = loss(model(x), y)
        l.backward()
        opt.step()
        losses.append(l.item())
    return losses


print(json.dumps({'version': torch.__version__}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    name = request['case']
    if name not in makers and 'torch' not in request:
        print(json.dumps({'error': f'no case {name}'}), flush=True)
        continue
    if 'train' in request:
        print(json.dumps({'losses': train(name, request['train'], request.get('dtype'))}), flush=True)
        continue
    if 'steps' in request:
        print(json.dumps({'grownMb': grown(name, request['steps'])}), flush=True)
        continue
    try:
        if name not in live:
            live.clear()  # one model at a time
            live[name] = torchLayers.make(request) if 'torch' in request else makers[name]()
            live[name]()
    except Exception as error:
        print(json.dumps({'error': str(error)}), flush=True)
        live.clear()
        continue
    run = live[name]
    times, end = [], time.perf_counter() + request['seconds']
    while time.perf_counter() < end or len(times) < 3:
        t = clock()
        run()
        times.append(clock() - t)
    times.sort()
    print(json.dumps({'ms': times[len(times) // 2] * 1e3 / (1000 if name == 'op16' else 1)}), flush=True)
