/** Where PyTorch and the library differ on a value out of range and both are right in their own way: a row's name and what was changed. */
const reasons: Readonly<Record<string, readonly string[]>> = {
  'a size of the output, or of a window, is at least 1': [
    ...['Avg', 'Max'].flatMap((kind) => [1, 2, 3].map((n) => `adaptive${kind}Pool${n}d argument 1`)),
    ...[1, 2, 3].map((n) => `adaptiveMaxPool${n}dWithIndices argument 1`),
    ...[2, 3].flatMap((n) =>
      ['', 'WithIndices'].flatMap((w) => ['size', 'ratio'].map((of) => `fractionalMaxPool${n}d${w} output_${of} = 0`)),
    ),
    'maxUnpool1d argument 2 = 0',
    'maxUnpool2d argument 2 = 0',
    'nativeGroupNorm argument 3 = 0',
  ],
  'sizes and orders are whole numbers, and integers are no fractions': [
    ...['chebyshev', 'shiftedChebyshev'].flatMap((kind) => ['T', 'U', 'V', 'W'].map((k) => `${kind}Polynomial${k} argument 1 = 1.5`)),
    ...['hermitePolynomialH', 'hermitePolynomialHe', 'laguerrePolynomialL', 'legendrePolynomialP'].map((p) => `${p} argument 1 = 1.5`),
    'maxUnpool1d output_size = [1.5,3,7]',
    'maxUnpool2d output_size = [1.5,3,4,6]',
    'maxUnpool3d output_size = [1.5,2,4,4,4]',
    'gcd argument 1 = 1.5',
    'lcm argument 1 = 1.5',
    'lobpcg niter = 1.5',
  ],
  'PyTorch checks it for some kinds of targets only': ['crossEntropy label_smoothing = -1', 'linearCrossEntropy label_smoothing = -1'],
  'a norm has a positive order': ['lpPool1d argument 1 = -1', 'lpPool2d argument 1 = -1', 'lpPool3d argument 1 = -1'],
  'PyTorch looks at it in batch_norm only': [
    'nativeBatchNorm argument 7',
    'nativeBatchNormLegit argument 7',
    'batchNormWithUpdate argument 6',
  ].flatMap((place) => [-1, 0].map((eps) => `${place} = ${eps}`)),
  'PyTorch takes any number for the last mode': ['gridSampler', 'gridSampler2d', 'gridSampler3d'].flatMap((op) =>
    [2, 3].flatMap((i) => [-1, 50].map((mode) => `${op} argument ${i} = ${mode}`)),
  ),
  'PyTorch takes any other word for its second method': ['lobpcg method = "nonsense"'],
  'PyTorch does not look at what it reads behind the end': ['takeAlongDim dim = 0', 'gradient dim = 0'],
  'PyTorch cuts off instead of padding': ['convTbc pad = -1'],
  'PyTorch counts before it finds that there are none': ['combinations r = 50'],
  'not of PyTorch, which is asked by an expression that checks nothing': [
    'bootstrappedCrossEntropy mode',
    'contrastiveLoss margin',
    'diceLoss smooth',
    'focalCrossEntropy gamma',
    'focalLoss alpha',
    'focalLoss gamma',
    'ganGeneratorLoss form',
    'generalizedCrossEntropy q',
    'hingeLoss p',
    'iouLoss smooth',
    'ntXentLoss temperature',
    'rotaryEmbedding base',
    'rotaryEmbedding offset',
  ],
};
/** The reasons by what was changed: to a value, or to any that is refused by one of the two. */
export const otherwise: ReadonlyMap<string, string> = new Map(
  Object.entries(reasons).flatMap(([reason, changes]) => changes.map((change) => [change, reason] as const)),
);
