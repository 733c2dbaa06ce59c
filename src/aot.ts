import { mergeMaps } from './backends/cpu/mergeMaps.js';
import { ReferenceBackend } from './backends/reference/backend.js';
import { compile } from './capture/compile.js';
import type { Expr } from './expr/expr.js';
import { input } from './expr/expr.js';
import {
  BatchNorm2d,
  Conv2d,
  Dropout,
  Flatten,
  GELU,
  LayerNorm,
  Linear,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
  Sigmoid,
  SiLU,
  Tanh,
} from './nn/index.js';
import { currentExecutor, setExecutor } from './ops/apply.js';
import * as functions from './ops/functions.js';
import { installMethods } from './ops/index.js';
import { Adam, AdamW, SGD } from './optim/index.js';
import { updates } from './optim/update.js';
import type { Executable } from './program/backend.js';
import type { Kernel } from './program/kernel.js';
import type { Program } from './program/program.js';
import { enableGrad } from './tensor/autograd.js';
import { ones } from './tensor/creation.js';
import { withDevice } from './tensor/device.js';
import type { Tensor } from './tensor/tensor.js';

/** An expression list that the engine's build prints to C++; see scripts/printAot.mjs. Anything else runs on the block VM. */
export interface AotProgram {
  readonly exprs: readonly Expr[];
  /** Only in the native engine: what goes over a network is kept small. */
  readonly nativeOnly: boolean;
}

/** The expressions of everyday training: found by running it, forward and backward, eagerly and compiled, and writing down its kernels. */
export function aotPrograms(): AotProgram[] {
  installMethods();
  const found = new Map<string, AotProgram>();
  const add = (exprs: readonly Expr[], nativeOnly: boolean): void => {
    const key = exprs.map((e) => e.id).join();
    if (!found.has(key)) found.set(key, { exprs, nativeOnly });
  };
  for (const { outputs } of updates) add(Object.values<Expr>(outputs), false);
  watchEager(everydayTraining, (exprs) => add(exprs, false));
  watchEager(rarerOps, (exprs) => add(exprs, true));
  withDevice(new Listening((exprs) => add(exprs, false)), () => enableGrad(imageTraining));
  withDevice(new Listening((exprs) => add(exprs, true)), () => enableGrad(compiledTraining));
  withDevice(new Listening((exprs) => add(exprs, true)), () => enableGrad(compiledLayers));
  withDevice(new Listening((exprs) => add(exprs, true)), () => enableGrad(compiledLosses));
  withDevice(new Looping((exprs) => add(exprs, true)), () => enableGrad(() => compiledLayers(64)));
  return [...found.values()];
}

/** Runs `body` on the reference and tells of the expressions of its maps. */
function watchEager(body: () => void, hear: (exprs: readonly Expr[]) => void): void {
  const inner = currentExecutor();
  setExecutor({
    run(plan, inputs, scalars, into) {
      if (plan.kernel.family === 'map' && plan.kernel.compute === 'float32') hear(plan.kernel.exprs);
      return inner.run(plan, inputs, scalars, into);
    },
  });
  try {
    withDevice(new ReferenceBackend(), () => enableGrad(body));
  } finally {
    setExecutor(inner);
  }
}

/** Tells of the expressions of every kernel that it is given to compile. */
class Listening extends ReferenceBackend {
  constructor(private readonly hear: (exprs: readonly Expr[]) => void) {
    super();
  }
  override compile(program: Program): Executable {
    for (const { kernel } of program.steps) {
      if (kernel.family === 'map' && kernel.compute === 'float32') this.hear(kernel.exprs);
      else if (kernel.family === 'reduce' && kernel.compute === 'float32' && kernel.expr !== input(0)) this.hear([kernel.expr]);
    }
    return super.compile(program);
  }
}

/** The same of the maps that the native engine makes one of, in loops. What it is given does not run. */
class Looping extends ReferenceBackend {
  constructor(private readonly hear: (exprs: readonly Expr[]) => void) {
    super();
  }
  override supports(kernel: Kernel): boolean {
    return kernel.family === 'loop' || super.supports(kernel);
  }
  override compile(program: Program): Executable {
    for (const { kernel } of mergeMaps(program, () => true).steps) {
      if (kernel.family !== 'loop') continue;
      for (const { kernel: inner } of kernel.steps) if (inner.family === 'map' && inner.exprs.length > 1) this.hear(inner.exprs);
    }
    return { run: () => undefined };
  }
}

type UnaryCall = (x: Tensor) => Tensor;

function everydayTraining(): void {
  const f = functions;
  const unary: readonly UnaryCall[] = [
    ...[f.neg, f.abs, f.square, f.sqrt, f.exp, f.log, f.sigmoid, f.tanh, f.relu, f.gelu, f.silu],
    (x) => x.leakyRelu(),
    (x) => f.dropout(x, { p: 0.5, training: true }),
    ...[f.add, f.sub, f.mul, f.div].map(
      (op): UnaryCall =>
        (x) =>
          op(x, 2),
    ),
    (x) => x.softmax({ dim: -1 }),
    (x) => x.logSoftmax({ dim: -1 }),
    (x) => x.mean(),
    (x) => x.var({ dim: 0 }),
    (x) => f.mseLoss(x, ones([2, 3])),
    (x) => f.crossEntropy(x, ones([2]).int()),
  ];
  for (const call of unary) backThrough(call);
  for (const op of [f.add, f.sub, f.mul, f.div, f.maximum, f.minimum])
    op(leaf([2, 3]), leaf([2, 3]))
      .sum()
      .backward();
  const layers: readonly (readonly [Module, readonly number[]])[] = [
    [new BatchNorm2d(3), [2, 3, 2, 2]],
    [new LayerNorm(3), [2, 3]],
    [new GELU(), [2, 3]],
  ];
  for (const [layer, shape] of layers) {
    layer.forward(leaf(shape)).sum().backward();
    layer.eval().forward(leaf(shape)).sum().backward();
  }
}

function rarerOps(): void {
  const f = functions;
  const unary: readonly UnaryCall[] = [
    ...[f.rsqrt, f.reciprocal, f.softplus],
    (x) => x.gelu({ approximate: 'tanh' }),
    (x) => x.clamp({ min: 0.5, max: 1.5 }),
    (x) => f.binaryCrossEntropyWithLogits(x, ones([2, 3])),
    (x) => f.crossEntropy(x, ones([2, 3]).softmax({ dim: -1 })),
  ];
  for (const call of unary) backThrough(call);
}

/** Layers by themselves, forward and backward in one program: what their expressions become when those of neighbours are not there. */
function compiledLayers(rows = 1): void {
  const f = functions;
  const norm = new BatchNorm2d(16).eval();
  const unary: readonly UnaryCall[] = [
    ...[f.hardswish, f.hardsigmoid, f.relu6, f.elu, f.selu, f.logsigmoid, f.glu, f.relu, f.gelu, f.silu, f.sigmoid, f.tanh, f.exp],
    ...[f.leakyRelu, f.softplus, f.mish, f.square, f.abs, f.sqrt],
    (x) => f.gelu(x, { approximate: 'tanh' }),
    (x) => x.pow(3),
    (x) => x.mean({ dim: 0 }),
    (x) => x.normalize(),
    (x) => x.logsumexp({ dim: 1 }),
    (x) => x.norm(),
  ];
  const image: readonly UnaryCall[] = [
    (x) => norm.forward(x),
    (x) => f.interpolate(x, { scaleFactor: 2 }),
    (x) => f.interpolate(x, { scaleFactor: 2, mode: 'bilinear' }),
    (x) => f.prelu(x, ones([16])),
    (x) => f.gridSample(x, leaf([2 * rows, 8, 8, 2])),
  ];
  const calls = [
    ...unary.map((call) => [call, [2 * rows, 4 * rows ** 2]] as const),
    ...image.map((call) => [call, [2 * rows, 16, 8, 8]] as const),
  ];
  for (const [call, shape] of calls) {
    const train = (x: Tensor, gradient: Tensor): Tensor => {
      const y = call(x);
      y.backward({ gradient });
      return y;
    };
    const [x, gradient] = [leaf(shape), ones(call(ones(shape)).shape)];
    compile(train)(x, gradient);
    compile(() => train(x, gradient))(); // of tensors that stay more may be fused
  }
}

/** Losses by themselves, from two or three tensors. */
function compiledLosses(): void {
  const f = functions;
  const ofTwo: readonly ((x: Tensor, y: Tensor) => Tensor)[] = [
    ...[f.mseLoss, f.l1Loss, f.smoothL1Loss, f.huberLoss, f.klDiv, f.poissonNllLoss, f.softMarginLoss, f.hingeEmbeddingLoss],
    ...[f.binaryCrossEntropy, f.binaryCrossEntropyWithLogits, f.multilabelSoftMarginLoss, f.crossEntropy],
  ];
  const calls: readonly ((x: Tensor, y: Tensor, z: Tensor) => Tensor)[] = [
    ...ofTwo.map((loss) => (x: Tensor, y: Tensor) => loss(x, y)),
    (x, y) => f.crossEntropy(x, y.select(1, 0).int(), { labelSmoothing: 0.1 }),
    (x, y, z) => f.crossEntropy(x, y.select(1, 0).int(), { weight: z.select(0, 0) }),
    (x, y) => f.nllLoss(x, y.select(1, 0).int()),
    (x, y, z) => f.gaussianNllLoss(x, y, z),
    (x, y, z) => f.marginRankingLoss(x, y, z.detach()),
    (x, y, z) => f.cosineEmbeddingLoss(x, y, z.detach().select(1, 0)),
    (x, y, z) => f.tripletMarginLoss(x, y, z),
  ];
  for (const call of calls) {
    const train = compile((x: Tensor, y: Tensor, z: Tensor) => {
      const loss = call(x, y, z);
      loss.backward();
      return loss;
    });
    train(leaf([2, 3]), ones([2, 3]), leaf([2, 3]));
  }
}

const backThrough = (call: UnaryCall): void =>
  call(leaf([2, 3]))
    .sum()
    .backward();
const leaf = (shape: readonly number[]): Tensor => ones(shape).requiresGrad_();

const image = (): Module[] => [new Conv2d(1, 3, 3, { padding: 1 }), new BatchNorm2d(3)];

/** What every engine has loops for: a block interpreter loses most on images. */
function imageTraining(): void {
  const model = new Sequential(...image(), new ReLU(), new MaxPool2d(2), new Flatten());
  compile((x: Tensor) => model.forward(x).sum().backward())(ones([2, 1, 4, 4]));
}

/** Small forms of the networks that most people train: what counts is which layers follow which. */
function compiledTraining(): void {
  const models: readonly (readonly [Module, readonly number[]])[] = [
    [new Sequential(new Linear(3, 4), new ReLU(), new Dropout(0.5), new Linear(4, 3)), [2, 3]],
    [new Sequential(new Linear(3, 4), new Tanh(), new Linear(4, 3), new Sigmoid(), new Linear(3, 3)), [2, 3]],
    [new Sequential(new Linear(3, 4), new GELU(), new LayerNorm(4), new SiLU(), new Linear(4, 3)), [2, 3]],
    [new Sequential(...image(), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(12, 3)), [2, 1, 4, 4]],
    [new Residual(), [2, 3, 4, 4]],
    [new Transformer(), [2, 3, 4]],
  ];
  for (const [model, shape] of models) {
    const weights = model.parameters();
    for (const optimizer of [new AdamW(weights), new Adam(weights), new SGD(weights, { lr: 0.1, momentum: 0.9, weightDecay: 1e-4 })]) {
      const step = compile((x: Tensor, target: Tensor) => {
        optimizer.zeroGrad();
        const loss = functions.crossEntropy(model.forward(x).reshape([-1, 3]), target);
        loss.backward();
        optimizer.step();
        return loss;
      });
      const rows = model instanceof Transformer ? 6 : 2;
      step(ones(shape), ones([rows]).int());
    }
  }
}

/** A block of a residual network behind a stem, and a head. */
class Residual extends Module {
  readonly stem: Conv2d = new Conv2d(3, 4, 3, { padding: 1, bias: false });
  readonly norm: BatchNorm2d = new BatchNorm2d(4);
  readonly blocks: readonly Module[] = [1, 2].map(
    (stride) => new Sequential(new Conv2d(4, 4, 3, { padding: 1, stride, bias: false }), new BatchNorm2d(4)),
  );
  readonly inner: readonly Module[] = [1, 2].map(
    () => new Sequential(new Conv2d(4, 4, 3, { padding: 1, bias: false }), new BatchNorm2d(4)),
  );
  readonly shortcut: Module = new Sequential(new Conv2d(4, 4, 1, { stride: 2, bias: false }), new BatchNorm2d(4));
  readonly head: Linear = new Linear(4, 3);

  override forward(x: Tensor): Tensor {
    let h = this.norm.forward(this.stem.forward(x)).relu();
    this.blocks.forEach((block, i) => {
      const deep = (this.inner[i] as Module).forward(block.forward(h).relu());
      h = deep.add(i === 0 ? h : this.shortcut.forward(h)).relu();
    });
    return this.head.forward(h.mean({ dim: [2, 3] }));
  }
}

/** A pre-norm transformer block; attention has a kernel of its own. */
class Transformer extends Module {
  readonly norm1: LayerNorm = new LayerNorm(4);
  readonly mix: Linear = new Linear(4, 4);
  readonly norm2: LayerNorm = new LayerNorm(4);
  readonly up: Linear = new Linear(4, 8);
  readonly down: Linear = new Linear(8, 4);
  readonly norm: LayerNorm = new LayerNorm(4);
  readonly head: Linear = new Linear(4, 3);

  override forward(x: Tensor): Tensor {
    let h = x;
    for (let i = 0; i < 2; i++) {
      h = h.add(functions.dropout(this.mix.forward(this.norm1.forward(h)), { p: 0.5, training: i > 0 }));
      h = h.add(this.down.forward(this.up.forward(this.norm2.forward(h)).gelu()));
    }
    return this.head.forward(this.norm.forward(h));
  }
}
