// One row for each layer, function, loss and optimizer: its inputs, what makes the call here, and the same as a Python expression.
// Forward and backward, float32; a module's parameters are differentiated too.
import * as cr from 'chainrule';
import * as nn from 'chainrule/nn';
import * as optim from 'chainrule/optim';

const input =
  (kind, grad = false) =>
  (...shape) => ({ kind, shape, grad });
const x = input('normal', true);
const fixed = input('normal');
const uniform = input('uniform');
const ids = (high, ...shape) => ({ kind: 'integers', shape, high });
const signs = input('signs');
const logs = input('logProbabilities', true);
const positive = input('uniform', true);
const definite = (n) => ({ kind: 'definite', shape: [n, n], grad: true });
const symmetric = (n) => ({ kind: 'symmetric', shape: [n, n], grad: true });
const causal = (n) => ({ kind: 'causal', shape: [n, n] });
const padding = input('padding');

const row = (name, inputs, ours, torch) => ({ name, inputs, ours, torch });
/** A function of tensors. */
const fn = (name, inputs, ours, torch) => row(name, inputs, () => ours, torch);
const step = (name, ours, torch) => ({ name, inputs: [], ours, torch, step: true });

const image = x(16, 64, 32, 32);
const hidden = x(32, 128, 512);
const pair = [x(1024, 512), x(1024, 512)];
const sumOf = (tensors) => Object.values(tensors).reduce((a, b) => a.add(b));

class SelfAttention extends nn.Module {
  constructor(width, heads, needWeights = false) {
    super();
    this.attention = new nn.MultiheadAttention(width, heads, { batchFirst: true });
    this.needWeights = needWeights;
  }
  forward(x, keyPaddingMask = null) {
    return this.attention.forward(x, x, x, { keyPaddingMask, needWeights: this.needWeights });
  }
}

const layers = [
  row('Linear', [x(512, 512)], () => new nn.Linear(512, 512), 'nn.Linear(512, 512)'),
  row('Bilinear', [x(64, 64), x(64, 64)], () => new nn.Bilinear(64, 64, 32), 'nn.Bilinear(64, 64, 32)'),
  row('Conv1d', [x(16, 64, 256)], () => new nn.Conv1d(64, 64, 3, { padding: 1 }), 'nn.Conv1d(64, 64, 3, padding=1)'),
  row('Conv2d', [x(8, 64, 28, 28)], () => new nn.Conv2d(64, 64, 3, { padding: 1 }), 'nn.Conv2d(64, 64, 3, padding=1)'),
  row('Conv2d_1x1', [x(8, 64, 28, 28)], () => new nn.Conv2d(64, 128, 1), 'nn.Conv2d(64, 128, 1)'),
  row(
    'Conv2d_stride2',
    [x(8, 64, 28, 28)],
    () => new nn.Conv2d(64, 128, 3, { stride: 2, padding: 1 }),
    'nn.Conv2d(64, 128, 3, stride=2, padding=1)',
  ),
  row('Conv2d_5x5', [x(8, 32, 28, 28)], () => new nn.Conv2d(32, 32, 5, { padding: 2 }), 'nn.Conv2d(32, 32, 5, padding=2)'),
  row(
    'Conv2d_7x7s2',
    [x(4, 3, 112, 112)],
    () => new nn.Conv2d(3, 64, 7, { stride: 2, padding: 3 }),
    'nn.Conv2d(3, 64, 7, stride=2, padding=3)',
  ),
  row(
    'Conv2d_depthwise',
    [x(8, 64, 28, 28)],
    () => new nn.Conv2d(64, 64, 3, { padding: 1, groups: 64 }),
    'nn.Conv2d(64, 64, 3, padding=1, groups=64)',
  ),
  row(
    'Conv2d_grouped',
    [x(8, 64, 28, 28)],
    () => new nn.Conv2d(64, 64, 3, { padding: 1, groups: 4 }),
    'nn.Conv2d(64, 64, 3, padding=1, groups=4)',
  ),
  row(
    'Conv2d_dilated',
    [x(8, 64, 28, 28)],
    () => new nn.Conv2d(64, 64, 3, { padding: 2, dilation: 2 }),
    'nn.Conv2d(64, 64, 3, padding=2, dilation=2)',
  ),
  row('Conv3d', [x(2, 16, 16, 28, 28)], () => new nn.Conv3d(16, 32, 3, { padding: 1 }), 'nn.Conv3d(16, 32, 3, padding=1)'),
  row(
    'ConvTranspose2d',
    [x(8, 64, 14, 14)],
    () => new nn.ConvTranspose2d(64, 32, 4, { stride: 2, padding: 1 }),
    'nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)',
  ),
  row(
    'ConvTranspose2d_k2',
    [x(8, 64, 14, 14)],
    () => new nn.ConvTranspose2d(64, 32, 2, { stride: 2 }),
    'nn.ConvTranspose2d(64, 32, 2, stride=2)',
  ),
  row('MaxPool2d', [image], () => new nn.MaxPool2d(2), 'nn.MaxPool2d(2)'),
  row('MaxPool2d_3s2', [image], () => new nn.MaxPool2d(3, { stride: 2, padding: 1 }), 'nn.MaxPool2d(3, stride=2, padding=1)'),
  row('MaxPool1d', [x(16, 64, 1024)], () => new nn.MaxPool1d(2), 'nn.MaxPool1d(2)'),
  row('AvgPool2d', [image], () => new nn.AvgPool2d(2), 'nn.AvgPool2d(2)'),
  row('AvgPool2d_3s1', [image], () => new nn.AvgPool2d(3, { stride: 1, padding: 1 }), 'nn.AvgPool2d(3, stride=1, padding=1)'),
  row('AdaptiveAvgPool2d', [image], () => new nn.AdaptiveAvgPool2d(1), 'nn.AdaptiveAvgPool2d(1)'),
  row('AdaptiveAvgPool2d_7', [image], () => new nn.AdaptiveAvgPool2d(7), 'nn.AdaptiveAvgPool2d(7)'),
  row('AdaptiveMaxPool2d', [image], () => new nn.AdaptiveMaxPool2d(4), 'nn.AdaptiveMaxPool2d(4)'),
  row('LPPool2d', [image], () => new nn.LPPool2d(2, 2), 'nn.LPPool2d(2, 2)'),
  row('BatchNorm1d', [x(512, 512)], () => new nn.BatchNorm1d(512), 'nn.BatchNorm1d(512)'),
  row('BatchNorm2d', [image], () => new nn.BatchNorm2d(64), 'nn.BatchNorm2d(64)'),
  row('BatchNorm2d_eval', [image], () => new nn.BatchNorm2d(64).eval(), 'nn.BatchNorm2d(64).eval()'),
  row('LayerNorm', [hidden], () => new nn.LayerNorm(512), 'nn.LayerNorm(512)'),
  row('RMSNorm', [hidden], () => new nn.RMSNorm(512), 'RMSNorm(512)'),
  row('GroupNorm', [image], () => new nn.GroupNorm(8, 64), 'nn.GroupNorm(8, 64)'),
  row('InstanceNorm2d', [image], () => new nn.InstanceNorm2d(64), 'nn.InstanceNorm2d(64)'),
  row('LocalResponseNorm', [image], () => new nn.LocalResponseNorm(5), 'nn.LocalResponseNorm(5)'),
  row('Embedding', [ids(10000, 32, 128)], () => new nn.Embedding(10000, 128), 'nn.Embedding(10000, 128)'),
  row('EmbeddingBag_mean', [ids(10000, 128, 32)], () => new nn.EmbeddingBag(10000, 128), 'nn.EmbeddingBag(10000, 128)'),
  row(
    'EmbeddingBag_sum',
    [ids(10000, 128, 32)],
    () => new nn.EmbeddingBag(10000, 128, { mode: 'sum' }),
    "nn.EmbeddingBag(10000, 128, mode='sum')",
  ),
  row(
    'EmbeddingBag_max',
    [ids(10000, 128, 32)],
    () => new nn.EmbeddingBag(10000, 128, { mode: 'max' }),
    "nn.EmbeddingBag(10000, 128, mode='max')",
  ),
  row('Dropout', [hidden], () => new nn.Dropout(0.1), 'nn.Dropout(0.1)'),
  row('Dropout2d', [image], () => new nn.Dropout2d(0.1), 'nn.Dropout2d(0.1)'),
  row('AlphaDropout', [hidden], () => new nn.AlphaDropout(0.1), 'nn.AlphaDropout(0.1)'),
];

const sequences = [
  row('RNN', [x(64, 32, 128)], () => new nn.RNN(128, 128), 'nn.RNN(128, 128)'),
  row('RNN_relu', [x(64, 32, 128)], () => new nn.RNN(128, 128, { nonlinearity: 'relu' }), "nn.RNN(128, 128, nonlinearity='relu')"),
  row('LSTM', [x(64, 32, 128)], () => new nn.LSTM(128, 256), 'nn.LSTM(128, 256)'),
  row(
    'LSTM_bidirectional',
    [x(64, 32, 128)],
    () => new nn.LSTM(128, 128, { bidirectional: true }),
    'nn.LSTM(128, 128, bidirectional=True)',
  ),
  row('LSTM_2layers', [x(64, 32, 128)], () => new nn.LSTM(128, 128, { numLayers: 2 }), 'nn.LSTM(128, 128, num_layers=2)'),
  row('LSTM_batch1', [x(64, 1, 128)], () => new nn.LSTM(128, 128), 'nn.LSTM(128, 128)'),
  row('LSTM_projection', [x(64, 32, 128)], () => new nn.LSTM(128, 128, { projSize: 64 }), 'nn.LSTM(128, 128, proj_size=64)'),
  row('GRU', [x(64, 32, 128)], () => new nn.GRU(128, 256), 'nn.GRU(128, 256)'),
  row('GRU_bidirectional', [x(64, 32, 128)], () => new nn.GRU(128, 128, { bidirectional: true }), 'nn.GRU(128, 128, bidirectional=True)'),
  row('GRU_2layers', [x(64, 32, 128)], () => new nn.GRU(128, 128, { numLayers: 2 }), 'nn.GRU(128, 128, num_layers=2)'),
  row('LSTMCell', [x(64, 128)], () => new nn.LSTMCell(128, 128), 'nn.LSTMCell(128, 128)'),
  row('GRUCell', [x(64, 128)], () => new nn.GRUCell(128, 128), 'nn.GRUCell(128, 128)'),
  fn(
    'attention',
    [x(8, 4, 128, 64), x(8, 4, 128, 64), x(8, 4, 128, 64)],
    (q, k, v) => cr.scaledDotProductAttention(q, k, v),
    'lambda q, k, v: attention(q, k, v)',
  ),
  fn(
    'attention_causal',
    [x(8, 4, 128, 64), x(8, 4, 128, 64), x(8, 4, 128, 64)],
    (q, k, v) => cr.scaledDotProductAttention(q, k, v, { isCausal: true }),
    'lambda q, k, v: attention(q, k, v, is_causal=True)',
  ),
  fn(
    'attention_mask',
    [x(8, 4, 128, 64), x(8, 4, 128, 64), x(8, 4, 128, 64), causal(128)],
    (q, k, v, attnMask) => cr.scaledDotProductAttention(q, k, v, { attnMask }),
    'lambda q, k, v, m: attention(q, k, v, mask=m)',
  ),
  fn(
    'attention_512',
    [x(2, 4, 512, 64), x(2, 4, 512, 64), x(2, 4, 512, 64)],
    (q, k, v) => cr.scaledDotProductAttention(q, k, v),
    'lambda q, k, v: attention(q, k, v)',
  ),
  row('MultiheadAttention', [x(8, 128, 256)], () => new SelfAttention(256, 4), 'SelfAttention(256, 4)'),
  row('MultiheadAttention_padding', [x(8, 128, 256), padding(8, 128)], () => new SelfAttention(256, 4), 'SelfAttention(256, 4)'),
  row('MultiheadAttention_weights', [x(8, 128, 256)], () => new SelfAttention(256, 4, true), 'SelfAttention(256, 4, True)'),
  row(
    'TransformerEncoderLayer',
    [x(8, 128, 256)],
    () => new nn.TransformerEncoderLayer(256, 4, { dimFeedforward: 1024, batchFirst: true }),
    'nn.TransformerEncoderLayer(256, 4, dim_feedforward=1024, batch_first=True)',
  ),
  row(
    'TransformerDecoderLayer',
    [x(8, 64, 256), x(8, 64, 256)],
    () => new nn.TransformerDecoderLayer(256, 4, { dimFeedforward: 1024, batchFirst: true }),
    'nn.TransformerDecoderLayer(256, 4, dim_feedforward=1024, batch_first=True)',
  ),
];

/** Of 2^20 elements, forward and backward. */
const pointwise = [
  ['relu', (a) => a.relu(), 'F.relu'],
  ['leakyRelu', (a) => a.leakyRelu(), 'F.leaky_relu'],
  ['elu', (a) => a.elu(), 'F.elu'],
  ['selu', (a) => a.selu(), 'F.selu'],
  ['gelu', (a) => a.gelu(), 'F.gelu'],
  ['gelu_tanh', (a) => a.gelu({ approximate: 'tanh' }), "lambda a: F.gelu(a, approximate='tanh')"],
  ['silu', (a) => a.silu(), 'F.silu'],
  ['mish', (a) => a.mish(), 'F.mish'],
  ['sigmoid', (a) => a.sigmoid(), 'torch.sigmoid'],
  ['tanh', (a) => a.tanh(), 'torch.tanh'],
  ['softplus', (a) => a.softplus(), 'F.softplus'],
  ['hardswish', (a) => a.hardswish(), 'F.hardswish'],
  ['logsigmoid', (a) => a.logsigmoid(), 'F.logsigmoid'],
  ['exp', (a) => a.exp(), 'torch.exp'],
  ['erf', (a) => a.erf(), 'torch.erf'],
  ['sin', (a) => a.sin(), 'torch.sin'],
  ['pow3', (a) => a.pow(3), 'lambda a: a ** 3'],
  ['glu', (a) => a.glu(), 'F.glu'],
].map(([name, ours, torch]) => fn(name, [x(1024, 1024)], ours, torch));

const functions = [
  row('PReLU', [image], () => new nn.PReLU({ numParameters: 64 }), 'nn.PReLU(64)'),
  fn('softmax', [x(1024, 1000)], (a) => a.softmax(), 'lambda a: F.softmax(a, -1)'),
  fn('softmax_dim1', [image], (a) => a.softmax({ dim: 1 }), 'lambda a: F.softmax(a, 1)'),
  fn('logSoftmax', [x(1024, 1000)], (a) => a.logSoftmax(), 'lambda a: F.log_softmax(a, -1)'),
  fn('logsumexp', [x(1024, 1000)], (a) => a.logsumexp({ dim: 1 }), 'lambda a: torch.logsumexp(a, 1)'),
  fn('normalize', [x(1024, 1000)], (a) => a.normalize(), 'F.normalize'),
  fn('sum', [x(1024, 1024)], (a) => a.sum(), 'torch.sum'),
  fn('mean_dim0', [x(1024, 1024)], (a) => a.mean({ dim: 0 }), 'lambda a: a.mean(0)'),
  fn('var', [x(1024, 1024)], (a) => a.var({ dim: 1 }), 'lambda a: a.var(1)'),
  fn('max_dim1', [x(1024, 1024)], (a) => a.max({ dim: 1 }), 'lambda a: a.max(1)'),
  fn('norm', [x(1024, 1024)], (a) => a.norm(), 'torch.norm'),
  fn('prod', [x(1024, 64)], (a) => a.prod({ dim: 1 }), 'lambda a: a.prod(1)'),
  fn('cumsum', [x(1024, 1024)], (a) => a.cumsum(1), 'lambda a: a.cumsum(1)'),
  fn('cumsum_dim0', [x(1024, 1024)], (a) => a.cumsum(0), 'lambda a: a.cumsum(0)'),
  fn('cumprod', [x(1024, 256)], (a) => a.cumprod(1), 'lambda a: a.cumprod(1)'),
  fn('logcumsumexp', [x(1024, 256)], (a) => a.logcumsumexp(1), 'lambda a: a.logcumsumexp(1)'),
  fn('sort', [x(256, 1024)], (a) => a.sort(), 'torch.sort'),
  fn('argsort', [fixed(256, 1024)], (a) => a.argsort(), 'torch.argsort'),
  fn('topk', [x(256, 1024)], (a) => a.topk(10), 'lambda a: a.topk(10)'),
  fn('median', [x(256, 1024)], (a) => a.median({ dim: 1 }), 'lambda a: a.median(1)'),
  fn('gather', [x(1024, 512), ids(512, 1024, 512)], (a, i) => a.gather(1, i), 'lambda a, i: a.gather(1, i)'),
  fn('gather_dim0', [x(1024, 512), ids(1024, 1024, 512)], (a, i) => a.gather(0, i), 'lambda a, i: a.gather(0, i)'),
  fn(
    'scatterAdd',
    [x(1024, 512), ids(512, 1024, 512), x(1024, 512)],
    (a, i, b) => a.scatterAdd(1, i, b),
    'lambda a, i, b: a.scatter_add(1, i, b)',
  ),
  fn(
    'scatterAdd_dim0',
    [x(256, 512), ids(256, 1024, 512), x(1024, 512)],
    (a, i, b) => a.scatterAdd(0, i, b),
    'lambda a, i, b: a.scatter_add(0, i, b)',
  ),
  fn('indexAdd', [x(256, 512), ids(256, 1024), x(1024, 512)], (a, i, b) => a.indexAdd(0, i, b), 'lambda a, i, b: a.index_add(0, i, b)'),
  fn('indexSelect', [x(1024, 512), ids(1024, 1024)], (a, i) => a.indexSelect(0, i), 'lambda a, i: a.index_select(0, i)'),
  fn('index', [x(1024, 512), ids(1024, 1024)], (a, i) => a.index([i]), 'lambda a, i: a[i]'),
  fn(
    'where',
    [x(1024, 1024), x(1024, 1024), fixed(1024, 1024)],
    (a, b, c) => cr.where(c.gt(0), a, b),
    'lambda a, b, c: torch.where(c > 0, a, b)',
  ),
  fn('maskedFill', [x(1024, 1024), fixed(1024, 1024)], (a, c) => a.maskedFill(c.gt(0), 0), 'lambda a, c: a.masked_fill(c > 0, 0)'),
  fn('cat', [x(512, 1024), x(512, 1024)], (a, b) => cr.cat([a, b], { dim: 1 }), 'lambda a, b: torch.cat([a, b], 1)'),
  fn('transpose', [x(1024, 1024)], (a) => a.transpose(0, 1).contiguous(), 'lambda a: a.transpose(0, 1).contiguous()'),
  fn('permute', [image], (a) => a.permute([0, 2, 3, 1]).contiguous(), 'lambda a: a.permute(0, 2, 3, 1).contiguous()'),
  fn('flip', [x(1024, 1024)], (a) => a.flip(1), 'lambda a: a.flip(1)'),
  fn('roll', [x(1024, 1024)], (a) => a.roll(3, { dims: 1 }), 'lambda a: a.roll(3, 1)'),
  fn('repeatInterleave', [x(512, 512)], (a) => a.repeatInterleave(2, { dim: 1 }), 'lambda a: a.repeat_interleave(2, 1)'),
  fn('pad', [image], (a) => a.pad([1, 1, 1, 1]), 'lambda a: F.pad(a, (1, 1, 1, 1))'),
  fn('pad_reflect', [image], (a) => a.pad([1, 1, 1, 1], { mode: 'reflect' }), "lambda a: F.pad(a, (1, 1, 1, 1), mode='reflect')"),
  fn('pad_replicate', [image], (a) => a.pad([1, 1, 1, 1], { mode: 'replicate' }), "lambda a: F.pad(a, (1, 1, 1, 1), mode='replicate')"),
  fn('pad_circular', [image], (a) => a.pad([1, 1, 1, 1], { mode: 'circular' }), "lambda a: F.pad(a, (1, 1, 1, 1), mode='circular')"),
  fn('interpolate_nearest', [x(8, 32, 32, 32)], (a) => cr.interpolate(a, { scaleFactor: 2 }), 'lambda a: F.interpolate(a, scale_factor=2)'),
  fn(
    'interpolate_bilinear',
    [x(8, 32, 32, 32)],
    (a) => cr.interpolate(a, { scaleFactor: 2, mode: 'bilinear' }),
    "lambda a: F.interpolate(a, scale_factor=2, mode='bilinear')",
  ),
  fn(
    'interpolate_bicubic',
    [x(8, 16, 32, 32)],
    (a) => cr.interpolate(a, { scaleFactor: 2, mode: 'bicubic' }),
    "lambda a: F.interpolate(a, scale_factor=2, mode='bicubic')",
  ),
  fn(
    'gridSample',
    [x(4, 16, 64, 64), x(4, 64, 64, 2)],
    (a, g) => cr.gridSample(a, g.tanh()),
    'lambda a, g: F.grid_sample(a, g.tanh(), align_corners=False)',
  ),
  fn(
    'gridSample_nearest',
    [x(4, 16, 64, 64), fixed(4, 64, 64, 2)],
    (a, g) => cr.gridSample(a, g, { mode: 'nearest' }),
    "lambda a, g: F.grid_sample(a, g, mode='nearest', align_corners=False)",
  ),
  row('Unfold', [x(8, 16, 32, 32)], () => new nn.Unfold(3, { padding: 1 }), 'nn.Unfold(3, padding=1)'),
  row('Fold', [x(8, 144, 1024)], () => new nn.Fold([32, 32], 3, { padding: 1 }), 'nn.Fold((32, 32), 3, padding=1)'),
  fn('pixelShuffle', [image], (a) => a.pixelShuffle(2), 'lambda a: F.pixel_shuffle(a, 2)'),
  fn(
    'einsum',
    [x(8, 4, 128, 64), x(8, 4, 128, 64)],
    (a, b) => cr.einsum('bhid,bhjd->bhij', a, b),
    "lambda a, b: torch.einsum('bhid,bhjd->bhij', a, b)",
  ),
  fn(
    'einsum_bilinear',
    [x(64, 64), x(32, 64, 64), x(64, 64)],
    (a, w, b) => cr.einsum('bi,oij,bj->bo', a, w, b),
    "lambda a, w, b: torch.einsum('bi,oij,bj->bo', a, w, b)",
  ),
  fn('bmm', [x(32, 128, 64), x(32, 64, 128)], (a, b) => a.bmm(b), 'torch.bmm'),
  fn('bmm_small', [x(1024, 16, 16), x(1024, 16, 16)], (a, b) => a.bmm(b), 'torch.bmm'),
  fn('mv', [x(1024, 1024), x(1024)], (a, b) => a.mv(b), 'torch.mv'),
  fn('outer', [x(1024), x(1024)], (a, b) => a.outer(b), 'torch.outer'),
  fn('cdist', [x(256, 64), x(256, 64)], (a, b) => a.cdist(b), 'torch.cdist'),
  fn('cosineSimilarity', pair, (a, b) => a.cosineSimilarity(b), 'F.cosine_similarity'),
  fn('pairwiseDistance', pair, (a, b) => a.pairwiseDistance(b), 'F.pairwise_distance'),
];

const classes = [x(512, 1000), ids(1000, 512)];
const values = [x(512, 1000), fixed(512, 1000)];
const probabilities = [x(512, 1000), uniform(512, 1000)];
const losses = [
  fn('crossEntropy', classes, (a, y) => cr.crossEntropy(a, y), 'F.cross_entropy'),
  fn(
    'crossEntropy_smooth',
    classes,
    (a, y) => cr.crossEntropy(a, y, { labelSmoothing: 0.1 }),
    'lambda a, y: F.cross_entropy(a, y, label_smoothing=0.1)',
  ),
  fn(
    'crossEntropy_weight',
    [...classes, uniform(1000)],
    (a, y, weight) => cr.crossEntropy(a, y, { weight }),
    'lambda a, y, w: F.cross_entropy(a, y, weight=w)',
  ),
  fn('crossEntropy_probabilities', probabilities, (a, y) => cr.crossEntropy(a, y), 'F.cross_entropy'),
  fn('crossEntropy_image', [x(4, 21, 64, 64), ids(21, 4, 64, 64)], (a, y) => cr.crossEntropy(a, y), 'F.cross_entropy'),
  fn('nllLoss', [logs(512, 1000), ids(1000, 512)], (a, y) => cr.nllLoss(a, y), 'F.nll_loss'),
  fn('binaryCrossEntropy', [positive(512, 1000), uniform(512, 1000)], (a, y) => cr.binaryCrossEntropy(a, y), 'F.binary_cross_entropy'),
  fn('binaryCrossEntropyWithLogits', probabilities, (a, y) => cr.binaryCrossEntropyWithLogits(a, y), 'F.binary_cross_entropy_with_logits'),
  fn('mseLoss', values, (a, y) => cr.mseLoss(a, y), 'F.mse_loss'),
  fn('l1Loss', values, (a, y) => cr.l1Loss(a, y), 'F.l1_loss'),
  fn('smoothL1Loss', values, (a, y) => cr.smoothL1Loss(a, y), 'F.smooth_l1_loss'),
  fn('huberLoss', values, (a, y) => cr.huberLoss(a, y), 'F.huber_loss'),
  fn(
    'klDiv',
    [logs(512, 1000), uniform(512, 1000)],
    (a, y) => cr.klDiv(a, y, { reduction: 'batchmean' }),
    "lambda a, y: F.kl_div(a, y, reduction='batchmean')",
  ),
  fn('poissonNllLoss', probabilities, (a, y) => cr.poissonNllLoss(a, y), 'F.poisson_nll_loss'),
  fn('gaussianNllLoss', [...values, positive(512, 1000)], (a, y, v) => cr.gaussianNllLoss(a, y, v), 'F.gaussian_nll_loss'),
  fn('softMarginLoss', [x(512, 1000), signs(512, 1000)], (a, y) => cr.softMarginLoss(a, y), 'F.soft_margin_loss'),
  fn('hingeEmbeddingLoss', [x(512, 1000), signs(512, 1000)], (a, y) => cr.hingeEmbeddingLoss(a, y), 'F.hinge_embedding_loss'),
  fn('marginRankingLoss', [x(65536), x(65536), signs(65536)], (a, b, y) => cr.marginRankingLoss(a, b, y), 'F.margin_ranking_loss'),
  fn(
    'cosineEmbeddingLoss',
    [x(512, 512), x(512, 512), signs(512)],
    (a, b, y) => cr.cosineEmbeddingLoss(a, b, y),
    'F.cosine_embedding_loss',
  ),
  fn('tripletMarginLoss', [x(512, 512), x(512, 512), x(512, 512)], (a, b, c) => cr.tripletMarginLoss(a, b, c), 'F.triplet_margin_loss'),
  fn('multiMarginLoss', classes, (a, y) => cr.multiMarginLoss(a, y), 'F.multi_margin_loss'),
  fn('multilabelMarginLoss', [x(128, 100), ids(100, 128, 100)], (a, y) => cr.multilabelMarginLoss(a, y), 'F.multilabel_margin_loss'),
  fn('multilabelSoftMarginLoss', probabilities, (a, y) => cr.multilabelSoftMarginLoss(a, y), 'F.multilabel_soft_margin_loss'),
  fn(
    'ctcLoss',
    [logs(128, 32, 40), ids(39, 32, 20)],
    (a, y) => cr.ctcLoss(a, y.add(1), Array(32).fill(128), Array(32).fill(20)),
    'lambda a, y: F.ctc_loss(a, y + 1, (128,) * 32, (20,) * 32)',
  ),
  fn(
    'ctcLoss_long',
    [logs(512, 8, 80), ids(79, 8, 100)],
    (a, y) => cr.ctcLoss(a, y.add(1), Array(8).fill(512), Array(8).fill(100)),
    'lambda a, y: F.ctc_loss(a, y + 1, (512,) * 8, (100,) * 8)',
  ),
];

/** PyTorch differentiates nothing that depends on the phases of eigenvectors. */
function withoutPhase(a) {
  const { eigenvalues, eigenvectors } = cr.linalg.eig(a);
  return eigenvalues.select(-1, 0).add(eigenvectors.square().sum({ dim: -1 }));
}
/** Gradients of every order of the factors are products of the factors: both are measured. */
const factors = [64, 128, 256].flatMap((n) => [
  fn(`cholesky${n}`, [definite(n)], (a) => cr.linalg.cholesky(a), 'torch.linalg.cholesky'),
  fn(`solve${n}`, [definite(n), x(n, 8)], (a, b) => cr.linalg.solve(a, b), 'torch.linalg.solve'),
  fn(`inv${n}`, [definite(n)], (a) => cr.linalg.inv(a), 'torch.linalg.inv'),
  fn(`slogdet${n}`, [definite(n)], (a) => cr.linalg.slogdet(a).logabsdet, 'lambda a: torch.linalg.slogdet(a)[1]'),
  fn(`qr${n}`, [x(n, n)], (a) => sumOf(cr.linalg.qr(a)), 'lambda a: sum(torch.linalg.qr(a))'),
  fn(`eigh${n}`, [symmetric(n)], (a) => sumOf(cr.linalg.eigh(a)), 'lambda a: sum(torch.linalg.eigh(a))'),
  fn(`eig${n}`, [x(n, n)], withoutPhase, 'lambda a: (lambda w, v: w.real + v.abs().square())(*torch.linalg.eig(a))'),
  fn(`svd${n}`, [x(n, n)], (a) => sumOf(cr.linalg.svd(a)), 'lambda a: sum(torch.linalg.svd(a))'),
]);

const optimizers = [
  step('SGD', (p) => new optim.SGD(p, { lr: 1e-3 }), 'lambda p: optim.SGD(p, lr=1e-3)'),
  step('SGD_momentum', (p) => new optim.SGD(p, { lr: 1e-3, momentum: 0.9 }), 'lambda p: optim.SGD(p, lr=1e-3, momentum=0.9)'),
  step('Adam', (p) => new optim.Adam(p), 'lambda p: optim.Adam(p)'),
  step('AdamW', (p) => new optim.AdamW(p), 'lambda p: optim.AdamW(p)'),
  step('Adamax', (p) => new optim.Adamax(p), 'lambda p: optim.Adamax(p)'),
  step('NAdam', (p) => new optim.NAdam(p), 'lambda p: optim.NAdam(p)'),
  step('RAdam', (p) => new optim.RAdam(p), 'lambda p: optim.RAdam(p)'),
  step('RMSprop', (p) => new optim.RMSprop(p), 'lambda p: optim.RMSprop(p)'),
  step('Adagrad', (p) => new optim.Adagrad(p), 'lambda p: optim.Adagrad(p)'),
  step('Adadelta', (p) => new optim.Adadelta(p), 'lambda p: optim.Adadelta(p)'),
  step('Rprop', (p) => new optim.Rprop(p), 'lambda p: optim.Rprop(p)'),
  step('ASGD', (p) => new optim.ASGD(p), 'lambda p: optim.ASGD(p)'),
  step('LAMB', (p) => new optim.LAMB(p), 'lambda p: Lamb(p)'),
  step('Muon', (p) => new optim.Muon(p), 'lambda p: optim.Muon(p)'),
];

export const rows = [...layers, ...sequences, ...pointwise, ...functions, ...losses, ...factors, ...optimizers];
