import { ReferenceBackend } from './backends/reference/backend.js';
import type { Expr } from './expr/expr.js';
import { BatchNorm2d, GELU, LayerNorm, type Module } from './nn/index.js';
import { currentExecutor, setExecutor } from './ops/apply.js';
import * as functions from './ops/functions.js';
import { installMethods } from './ops/index.js';
import './optim/index.js';
import { updates } from './optim/update.js';
import { enableGrad } from './tensor/autograd.js';
import { ones } from './tensor/creation.js';
import { withDevice } from './tensor/device.js';
import type { Tensor } from './tensor/tensor.js';

/** An expression list that the engine's build prints to C++; see scripts/printAot.mjs. Anything else runs on the block VM. */
export interface AotProgram {
  readonly exprs: readonly Expr[];
}

/** The expressions of everyday training: found by running it, forward and backward, and writing down what reaches the map family. */
export function aotPrograms(): AotProgram[] {
  installMethods();
  const found = new Map<string, AotProgram>();
  const add = (exprs: readonly Expr[]): void => void found.set(exprs.map((e) => e.id).join(), { exprs });
  for (const { outputs } of updates) add(Object.values<Expr>(outputs));
  const inner = currentExecutor();
  setExecutor({
    run(plan, inputs, scalars, into) {
      if (plan.kernel.family === 'map' && plan.kernel.compute === 'float32') add(plan.kernel.exprs);
      return inner.run(plan, inputs, scalars, into);
    },
  });
  try {
    withDevice(new ReferenceBackend(), () => enableGrad(everydayTraining));
  } finally {
    setExecutor(inner);
  }
  return [...found.values()];
}

type UnaryCall = (x: Tensor) => Tensor;

function everydayTraining(): void {
  const f = functions;
  const unary: readonly UnaryCall[] = [
    ...[f.neg, f.abs, f.square, f.sqrt, f.rsqrt, f.exp, f.log, f.reciprocal, f.sigmoid, f.tanh, f.relu, f.gelu, f.silu, f.softplus],
    (x) => x.leakyRelu(),
    (x) => x.gelu({ approximate: 'tanh' }),
    (x) => x.clamp({ min: 0.5, max: 1.5 }),
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
    (x) => f.binaryCrossEntropyWithLogits(x, ones([2, 3])),
    (x) => f.crossEntropy(x, ones([2, 3]).softmax({ dim: -1 })),
    (x) => f.crossEntropy(x, ones([2]).int()),
  ];
  for (const call of unary)
    call(leaf([2, 3]))
      .sum()
      .backward();
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

const leaf = (shape: readonly number[]): Tensor => ones(shape).requiresGrad_();
