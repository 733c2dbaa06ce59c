# Times the same workloads in JAX on the CPU: a whole training step is one jit whose parameters and state are given away to it.
# Reads one JSON line per request {"case", "seconds"}, answers {"ms"}. The number of threads is set by the environment.
import json, os, sys, time
import jax
import jax.numpy as np
from jax import lax, nn

clock = time.process_time if os.environ.get('BENCH_CLOCK') == 'cpu' else time.perf_counter
keys = iter(jax.random.split(jax.random.PRNGKey(0), 1000))
normal = lambda *shape: jax.random.normal(next(keys), shape)
uniform = lambda bound, *shape: jax.random.uniform(next(keys), shape, minval=-bound, maxval=bound)
labels = lambda high, *shape: jax.random.randint(next(keys), shape, 0, high)


# Optimizers: init(params), update(params, grads, state) -> params, state.
def sgd(lr, momentum=0.0, decay=0.0):
    def update(params, grads, state):
        if momentum == 0:
            return jax.tree.map(lambda p, g: p - lr * g, params, grads), state
        state = jax.tree.map(lambda p, g, v: momentum * v + g + decay * p, params, grads, state)
        return jax.tree.map(lambda p, v: p - lr * v, params, state), state
    return (lambda params: jax.tree.map(np.zeros_like, params) if momentum else ()), update


def adam(lr, decay=0.0, beta1=0.9, beta2=0.999, eps=1e-8):
    def init(params):
        return jax.tree.map(np.zeros_like, params), jax.tree.map(np.zeros_like, params), np.zeros(())

    def update(params, grads, state):
        m, v, t = state
        t = t + 1
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, grads)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, grads)
        scale, spread = lr / (1 - beta1**t), 1 / np.sqrt(1 - beta2**t)
        params = jax.tree.map(lambda p, m, v: p * (1 - lr * decay) - scale * m / (np.sqrt(v) * spread + eps), params, m, v)
        return params, (m, v, t)
    return init, update


adamw = lambda lr: adam(lr, 0.01)


def training(params, stats, optimizer, loss, x, y):
    """loss(params, stats, x, y) gives (loss, new stats)."""
    init, update = optimizer

    def step(params, stats, state, x, y):
        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params, stats, x, y)
        params, state = update(params, grads, state)
        return params, stats, state, value

    step = jax.jit(step, donate_argnums=(0, 1, 2))
    held = [params, stats, init(params)]

    def run():
        *held[:], value = step(*held, x, y)
        jax.block_until_ready((held, value))
    return run


def matmul(m, k, n):
    a, b = normal(m, k), normal(k, n)
    product = jax.jit(np.matmul)
    return lambda: product(a, b).block_until_ready()


linear = lambda i, o, bias=True: {'w': uniform(i**-0.5, i, o), **({'b': uniform(i**-0.5, o)} if bias else {})}
conv = lambda i, o, k, bias: {'w': uniform((i * k * k)**-0.5, k, k, i, o), **({'b': uniform((i * k * k)**-0.5, o)} if bias else {})}
apply = lambda p, x: x @ p['w'] + p['b'] if 'b' in p else x @ p['w']
norm_of = lambda n: {'gain': np.ones(n), 'bias': np.zeros(n)}
stats_of = lambda n: {'mean': np.zeros(n), 'var': np.ones(n)}


# Images are channels-last, which XLA's convolutions are made for.
def apply_conv(p, x, stride=1):
    pad = p['w'].shape[0] // 2
    y = lax.conv_general_dilated(x, p['w'], (stride, stride), [(pad, pad)] * 2, dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
    return y + p['b'] if 'b' in p else y


def batch_norm(p, stats, x):
    count = x.size // x.shape[-1]
    mean = x.mean((0, 1, 2))
    var = np.square(x - mean).mean((0, 1, 2))
    moved = {'mean': 0.9 * stats['mean'] + 0.1 * lax.stop_gradient(mean),
             'var': 0.9 * stats['var'] + 0.1 * lax.stop_gradient(var) * count / (count - 1)}
    return (x - mean) * (lax.rsqrt(var + 1e-5) * p['gain']) + p['bias'], moved


def layer_norm(p, x):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(np.square(x - mean).mean(-1, keepdims=True) + 1e-5) * p['gain'] + p['bias']


max_pool = lambda x: lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), 'VALID')
cross_entropy = lambda logits, y: -np.take_along_axis(nn.log_softmax(logits), y[..., None], -1).mean()


def mlp(sizes, activation, optimizer, criterion, x, y):
    def loss(params, stats, x, y):
        for i, layer in enumerate(params):
            x = apply(layer, x if i == 0 else activation(x))
        return criterion(x, y), stats
    return training([linear(i, o) for i, o in zip(sizes, sizes[1:])], (), optimizer, loss, x, y)


def xor_mlp():
    entropy = lambda z, y: (nn.softplus(z) - z * y).mean()
    return mlp([2, 8, 1], np.tanh, sgd(0.1), entropy, normal(4, 2), jax.random.uniform(next(keys), (4, 1)))


def mnist_mlp():
    return mlp([784, 256, 128, 10], nn.relu, adamw(1e-3), cross_entropy, normal(64, 784), labels(10, 64))


def wide_mlp():
    gelu = lambda x: nn.gelu(x, approximate=False)
    squared = lambda prediction, y: np.square(prediction - y).mean()
    return mlp([1024, 4096, 4096, 1024], gelu, adamw(1e-3), squared, normal(256, 1024), normal(256, 1024))


def cnn():
    params = {'conv1': conv(1, 32, 3, True), 'norm1': norm_of(32), 'conv2': conv(32, 64, 3, True), 'norm2': norm_of(64),
              'fc1': linear(64 * 49, 128), 'fc2': linear(128, 10)}

    def loss(p, stats, x, y):
        h, first = batch_norm(p['norm1'], stats[0], apply_conv(p['conv1'], x))
        h, second = batch_norm(p['norm2'], stats[1], apply_conv(p['conv2'], max_pool(nn.relu(h))))
        flat = max_pool(nn.relu(h)).reshape(64, 64 * 49)
        return cross_entropy(apply(p['fc2'], nn.relu(apply(p['fc1'], flat))), y), (first, second)
    return training(params, (stats_of(32), stats_of(64)), adamw(1e-3), loss, normal(64, 28, 28, 1), labels(10, 64))


def resnet20():
    shapes = [(o if k or o == 16 else o // 2, o, 2 if k == 0 and o > 16 else 1) for o in (16, 32, 64) for k in range(3)]
    block = lambda i, o: {'c1': conv(i, o, 3, False), 'n1': norm_of(o), 'c2': conv(o, o, 3, False), 'n2': norm_of(o),
                          **({} if i == o else {'c': conv(i, o, 1, False), 'n': norm_of(o)})}
    params = {'stem': conv(3, 16, 3, False), 'norm': norm_of(16), 'blocks': [block(i, o) for i, o, _ in shapes], 'head': linear(64, 10)}
    stats = [stats_of(16)] + [[stats_of(o)] * (2 if i == o else 3) for i, o, _ in shapes]
    stats = jax.tree.map(lambda s: s.copy(), stats)

    def loss(p, stats, x, y):
        h, first = batch_norm(p['norm'], stats[0], apply_conv(p['stem'], x))
        h, moved = nn.relu(h), [first]
        for b, s, (_, _, stride) in zip(p['blocks'], stats[1:], shapes):
            inner, s1 = batch_norm(b['n1'], s[0], apply_conv(b['c1'], h, stride))
            inner, s2 = batch_norm(b['n2'], s[1], apply_conv(b['c2'], nn.relu(inner)))
            some = [s1, s2]
            if 'c' in b:
                h, s3 = batch_norm(b['n'], s[2], apply_conv(b['c'], h, stride))
                some.append(s3)
            h = nn.relu(inner + h)
            moved.append(some)
        return cross_entropy(apply(p['head'], h.mean((1, 2))), y), moved
    return training(params, stats, sgd(0.1, 0.9, 1e-4), loss, normal(64, 32, 32, 3), labels(10, 64))


def gpt_mini(vocabulary=96, time=128, layers=4, width=128, heads=4):
    block = lambda: {'norm1': norm_of(width), 'qkv': linear(width, 3 * width), 'out': linear(width, width), 'norm2': norm_of(width),
                     'up': linear(width, 4 * width), 'down': linear(4 * width, width)}
    params = {'token': normal(vocabulary, width), 'position': normal(time, width), 'blocks': [block() for _ in range(layers)],
              'norm': norm_of(width), 'head': linear(width, vocabulary, False)}
    mask = np.tril(np.ones((time, time), bool))

    def loss(p, stats, ids, y):
        x = p['token'][ids] + p['position']
        for b in p['blocks']:
            q, k, v = (z.reshape(-1, time, heads, width // heads).transpose(0, 2, 1, 3) for z in
                       np.split(apply(b['qkv'], layer_norm(b['norm1'], x)), 3, -1))
            scores = np.where(mask, q @ k.transpose(0, 1, 3, 2) * (width // heads)**-0.5, -np.inf)
            looked = (nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(x.shape)
            x = x + apply(b['out'], looked)
            x = x + apply(b['down'], nn.gelu(apply(b['up'], layer_norm(b['norm2'], x)), approximate=False))
        return cross_entropy(apply(p['head'], layer_norm(p['norm'], x)), y), stats
    return training(params, (), adamw(3e-4), loss, labels(vocabulary, 8, time), labels(vocabulary, 8, time))


def lstm(inputs=64, hidden=256):
    bound = hidden**-0.5
    params = {'w': uniform(bound, inputs, 4 * hidden), 'u': uniform(bound, hidden, 4 * hidden), 'b': uniform(bound, 4 * hidden),
              'head': linear(hidden, 10)}

    def loss(p, stats, x, y):
        projected = (x @ p['w'] + p['b']).transpose(1, 0, 2)

        def cell(state, z):
            h, c = state
            i, f, g, o = np.split(z + h @ p['u'], 4, -1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * np.tanh(g)
            return (nn.sigmoid(o) * np.tanh(c), c), None
        zeros = np.zeros((x.shape[0], hidden))
        (h, _), _ = lax.scan(cell, (zeros, zeros), projected)
        return cross_entropy(apply(p['head'], h), y), stats
    return training(params, (), adam(1e-3), loss, normal(32, 64, inputs), labels(10, 32))


makers = {f'matmul{n}': (lambda n=n: matmul(n, n, n)) for n in (64, 256, 512, 1024, 2048)}
makers['matmul64x784x256'] = lambda: matmul(64, 784, 256)
makers['matmul1x4096x4096'] = lambda: matmul(1, 4096, 4096)
makers.update(xor_mlp=xor_mlp, mnist_mlp=mnist_mlp, wide_mlp=wide_mlp, cnn=cnn, resnet20=resnet20, gpt_mini=gpt_mini, lstm=lstm)
live = {}

print(json.dumps({'version': jax.__version__}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    name = request['case']
    try:
        if name not in live:
            live.clear()  # one model at a time
            live[name] = makers[name]()
            live[name]()
    except Exception as error:
        print(json.dumps({'error': f'{type(error).__name__}: {error}'}), flush=True)
        live.clear()
        continue
    run, times, end = live[name], [], time.perf_counter() + request['seconds']
    while time.perf_counter() < end or len(times) < 3:
        t = clock()
        run()
        times.append(clock() - t)
    times.sort()
    print(json.dumps({'ms': times[len(times) // 2] * 1e3}), flush=True)
