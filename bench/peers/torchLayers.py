# The rows of ../layerRows.mjs in PyTorch: inputs are made by kind, the call is the row's own expression.
import torch
import torch.nn as nn
import torch.nn.functional as F


def definite(shape):
    a = torch.randn(*shape)
    return a @ a.T / shape[0] + torch.eye(shape[0])


def symmetric(shape):
    a = torch.randn(*shape)
    return a + a.T


def padding(shape):
    n, length = shape
    return torch.arange(length)[None, :] >= length - 3 * torch.arange(n)[:, None]


makers = {
    'normal': lambda of: torch.randn(*of['shape']),
    'uniform': lambda of: torch.rand(*of['shape']),
    'integers': lambda of: torch.randint(0, of['high'], tuple(of['shape'])),
    'signs': lambda of: torch.randint(0, 2, tuple(of['shape'])).float() * 2 - 1,
    'logProbabilities': lambda of: F.log_softmax(torch.randn(*of['shape']), -1),
    'definite': lambda of: definite(of['shape']),
    'symmetric': lambda of: symmetric(of['shape']),
    'causal': lambda of: torch.full(of['shape'], float('-inf')).triu(1),
    'padding': lambda of: padding(of['shape']),
}


class RMSNorm(nn.Module):
    """For PyTorch before 2.4."""
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def attention(q, k, v, mask=None, is_causal=False):
    if hasattr(F, 'scaled_dot_product_attention'):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal)
    if is_causal:  # PyTorch before 2.0
        mask = torch.full((q.shape[-2], k.shape[-2]), float('-inf')).triu(1)
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    return F.softmax(scores if mask is None else scores + mask, -1) @ v


class SelfAttention(nn.Module):
    def __init__(self, width, heads, weights=False):
        super().__init__()
        self.attention, self.weights = nn.MultiheadAttention(width, heads, batch_first=True), weights

    def forward(self, x, padding=None):
        return self.attention(x, x, x, key_padding_mask=padding, need_weights=self.weights)


class Lamb(torch.optim.Optimizer):
    """LAMB as one would write it by hand: PyTorch has none."""
    def __init__(self, params, lr=1e-3):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]['params']:
            state = self.state[p]
            if not state:
                state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
            state['t'] += 1
            state['m'].mul_(0.9).add_(p.grad, alpha=0.1)
            state['v'].mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
            m, v = state['m'] / (1 - 0.9 ** state['t']), state['v'] / (1 - 0.999 ** state['t'])
            update = m / (v.sqrt() + 1e-6) + 0.01 * p
            trust = p.norm() / update.norm()
            p.add_(update * trust, alpha=-self.param_groups[0]['lr'])


names = {'torch': torch, 'nn': nn, 'F': F, 'optim': torch.optim, 'RMSNorm': getattr(nn, 'RMSNorm', RMSNorm)}
names.update(attention=attention, SelfAttention=SelfAttention, Lamb=Lamb)


def optimizer_step(build):
    params = [nn.Parameter(torch.randn(256, 256)) for _ in range(16)]
    for p in params:
        p.grad = torch.randn(256, 256)
    optimizer = build(params)
    return optimizer.step


def make(request):
    call = eval(request['torch'], names)
    if request['step']:
        return optimizer_step(call)
    inputs = [makers[of['kind']](of) for of in request['inputs']]
    leaves = [x.requires_grad_() for x, of in zip(inputs, request['inputs']) if of.get('grad')]
    leaves += list(call.parameters()) if isinstance(call, nn.Module) else []
    first = lambda result: result[0] if isinstance(result, (tuple, list)) else result
    y = first(call(*inputs))
    gradient = torch.randn(*y.shape) if y.ndim else None

    def run():
        for leaf in leaves:
            leaf.grad = None
        y = first(call(*inputs))
        if leaves:
            y.backward(gradient)
        return y
    return run
