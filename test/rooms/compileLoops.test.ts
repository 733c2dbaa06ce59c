// Steps that are gathered into loops over blocks of an outer dim: the values of the same steps one by one, on any number of threads.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import { BatchNorm2d, GroupNorm, LayerNorm, type Module, RMSNorm } from '../../dist/nn/index.js';
import { withDevice } from '../../dist/tensor/device.js';
import { expectClose } from '../../dist/testing/compare.js';
import { engineNames, open } from '../support/backends.js';

interface Setup {
  readonly shape: readonly number[];
  readonly model?: () => Module;
  readonly activate: (x: cr.Tensor) => cr.Tensor;
  /** Of the result; default: the input's. */
  readonly result?: readonly number[];
}

const setups: Readonly<Record<string, Setup>> = {
  'batch norm and relu': { shape: [16, 24, 20, 20], model: () => new BatchNorm2d(24), activate: (x) => x.relu() },
  'batch norm of blocks of channels': { shape: [8, 160, 7, 7], model: () => new BatchNorm2d(160), activate: (x) => x.tanh() },
  'batch norm, relu and max pooling': {
    shape: [16, 24, 36, 20],
    model: () => new BatchNorm2d(24),
    activate: (x) => cr.maxPool2d(x.relu(), 2),
    result: [16, 24, 18, 10],
  },
  'layer norm and gelu': { shape: [32, 40, 96], model: () => new LayerNorm(96), activate: (x) => x.gelu() },
  'rms norm': { shape: [512, 200], model: () => new RMSNorm(200), activate: (x) => x.mul(x) },
  'group norm': { shape: [16, 32, 15, 15], model: () => new GroupNorm(4, 32), activate: (x) => x.silu() },
  softmax: { shape: [64, 3, 500], activate: (x) => x.softmax({ dim: -1 }) },
  'sums over leading dims': { shape: [50, 64, 30], activate: (x) => x.sub(x.mean({ dim: 0, keepdim: true })).square() },
};

/** Result, gradients and running statistics of two training steps. */
function run(
  { shape, model, activate, result = shape }: Setup,
  fuse: boolean,
): { readonly values: readonly cr.TensorData[]; readonly steps: number } {
  cr.manualSeed(3);
  const net = model?.();
  const [x, weight] = [cr.randn(shape).requiresGrad_(), cr.randn(result)];
  const step = cr.compile(
    (input: cr.Tensor, factor: cr.Tensor) => {
      const y = activate(net?.forward(input) ?? input);
      const loss = y.mul(factor).sum();
      loss.backward();
      return { y, grad: input.grad as cr.Tensor };
    },
    { fuse },
  );
  const values: cr.TensorData[] = [];
  for (let i = 0; i < 2; i++) {
    x.grad = null;
    for (const p of net?.parameters() ?? []) p.grad = null;
    const { y, grad } = step(x, weight);
    values.push(y.toArray(), grad.toArray());
  }
  for (const t of Object.values(net?.stateDict() ?? {})) values.push(t.toArray());
  for (const p of net?.parameters() ?? []) values.push((p.grad as cr.Tensor).toArray());
  return { values, steps: step.programs[0]?.steps ?? 0 };
}

for (const engine of engineNames) {
  const one = await open(engine, { threads: 1 });
  const two = await open(engine, { threads: 2 });
  describe(engine, { skip: one.backend === null && one.why }, () => {
    for (const [name, setup] of Object.entries(setups)) {
      test(`${name}: gathered steps give the values of single ones, with any number of threads`, () => {
        if (one.backend === null || two.backend === null) return;
        const plain = withDevice(one.backend, () => run(setup, false));
        const gathered = withDevice(one.backend, () => run(setup, true));
        assert.ok(gathered.steps < plain.steps, 'nothing was gathered');
        gathered.values.forEach((v, i) => {
          const most = Array.from(plain.values[i] as cr.TensorData, Number).reduce((m, e) => Math.max(m, Math.abs(e)), 0);
          expectClose(v, plain.values[i] as cr.TensorData, { rtol: 1e-6, atol: 3e-6 * most }, `${name}, value ${i}`);
        });
        assert.deepEqual(withDevice(two.backend, () => run(setup, true)).values, gathered.values);
      });
    }
  });
}
