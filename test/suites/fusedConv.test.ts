// What runs on the blocks of a convolution: the bits of single steps, for every kernel that convolutions have, every kind of operand
// behind them, with any number of threads.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { withDevice } from '../../dist/tensor/device.js';
import { engineNames, open } from '../support/backends.js';

interface Geometry extends cr.ConvOptions {
  /** (batch, channels, …) */
  readonly x: readonly number[];
  /** (out, channels / groups, …) */
  readonly w: readonly number[];
  /** Gradients of inputs take nothing behind them: of a stride, and of what is too small. */
  readonly alone?: true;
}

const geometries: Readonly<Record<string, Geometry>> = {
  '3x3 tiles': { x: [5, 16, 15, 17], w: [24, 16, 3, 3], padding: 1 },
  '3x3 tiles of a strip of a large image': { x: [1, 32, 61, 50], w: [40, 32, 3, 3], padding: 1 },
  '3x3 tiles of groups': { x: [3, 32, 14, 14], w: [48, 16, 3, 3], padding: 1, groups: 2 },
  'vectors of channels, a stride': { x: [6, 16, 33, 31], w: [32, 16, 3, 3], stride: 2, padding: 1, alone: true },
  'vectors of channels, 5x5': { x: [4, 24, 15, 14], w: [32, 24, 5, 5], padding: 2 },
  'vectors of channels, one tap': { x: [4, 32, 13, 15], w: [40, 32, 1, 1] },
  'vectors of channels, one image': { x: [1, 32, 40, 40], w: [40, 32, 1, 1] },
  'vectors of pixels, few channels': { x: [4, 3, 32, 31], w: [12, 3, 3, 3], padding: 1, alone: true },
  'vectors of pixels, one image': { x: [1, 3, 64, 70], w: [7, 3, 3, 3], padding: 1, alone: true },
  'vectors of pixels, a channel each': { x: [3, 20, 28, 27], w: [20, 1, 3, 3], padding: 1, groups: 20 },
  'vectors of pixels, dilated': { x: [4, 5, 32, 33], w: [6, 5, 3, 3], padding: 2, dilation: 2 },
  'lines longer than a strip': { x: [2, 4, 1500], w: [9, 4, 5], padding: 2, alone: true },
  '3x3 tiles of a volume': { x: [2, 16, 5, 12, 13], w: [24, 16, 3, 3, 3], padding: 1 },
  'depth, height and width': { x: [3, 6, 9, 12, 13], w: [10, 6, 3, 3, 3], padding: 1 },
};

/** What follows a convolution y (batch, out, …): further arguments, and what is made of them. */
interface Behind {
  readonly like?: (shape: readonly number[]) => readonly (readonly number[])[];
  readonly run: (y: cr.Tensor, ...more: cr.Tensor[]) => readonly cr.Tensor[];
}
const ones = (shape: readonly number[]): number[] => shape.map(() => 1);
const perChannel = ([, channels = 1, ...pixels]: readonly number[]): number[] => [1, channels, ...ones(pixels)];

const behind: Readonly<Record<string, Behind>> = {
  relu: { run: (y) => [y.relu()] },
  'gelu, and y itself': { run: (y) => [y.gelu(), y] },
  'a residual': { like: (shape) => [shape], run: (y, r) => [y.add(r as cr.Tensor).relu()] },
  'scale and shift of channels': {
    like: (shape) => [perChannel(shape), perChannel(shape)],
    run: (y, scale, shift) => [
      y
        .mul(scale as cr.Tensor)
        .add(shift as cr.Tensor)
        .relu(),
    ],
  },
  'a gate for each channel of each image': {
    like: ([batch = 1, channels = 1, ...pixels]) => [[batch, channels, ...ones(pixels)]],
    run: (y, gate) => [y.mul(gate as cr.Tensor)],
  },
  'a mask of pixels': { like: (shape) => [shape.slice(2)], run: (y, mask) => [cr.where((mask as cr.Tensor).gt(0), y, 0)] },
  'a number for each image': { like: ([batch = 1, ...rest]) => [[batch, ...ones(rest)]], run: (y, a) => [y.mul(a as cr.Tensor).tanh()] },
};

interface Result {
  readonly values: readonly cr.TensorData[];
  /** The kinds of product that have something behind them. */
  readonly joined: readonly string[];
}
type Shapes = readonly (readonly number[])[];

function run(shapes: Shapes, fuse: boolean, body: (...args: cr.Tensor[]) => readonly cr.Tensor[]): Result {
  cr.manualSeed(3);
  const args = shapes.map((shape) => cr.randn(shape));
  const step = cr.compile((...tensors: cr.Tensor[]) => [...body(...tensors)], { fuse });
  const values = step(...args).map((t) => t.toArray());
  const kernels = step.replayOf(...args)?.steps.map(({ kernel }) => kernel) ?? [];
  return { values, joined: kernels.flatMap((kernel) => (kernel.family === 'product' ? [kernel.product.views] : [])) };
}

const convolve = (x: cr.Tensor, w: cr.Tensor, { x: _, w: __, alone: ___, ...options }: Geometry, bias?: cr.Tensor): cr.Tensor => {
  const conv = [cr.conv1d, cr.conv2d, cr.conv3d][w.ndim - 3] as typeof cr.conv2d;
  return conv(x, w, { ...options, ...(bias && { bias }) });
};

for (const engine of engineNames) {
  const backends = await Promise.all([1, 2, 3].map((threads) => open(engine, { threads })));
  const [one] = backends;

  /** The same bits with and without, for each number of threads; the kinds of product that were joined. */
  const compare = (shapes: Shapes, body: (...args: cr.Tensor[]) => readonly cr.Tensor[], joined: string): void => {
    const all = backends.flatMap(({ backend }) =>
      backend === null ? [] : [false, true].map((fuse) => withDevice(backend, () => run(shapes, fuse, body))),
    );
    for (const [i, result] of all.entries()) {
      assert.deepEqual(result.values, all[0]?.values);
      assert.deepEqual(result.joined, i % 2 === 0 ? [] : [joined]);
    }
  };

  describe(engine, { skip: one?.backend === null && one.why }, () => {
    for (const [name, geometry] of Object.entries(geometries)) {
      test(`${name}: the bits of single steps`, () => {
        const shapeOf = (): readonly number[] => convolve(cr.zeros(geometry.x), cr.zeros(geometry.w), geometry).shape;
        const shape = withDevice(one?.backend as Backend, shapeOf);
        for (const { like, run: rest } of Object.values(behind)) {
          const shapes = [geometry.x, geometry.w, geometry.w.slice(0, 1), ...(like?.(shape) ?? [])];
          const body = (x: cr.Tensor, w: cr.Tensor, bias: cr.Tensor, ...more: cr.Tensor[]): readonly cr.Tensor[] =>
            rest(convolve(x, w, geometry, bias), ...more);
          compare(shapes, body as (...args: cr.Tensor[]) => readonly cr.Tensor[], 'conv');
        }
      });

      if (geometry.alone) continue;
      test(`${name}: what follows the gradient of its input`, () => {
        const shape = withDevice(one?.backend as Backend, () => convolve(cr.zeros(geometry.x), cr.zeros(geometry.w), geometry).shape);
        for (const { like, run: rest } of Object.values(behind)) {
          const body = (x: cr.Tensor, w: cr.Tensor, g: cr.Tensor, ...more: cr.Tensor[]): readonly cr.Tensor[] => {
            const leaf = x.detach().requiresGrad_();
            const [gx] = cr.grad(convolve(leaf, w, geometry), [leaf], { gradient: g }) as [cr.Tensor];
            return rest(gx, ...more);
          };
          compare(
            [geometry.x, geometry.w, shape, ...(like?.(geometry.x) ?? [])],
            body as (...args: cr.Tensor[]) => readonly cr.Tensor[],
            'convInput',
          );
        }
      });
    }
  });
}
