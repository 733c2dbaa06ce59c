// How every module of chainrule/nn is made and called. test/suites/modules.test.ts fails where a class has no row here.
import {
  bernoulli,
  maxPool1dWithIndices,
  maxPool2dWithIndices,
  maxPool3dWithIndices,
  ones,
  rand,
  randint,
  randn,
  type Tensor,
  tensor,
} from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';

export type AnyModule = nn.Module<readonly never[], unknown>;

export interface ModuleRow {
  make(): AnyModule;
  inputs(): readonly Tensor[];
  /** Where it is not `forward` with the inputs alone. */
  call?(module: AnyModule, inputs: readonly Tensor[]): unknown;
  /** It draws random numbers in evaluation too. */
  readonly draws?: true;
}

/** What a class is when nobody can make one of it. */
export type Rows = readonly ModuleRow[] | 'abstract';

const row = (make: () => AnyModule, inputs: () => readonly Tensor[], call?: ModuleRow['call']): ModuleRow => ({
  make,
  inputs,
  ...(call && { call }),
});
/** Of one input with this shape. */
const on = (shape: readonly number[], ...makes: readonly (() => AnyModule)[]): ModuleRow[] =>
  makes.map((make) => row(make, () => [randn(shape)]));
const ids = (below: number, shape: readonly number[]): Tensor => randint(0, below, shape);
const bits = (shape: readonly number[]): Tensor => bernoulli(ones(shape).mul(0.5));
/** Either of 1 and -1. */
const signs = (shape: readonly number[]): Tensor => bits(shape).mul(2).sub(1);
const plain = [4, 6] as const;
const image = [2, 4, 7, 6] as const;
const volume = [2, 4, 5, 4, 6] as const;
const series = [2, 4, 9] as const;
/** A container that has no forward of its own is used by one that does. */
type Call<M> = (module: M, inputs: readonly Tensor[]) => unknown;
const using =
  <M>(call: Call<M>): NonNullable<ModuleRow['call']> =>
  (module, inputs) =>
    call(module as unknown as M, inputs);

const pointwise: Readonly<Record<string, Rows>> = {
  CELU: on(plain, () => new nn.CELU()),
  ELU: on(plain, () => new nn.ELU()),
  GELU: on(
    plain,
    () => new nn.GELU(),
    () => new nn.GELU({ approximate: 'tanh' }),
  ),
  GLU: on(plain, () => new nn.GLU()),
  Hardshrink: on(plain, () => new nn.Hardshrink()),
  Hardsigmoid: on(plain, () => new nn.Hardsigmoid()),
  Hardswish: on(plain, () => new nn.Hardswish()),
  Hardtanh: on(plain, () => new nn.Hardtanh()),
  Identity: on(plain, () => new nn.Identity()),
  LeakyReLU: on(plain, () => new nn.LeakyReLU()),
  LogSigmoid: on(plain, () => new nn.LogSigmoid()),
  LogSoftmax: on(plain, () => new nn.LogSoftmax(1)),
  Mish: on(plain, () => new nn.Mish()),
  PReLU: on(plain, () => new nn.PReLU()),
  RReLU: on(plain, () => new nn.RReLU()),
  ReLU: on(plain, () => new nn.ReLU()),
  ReLU6: on(plain, () => new nn.ReLU6()),
  SELU: on(plain, () => new nn.SELU()),
  SiLU: on(plain, () => new nn.SiLU()),
  Sigmoid: on(plain, () => new nn.Sigmoid()),
  Softmax: on(plain, () => new nn.Softmax({ dim: 1, temperature: 2 })),
  Softmax2d: on(image, () => new nn.Softmax2d()),
  Softmin: on(plain, () => new nn.Softmin(1)),
  Softplus: on(plain, () => new nn.Softplus()),
  Softshrink: on(plain, () => new nn.Softshrink()),
  Softsign: on(plain, () => new nn.Softsign()),
  StraightThroughStep: on(plain, () => new nn.StraightThroughStep()),
  Swish: on(plain, () => new nn.Swish()),
  Tanh: on(plain, () => new nn.Tanh()),
  Tanhshrink: on(plain, () => new nn.Tanhshrink()),
  Threshold: on(plain, () => new nn.Threshold(0.1, 0.5)),
};

const spatial: Readonly<Record<string, Rows>> = {
  AdaptiveAvgPool1d: on(series, () => new nn.AdaptiveAvgPool1d(4)),
  AdaptiveAvgPool2d: on(image, () => new nn.AdaptiveAvgPool2d([3, 2])),
  AdaptiveAvgPool3d: on(volume, () => new nn.AdaptiveAvgPool3d(2)),
  AdaptiveMaxPool1d: on(series, () => new nn.AdaptiveMaxPool1d(4)),
  AdaptiveMaxPool2d: on(image, () => new nn.AdaptiveMaxPool2d([3, 2])),
  AdaptiveMaxPool3d: on(volume, () => new nn.AdaptiveMaxPool3d(2)),
  AvgPool1d: on(series, () => new nn.AvgPool1d(3)),
  AvgPool2d: on(image, () => new nn.AvgPool2d(2, { padding: 1 })),
  AvgPool3d: on(volume, () => new nn.AvgPool3d(2)),
  MaxPool1d: on(series, () => new nn.MaxPool1d(3)),
  MaxPool2d: on(image, () => new nn.MaxPool2d(3, { stride: 2, padding: 1 })),
  MaxPool3d: on(volume, () => new nn.MaxPool3d(2)),
  Conv1d: on(series, () => new nn.Conv1d(4, 5, 3, { padding: 1 })),
  Conv2d: on(
    image,
    () => new nn.Conv2d(4, 6, 3, { padding: 1, bias: false }),
    () => new nn.Conv2d(4, 4, 3, { groups: 4, stride: 2 }),
  ),
  Conv3d: on(volume, () => new nn.Conv3d(4, 3, 2)),
  ConvTranspose1d: on(series, () => new nn.ConvTranspose1d(4, 3, 3, { stride: 2 })),
  ConvTranspose2d: on(image, () => new nn.ConvTranspose2d(4, 3, 3, { stride: 2, padding: 1, outputPadding: 1 })),
  ConvTranspose3d: on(volume, () => new nn.ConvTranspose3d(4, 2, 2)),
  ConstantPad1d: on(series, () => new nn.ConstantPad1d(1, 0.5)),
  ZeroPad1d: on(series, () => new nn.ZeroPad1d([1, 2])),
  ReflectionPad1d: on(series, () => new nn.ReflectionPad1d(1)),
  ReplicationPad1d: on(series, () => new nn.ReplicationPad1d(1)),
  CircularPad1d: on(series, () => new nn.CircularPad1d(1)),
  ConstantPad2d: on(image, () => new nn.ConstantPad2d(1, 0.5)),
  ZeroPad2d: on(image, () => new nn.ZeroPad2d([1, 2, 0, 1])),
  ReflectionPad2d: on(image, () => new nn.ReflectionPad2d(1)),
  ReplicationPad2d: on(image, () => new nn.ReplicationPad2d(1)),
  CircularPad2d: on(image, () => new nn.CircularPad2d(1)),
  ConstantPad3d: on(volume, () => new nn.ConstantPad3d(1, 0.5)),
  ZeroPad3d: on(volume, () => new nn.ZeroPad3d([1, 2, 0, 1, 0, 1])),
  ReflectionPad3d: on(volume, () => new nn.ReflectionPad3d(1)),
  ReplicationPad3d: on(volume, () => new nn.ReplicationPad3d(1)),
  CircularPad3d: on(volume, () => new nn.CircularPad3d(1)),
  ChannelShuffle: on(image, () => new nn.ChannelShuffle(2)),
  Fold: on([2, 12, 20], () => new nn.Fold([6, 5], 2)),
  FractionalMaxPool2d: drawing(on(image, () => new nn.FractionalMaxPool2d(2, { outputSize: 3 }))),
  FractionalMaxPool3d: drawing(on(volume, () => new nn.FractionalMaxPool3d(2, { outputSize: 2 }))),
  LPPool1d: on(series, () => new nn.LPPool1d(2, 3)),
  LPPool2d: on(image, () => new nn.LPPool2d(2, 2)),
  LPPool3d: on(volume, () => new nn.LPPool3d(2, 2)),
  MaxUnpool1d: unpooled(
    series,
    (x) => maxPool1dWithIndices(x, 2),
    () => new nn.MaxUnpool1d(2),
  ),
  MaxUnpool2d: unpooled(
    image,
    (x) => maxPool2dWithIndices(x, 2),
    () => new nn.MaxUnpool2d(2),
  ),
  MaxUnpool3d: unpooled(
    volume,
    (x) => maxPool3dWithIndices(x, 2),
    () => new nn.MaxUnpool3d(2),
  ),
  PixelShuffle: on(image, () => new nn.PixelShuffle(2)),
  PixelUnshuffle: on([2, 3, 6, 4], () => new nn.PixelUnshuffle(2)),
  Unfold: on(image, () => new nn.Unfold(2, { padding: 1 })),
  Upsample: on(image, () => new nn.Upsample({ scaleFactor: 2, mode: 'bicubic' })),
  UpsamplingBilinear2d: on(image, () => new nn.UpsamplingBilinear2d({ scaleFactor: 2 })),
  UpsamplingNearest2d: on(image, () => new nn.UpsamplingNearest2d({ size: [5, 9] })),
  PatchEmbedding: on(
    [2, 3, 8, 8],
    () => new nn.PatchEmbedding(4, { embedDim: 6 }),
    () => new nn.PatchEmbedding(4, { embedDim: 6, classToken: true }),
  ),
  SegmentationHead: on(image, () => new nn.SegmentationHead(4, 3)),
  DetectionHead: on(image, () => new nn.DetectionHead(4, 3, { anchors: 2 })),
  Flatten: on(image, () => new nn.Flatten()),
  Unflatten: on(plain, () => new nn.Unflatten(1, [2, 3])),
};

const norms: Readonly<Record<string, Rows>> = {
  BatchNorm: 'abstract',
  BatchNorm1d: [...on(plain, () => new nn.BatchNorm1d(6)), ...on(series, () => new nn.BatchNorm1d(4, { momentum: null }))],
  BatchNorm2d: on(image, () => new nn.BatchNorm2d(4)),
  BatchNorm3d: on(volume, () => new nn.BatchNorm3d(4, { affine: false })),
  GroupNorm: on(image, () => new nn.GroupNorm(2, 4)),
  InstanceNorm1d: on(series, () => new nn.InstanceNorm1d(4)),
  InstanceNorm2d: on(image, () => new nn.InstanceNorm2d(4, { affine: true, trackRunningStats: true })),
  InstanceNorm3d: on(volume, () => new nn.InstanceNorm3d(4)),
  LayerNorm: on(plain, () => new nn.LayerNorm(6)),
  LocalResponseNorm: on(image, () => new nn.LocalResponseNorm(3)),
  RMSNorm: on(plain, () => new nn.RMSNorm(6)),
};

/** Layers that a first input has given their size. */
const seen = (shape: readonly number[], make: () => AnyModule): Rows =>
  on(shape, () => {
    const module = make();
    module.forward(...([randn(shape)] as unknown as readonly never[]));
    return module;
  });
const lazy: Readonly<Record<string, Rows>> = {
  LazyModule: 'abstract',
  LazyLinear: seen(plain, () => new nn.LazyLinear(5)),
  LazyConv1d: seen(series, () => new nn.LazyConv1d(5, 3, { padding: 1 })),
  LazyConv2d: seen(image, () => new nn.LazyConv2d(4, 3, { groups: 2, bias: false })),
  LazyConv3d: seen(volume, () => new nn.LazyConv3d(3, 2)),
  LazyConvTranspose1d: seen(series, () => new nn.LazyConvTranspose1d(3, 3, { stride: 2 })),
  LazyConvTranspose2d: seen(image, () => new nn.LazyConvTranspose2d(3, 3)),
  LazyConvTranspose3d: seen(volume, () => new nn.LazyConvTranspose3d(2, 2)),
  LazyBatchNorm1d: seen(series, () => new nn.LazyBatchNorm1d()),
  LazyBatchNorm2d: seen(image, () => new nn.LazyBatchNorm2d({ bias: false })),
  LazyBatchNorm3d: seen(volume, () => new nn.LazyBatchNorm3d({ affine: false })),
  LazyInstanceNorm1d: seen(series, () => new nn.LazyInstanceNorm1d()),
  LazyInstanceNorm2d: seen(image, () => new nn.LazyInstanceNorm2d({ affine: true, trackRunningStats: true })),
  LazyInstanceNorm3d: seen(volume, () => new nn.LazyInstanceNorm3d()),
};

const random: Readonly<Record<string, Rows>> = {
  Dropping: 'abstract',
  AlphaDropout: on(plain, () => new nn.AlphaDropout(0.3)),
  DropPath: on(plain, () => new nn.DropPath(0.3)),
  Dropout: on(plain, () => new nn.Dropout(0.3)),
  Dropout1d: on(series, () => new nn.Dropout1d(0.3)),
  Dropout2d: on(image, () => new nn.Dropout2d(0.3)),
  Dropout3d: on(volume, () => new nn.Dropout3d(0.3)),
  FeatureAlphaDropout: on(image, () => new nn.FeatureAlphaDropout(0.3)),
};

const dense: Readonly<Record<string, Rows>> = {
  Linear: on(
    plain,
    () => new nn.Linear(6, 5),
    () => new nn.Linear(6, 5, { bias: false }),
  ),
  LoRALinear: on(plain, () => new nn.LoRALinear(new nn.Linear(6, 5), { r: 2, dropout: 0.2 })),
  Maxout: on(plain, () => new nn.Maxout(6, 3, { pieces: 3 })),
  Perceptron: on(plain, () => new nn.Perceptron(6)),
  BinaryHead: on(plain, () => new nn.BinaryHead(6)),
  ClassHead: on(plain, () => new nn.ClassHead(6, 3)),
  CtcHead: on([5, 2, 6], () => new nn.CtcHead(6, 4)),
  GaussianHead: on(plain, () => new nn.GaussianHead(6, 2)),
  MultiLabelHead: on(plain, () => new nn.MultiLabelHead(6, 3)),
  OrdinalHead: on(plain, () => new nn.OrdinalHead(6, 4)),
  PositiveHead: on(
    plain,
    () => new nn.PositiveHead(6),
    () => new nn.PositiveHead(6, 2, 'exp'),
  ),
  RegressionHead: on(plain, () => new nn.RegressionHead(6, 2)),
  Bilinear: [
    row(
      () => new nn.Bilinear(6, 3, 5),
      () => [randn(plain), randn([4, 3])],
    ),
  ],
  CosineSimilarity: pairs(() => new nn.CosineSimilarity(), randn),
  PairwiseDistance: pairs(() => new nn.PairwiseDistance(), randn),
  EmbeddingBag: (['sum', 'mean', 'max'] as const).map((mode) =>
    row(
      () => new nn.EmbeddingBag(7, 3, { mode }),
      () => [ids(7, [4, 5])],
    ),
  ),
  Embedding: [
    row(
      () => new nn.Embedding(7, 3, { paddingIdx: 1 }),
      () => [ids(7, [2, 5])],
    ),
  ],
  FeedForward: on([2, 3, 4], () => new nn.FeedForward(4, { dropout: 0.2 })),
  GatedFeedForward: on([2, 3, 4], () => new nn.GatedFeedForward(4, 'relu', { bias: true })),
  GeGLU: on([2, 3, 4], () => new nn.GeGLU(4)),
  ReGLU: on([2, 3, 4], () => new nn.ReGLU(4)),
  SwiGLU: on([2, 3, 4], () => new nn.SwiGLU(4)),
  MixtureOfExperts: on([2, 5, 4], () => new nn.MixtureOfExperts(4, { numExperts: 3, hidden: 6 })),
};

const sequences: Readonly<Record<string, Rows>> = {
  GRU: on([5, 2, 3], () => new nn.GRU(3, 4, { numLayers: 2, dropout: 0.2, bidirectional: true })),
  LSTM: on(
    [5, 2, 3],
    () => new nn.LSTM(3, 4),
    () => new nn.LSTM(3, 4, { numLayers: 2, bidirectional: true }),
  ),
  RNN: on([2, 5, 3], () => new nn.RNN(3, 4, { batchFirst: true })),
  GRUCell: on([2, 3], () => new nn.GRUCell(3, 4)),
  LSTMCell: on([2, 3], () => new nn.LSTMCell(3, 4)),
  RNNCell: on([2, 3], () => new nn.RNNCell(3, 4)),
  LearnedEncoding: on([2, 5, 4], () => new nn.LearnedEncoding(8, 4)),
  RotaryEncoding: on([2, 2, 5, 4], () => new nn.RotaryEncoding()),
  SinusoidalEncoding: on([2, 5, 4], () => new nn.SinusoidalEncoding(4, 8)),
  MultiheadAttention: [
    row(
      () => new nn.MultiheadAttention(4, 2, { dropout: 0.1 }),
      () => [randn([3, 2, 4]), randn([5, 2, 4]), randn([5, 2, 4])],
    ),
  ],
  SelfAttention: on(
    [2, 5, 8],
    () => new nn.SelfAttention(8, 2),
    () => new nn.SelfAttention(8, 2, { causal: true, positions: 'rotary' }),
  ),
  TransformerBlock: on(
    [2, 5, 8],
    () => new nn.TransformerBlock(8, 2, { dropout: 0.1 }),
    () => new nn.TransformerBlock(8, 2, { normPosition: 'post' }),
  ),
  TransformerEncoderLayer: on([5, 2, 4], () => new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 6 })),
  TransformerEncoder: on([5, 2, 4], () => new nn.TransformerEncoder(new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 6 }), 2)),
  TransformerDecoderLayer: [
    row(
      () => new nn.TransformerDecoderLayer(4, 2, { dimFeedforward: 6 }),
      () => [randn([3, 2, 4]), randn([5, 2, 4])],
    ),
  ],
  TransformerDecoder: [
    row(
      () => new nn.TransformerDecoder(new nn.TransformerDecoderLayer(4, 2, { dimFeedforward: 6 }), 2),
      () => [randn([3, 2, 4]), randn([5, 2, 4])],
    ),
  ],
  Transformer: [
    row(
      () => new nn.Transformer({ dModel: 4, nhead: 2, numEncoderLayers: 1, numDecoderLayers: 1, dimFeedforward: 6 }),
      () => [randn([5, 2, 4]), randn([3, 2, 4])],
    ),
  ],
};

const containers: Readonly<Record<string, Rows>> = {
  Module: 'abstract',
  DenselyConnected: on(plain, () => new nn.DenselyConnected([new nn.Linear(6, 2), new nn.Linear(8, 3)])),
  Parallel: on(
    plain,
    () => new nn.Parallel([new nn.Linear(6, 2), new nn.Tanh()]),
    () => new nn.Parallel([new nn.Linear(6, 2), new nn.Linear(6, 2)], { merge: 'mul' }),
  ),
  Residual: on(plain, () => new nn.Residual(new nn.Linear(6, 6), { pre: new nn.LayerNorm(6), post: new nn.ReLU(), scale: 0.5 })),
  Sequential: on(plain, () => new nn.Sequential(new nn.Linear(6, 3), new nn.Dropout(0.2), new nn.Tanh())),
  ModuleDict: [
    row(
      () => new nn.ModuleDict({ first: new nn.Linear(6, 3), second: new nn.Tanh() }),
      () => [randn(plain)],
      using<nn.ModuleDict>((m, [x]) => m.children().reduce((h, layer) => (layer as nn.Module).forward(h), x as Tensor)),
    ),
  ],
  ModuleList: [
    row(
      () => new nn.ModuleList([new nn.Linear(6, 3), new nn.Tanh()]),
      () => [randn(plain)],
      using<nn.ModuleList>((m, [x]) => [...m].reduce((h, layer) => layer.forward(h), x as Tensor)),
    ),
  ],
  ParameterDict: [
    row(
      () => new nn.ParameterDict({ gain: new nn.Parameter(randn([6])), shift: new nn.Parameter(randn([6])) }),
      () => [randn(plain)],
      using<nn.ParameterDict>((m, [x]) => m.parameters().reduce((h, p) => h.mul(p).add(p), x as Tensor)),
    ),
  ],
  ParameterList: [
    row(
      () => new nn.ParameterList([new nn.Parameter(randn([6])), new nn.Parameter(randn([6]))]),
      () => [randn(plain)],
      using<nn.ParameterList>((m, [x]) => [...m].reduce((h, p) => h.mul(p).add(p), x as Tensor)),
    ),
  ],
  Parametrization: 'abstract',
  ParametrizationList: [
    row(
      () => nn.weightNorm(new nn.Linear(6, 5)),
      () => [randn(plain)],
    ),
  ],
  Orthogonal: [
    row(
      () => new nn.Orthogonal(randn([5, 3]), { useTrivialization: false }),
      () => [randn([5, 3])],
    ),
    row(
      () => nn.orthogonal(new nn.Linear(6, 6), { orthogonalMap: 'cayley' }),
      () => [randn(plain)],
    ),
    row(
      () => nn.orthogonal(new nn.Linear(6, 4)),
      () => [randn(plain)],
    ),
  ],
  WeightNorm: [
    row(
      () => new nn.WeightNorm(),
      () => [rand([5, 1]), randn([5, 6])],
    ),
  ],
  SpectralNorm: [
    row(
      () => new nn.SpectralNorm(randn([5, 6])),
      () => [randn([5, 6])],
    ),
    row(
      () => nn.spectralNorm(new nn.Linear(6, 5)),
      () => [randn(plain)],
    ),
  ],
};

const losses: Readonly<Record<string, Rows>> = {
  AdaptiveLogSoftmaxWithLoss: [
    row(
      () => new nn.AdaptiveLogSoftmaxWithLoss(6, 10, [3, 6]),
      () => [randn(plain), tensor([1, 8, 4, 0], { dtype: 'int32' })],
    ),
  ],
  BCELoss: [
    row(
      () => new nn.BCELoss(),
      () => [rand(plain), rand(plain)],
    ),
  ],
  BCEWithLogitsLoss: pairs(() => new nn.BCEWithLogitsLoss({ reduction: 'sum' }), rand),
  CTCLoss: [
    row(
      () => new nn.CTCLoss(),
      () => [randn([6, 2, 5]).logSoftmax({ dim: 2 }).detach(), ids(4, [2, 3]).add(1)],
      using<nn.CTCLoss>((m, [x, y]) => m.forward(x as Tensor, y as Tensor, [6, 5], [3, 2])),
    ),
  ],
  CosineEmbeddingLoss: [
    row(
      () => new nn.CosineEmbeddingLoss({ margin: 0.1 }),
      () => [randn(plain), randn(plain), signs([4])],
    ),
  ],
  CrossEntropyLoss: [
    row(
      () => new nn.CrossEntropyLoss({ labelSmoothing: 0.1 }),
      () => [randn(plain), ids(6, [4])],
    ),
  ],
  GaussianNLLLoss: [
    row(
      () => new nn.GaussianNLLLoss(),
      () => [randn(plain), randn(plain), rand(plain).add(0.1)],
    ),
  ],
  HingeEmbeddingLoss: pairs(() => new nn.HingeEmbeddingLoss(), signs),
  HuberLoss: pairs(() => new nn.HuberLoss(), randn),
  KLDivLoss: pairs(() => new nn.KLDivLoss({ reduction: 'batchmean' }), rand),
  L1Loss: pairs(() => new nn.L1Loss(), randn),
  LinearCrossEntropyLoss: [
    row(
      () => new nn.LinearCrossEntropyLoss(6, 5, { bias: true }),
      () => [randn(plain), ids(5, [4])],
    ),
  ],
  MSELoss: pairs(() => new nn.MSELoss(), randn),
  MinedTripletLoss: (['hard', 'semiHard', 'all'] as const).map((mining) =>
    row(
      () => new nn.MinedTripletLoss({ mining }),
      () => [randn([6, 4]), tensor([0, 1, 0, 2, 1, 0], { dtype: 'int32' })],
    ),
  ),
  MarginRankingLoss: [
    row(
      () => new nn.MarginRankingLoss(),
      () => [randn([4]), randn([4]), signs([4])],
    ),
  ],
  MultiLabelMarginLoss: [
    row(
      () => new nn.MultiLabelMarginLoss(),
      () => [
        randn([2, 4]),
        tensor([[1, 3, -1, 0]], { dtype: 'int32' })
          .expand([2, 4])
          .contiguous(),
      ],
    ),
  ],
  MultiLabelSoftMarginLoss: pairs(() => new nn.MultiLabelSoftMarginLoss(), bits),
  MultiMarginLoss: [
    row(
      () => new nn.MultiMarginLoss(),
      () => [randn(plain), ids(6, [4])],
    ),
  ],
  NLLLoss: [
    row(
      () => new nn.NLLLoss(),
      () => [randn(plain), ids(6, [4])],
    ),
  ],
  PoissonNLLLoss: pairs(
    () => new nn.PoissonNLLLoss(),
    (shape) => ids(5, shape).float(),
  ),
  SmoothL1Loss: pairs(() => new nn.SmoothL1Loss(), randn),
  SoftMarginLoss: pairs(() => new nn.SoftMarginLoss(), signs),
  TripletMarginLoss: triplets(() => new nn.TripletMarginLoss()),
  TripletMarginWithDistanceLoss: triplets(() => new nn.TripletMarginWithDistanceLoss()),
};

function drawing(rows: readonly ModuleRow[]): ModuleRow[] {
  return rows.map((r) => ({ ...r, draws: true }));
}
type Pooled = (x: Tensor) => readonly [output: Tensor, indices: Tensor];
function unpooled(shape: readonly number[], pool: Pooled, make: () => AnyModule): ModuleRow[] {
  const inputs = (): Tensor[] => {
    const [output, indices] = pool(randn(shape));
    return [output.detach(), indices];
  };
  return [row(make, inputs)];
}
function pairs(make: () => AnyModule, target: (shape: readonly number[]) => Tensor): ModuleRow[] {
  return [row(make, () => [randn(plain), target(plain)])];
}
function triplets(make: () => AnyModule): ModuleRow[] {
  return [row(make, () => [randn(plain), randn(plain), randn(plain)])];
}

export const moduleRows: Readonly<Record<string, Rows>> = {
  ...pointwise,
  ...spatial,
  ...norms,
  ...random,
  ...lazy,
  ...dense,
  ...sequences,
  ...containers,
  ...losses,
};
