// Maps of a loop over the same elements are one compiled loop: the same bits, and only where no step minds.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { mergeMaps } from '../../dist/backends/cpu/mergeMaps.js';
import { specOf } from '../../dist/core/spec.js';
import { input, scalar } from '../../dist/expr/expr.js';
import { compile, gelu, glu, hardswish, leakyRelu, manualSeed, randn, sigmoid, silu, type Tensor } from '../../dist/index.js';
import type { Backend } from '../../dist/program/backend.js';
import type { LoopKernel } from '../../dist/program/kernel.js';
import type { ProgramOperand, Step } from '../../dist/program/program.js';
import { withDevice } from '../../dist/tensor/device.js';
import { everyVariant } from '../support/backends.js';

const spec = specOf('float32', [4, 8]);
const at = (buffer: number): ProgramOperand => ({ buffer, spec, offset: 0 });
const map = (inputs: readonly number[], outputs: readonly number[], scalarBase = 0): Step => {
  const exprs = outputs.map(() => inputs.reduce((e, _, i) => e.add(input(i)), scalar(0).mul(2)));
  return { kernel: { family: 'map', exprs, compute: 'float32' }, inputs: inputs.map(at), outputs: outputs.map(at), scalarBase };
};

/** Steps over views of eight operands, each a buffer of its own but the last two, which lie in one, four elements apart. */
function merged(steps: readonly Step[], isCompiled: (results: number) => boolean = () => true): readonly Step[] {
  const whole = specOf('float32', [16, 8]);
  const operands = Array.from({ length: 8 }, (_, i) => ({ buffer: Math.min(i, 6), spec: whole, offset: i === 7 ? 4 : 0 }));
  const views = operands.map((_, operand) => ({ operand, offset: 0, stride: 32 }));
  const kernel: LoopKernel = { family: 'loop', count: 4, steps, views, scratch: 0 };
  const loop: Step = { kernel, inputs: operands.slice(0, 4), outputs: operands.slice(4), scalarBase: 0 };
  const [made] = mergeMaps({ steps: [loop], buffers: 7, scalars: 2 }, (exprs) => isCompiled(exprs.length)).steps;
  return (made as Step & { readonly kernel: LoopKernel }).kernel.steps;
}
const shape = (steps: readonly Step[]): unknown => steps.map((s) => [s.inputs.map((x) => x.buffer), s.outputs.map((x) => x.buffer)]);

describe('maps of a loop over the same elements', () => {
  test('are one step, which reads what they share once, and computes on with what it made', () => {
    assert.deepEqual(shape(merged([map([0, 1], [4]), map([0, 2], [5])])), [
      [
        [0, 1, 2],
        [4, 5],
      ],
    ]);
    const [step] = merged([map([0], [4], 1), map([4, 1], [5], 0)]);
    assert.deepEqual(shape(step ? [step] : []), [
      [
        [0, 1],
        [4, 5],
      ],
    ]);
    assert.equal(step?.scalarBase, 0);
    const first = scalar(1).mul(2).add(input(0));
    assert.deepEqual(step?.kernel.family === 'map' && step.kernel.exprs, [first, scalar(0).mul(2).add(first).add(input(1))]);
  });

  test('stay apart where the whole is not compiled ahead, or one writes what another reads elsewhere', () => {
    assert.equal(merged([map([0], [4]), map([0], [5])], () => false).length, 2);
    assert.equal(merged([map([0], [4]), map([0], [5]), map([0], [6])], (results) => results === 3).length, 1);
    assert.equal(merged([map([0], [6]), map([7], [5])]).length, 2);
    assert.equal(merged([map([7], [4]), map([0], [6])]).length, 2);
    assert.equal(merged([map([0], [6]), map([0], [7])]).length, 2);
  });

  test('do not pass a step that reads or writes the same', () => {
    const sum: Step = {
      kernel: { family: 'reduce', by: 'sum', dims: [1], compute: 'float32', shape: [4, 8], expr: input(0) },
      inputs: [at(4)],
      outputs: [{ buffer: 5, spec: specOf('float32', [4, 1]), offset: 0 }],
      scalarBase: 0,
    };
    assert.equal(merged([map([0], [4]), sum, map([0, 1], [6])]).length, 2);
    assert.equal(merged([map([0], [4]), sum, map([0, 5], [6])]).length, 3);
    assert.equal(merged([map([0], [6]), sum, map([0], [4])]).length, 3);
  });

  for (const { name, backend, why } of everyVariant) {
    test(`${name}: the same bits as step by step`, { skip: backend === null && why }, () =>
      withDevice(backend as Backend, () => {
        manualSeed(7);
        const calls: Record<string, (x: Tensor) => Tensor> = { silu, sigmoid, glu, hardswish, gelu, leakyRelu };
        for (const [op, call] of Object.entries(calls)) {
          const x = randn([64, 2050]).requiresGrad_();
          const gradient = randn(call(x.detach()).shape);
          const train = (): Tensor => {
            x.grad = null;
            const y = call(x);
            y.backward({ gradient });
            return y;
          };
          const bits = (fuse: boolean): unknown => [compile(train, { fuse })().toArray(), x.grad?.toArray()];
          assert.deepEqual(bits(true), bits(false), op);
        }
      }),
    );
  }
});
