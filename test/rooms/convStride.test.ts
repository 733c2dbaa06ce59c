// Sizes at which the padded image is exactly as long as the image: the zeros before it stand for what no tap reads at its end.
import { test } from 'node:test';
import { conv1d, conv2d, type Tensor, tensor, withDevice } from '../../dist/index.js';
import { expectClose, tolerances } from '../../dist/testing/compare.js';
import { scaled } from '../../dist/testing/properties.js';
import { engines, reference } from '../support/backends.js';

const ramp = (shape: number[], requiresGrad = false): Tensor => {
  const size = shape.reduce((n, d) => n * d, 1);
  return tensor(
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * i + 1)),
    { shape, requiresGrad },
  );
};

type Case = { x: number[]; w: number[]; groups?: number };
const cases: Case[] = [
  { x: [2, 3, 33], w: [3, 1, 3], groups: 3 },
  { x: [6, 6, 10], w: [20, 6, 4] },
  { x: [2, 44, 6, 6], w: [15, 44, 3, 3] },
];

function weightGradient({ x, w, groups = 1 }: Case): Float64Array {
  const weight = ramp(w, true);
  const conv = x.length === 3 ? conv1d : conv2d;
  const y = conv(ramp(x), weight, { stride: 3, padding: 1, groups });
  y.mul(ramp([...y.shape]))
    .sum()
    .backward();
  return Float64Array.from(weight.grad?.toArray() ?? []);
}

for (const { name, backend, why } of engines) {
  for (const item of cases) {
    const skip = backend === null && `no ${name}: ${why}`;
    test(`the weight's gradient of (${item.x}) by (${item.w}) with stride 3 is the reference's (${name})`, { skip }, () => {
      if (backend === null) return;
      const expected = withDevice(reference, () => weightGradient(item));
      const [batch = 0, , ...size] = item.x;
      const terms = size.reduce((n, d) => n * Math.ceil(d / 3), batch); // an element sums over the images and their outputs
      expectClose(
        withDevice(backend, () => weightGradient(item)),
        expected,
        scaled(tolerances.float32, terms),
        'gradient',
      );
    });
  }
}
