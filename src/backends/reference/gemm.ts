import { isFloat } from '../../core/dtype.js';
import { internal } from '../../core/errors.js';
import { broadcastStrides, contiguousStrides, type Shape } from '../../core/shape.js';
import type { ConvGeometry, GemmKernel } from '../../program/kernel.js';
import { type Run, type View, Walk } from './view.js';

/** Products of matrices, and the three products that a convolution and its gradients are. */
export function gemm(kernel: GemmKernel): Run {
  if (kernel.views === 'dense') return (inputs, outputs) => matmul(inputs, outputs[0] as View);
  if (kernel.geometry === undefined) throw internal('a convolution without its sizes');
  return convolution(kernel.views, kernel.geometry);
}

/** out[…, i, j] = bias[j] + Σ over k of a[…, i, k] · b[…, k, j]. */
function matmul([a, b, bias]: readonly View[], out: View): void {
  if (a === undefined || b === undefined) throw internal('a matrix product of fewer than two matrices');
  const [m, n, depth] = [out.shape.at(-2) ?? 1, out.shape.at(-1) ?? 1, a.shape.at(-1) ?? 1];
  const [left, right] = [a.load(), b.load()];
  const batch = out.shape.slice(0, -2);
  const walk = new Walk(batch, [batchStrides(a.shape, batch), batchStrides(b.shape, batch)], [0, 0]);
  const result = bias ? bias.load(out.shape) : new Float64Array(out.size);
  const addRow = isFloat(out.dtype) ? addMultiple : addMultipleOfInts;
  for (let t = 0; t < walk.size; t++, walk.step()) {
    const [a0, b0, c0] = [walk.position(0), walk.position(1), t * m * n];
    for (let i = 0; i < m; i++) {
      for (let k = 0; k < depth; k++) addRow(result, c0 + i * n, left[a0 + i * depth + k] as number, right, b0 + k * n, n);
    }
  }
  out.store(result);
}

/** For dense matrices of this shape: how far it is to the next one in each batch dim. */
function batchStrides(shape: Shape, batch: Shape): number[] {
  return broadcastStrides(shape.slice(0, -2), contiguousStrides(shape).slice(0, -2), batch);
}

/** to[at + j] += factor · row[from + j]. */
function addMultiple(to: Float64Array, at: number, factor: number, row: Float64Array, from: number, count: number): void {
  for (let j = 0; j < count; j++) (to[at + j] as number) += factor * (row[from + j] as number);
}

/** Integers wrap around: a product of two can have more digits than a double holds. */
function addMultipleOfInts(to: Float64Array, at: number, factor: number, row: Float64Array, from: number, count: number): void {
  for (let j = 0; j < count; j++) (to[at + j] as number) += Math.imul(factor, row[from + j] as number);
}

/**
 * y[b, o, p] = bias[o] + Σ over c, u of x[b, c, p · stride − padding + u · dilation] · w[o, c, u] is linear in x and in w.
 * All three directions go over the same triples (x, w, y) and add the product of two to the third.
 */
function convolution(direction: Exclude<GemmKernel['views'], 'dense'>, geometry: ConvGeometry): Run {
  const step = geometry.stride[2];
  return ([first, second, bias], outputs) => {
    if (first === undefined || second === undefined) throw internal('a convolution of fewer than two tensors');
    const out = outputs[0] as View;
    const [f, s, r] = [first.load(), second.load(), bias ? perChannel(bias, out) : new Float64Array(out.size)];
    forEachRun(geometry, runAdder(direction, f, s, r, step));
    out.store(r);
  };
}

/** `count` triples: x advances by the stride, y by 1, w stays. */
type AddRun = (x: number, w: number, y: number, count: number) => void;

function runAdder(
  direction: Exclude<GemmKernel['views'], 'dense'>,
  f: Float64Array,
  s: Float64Array,
  r: Float64Array,
  step: number,
): AddRun {
  if (direction === 'conv') {
    return (x, w, y, count) => {
      for (let i = 0; i < count; i++) (r[y + i] as number) += (f[x + i * step] as number) * (s[w] as number);
    };
  }
  if (direction === 'convInput') {
    return (x, w, y, count) => {
      for (let i = 0; i < count; i++) (r[x + i * step] as number) += (f[y + i] as number) * (s[w] as number);
    };
  }
  return (x, w, y, count) => {
    for (let i = 0; i < count; i++) (r[w] as number) += (f[y + i] as number) * (s[x + i * step] as number);
  };
}

/** The bias of a (batch, channels, …) tensor, one number a channel. */
function perChannel(bias: View, out: View): Float64Array {
  const [values, channels] = [bias.load(), out.shape[1] ?? 1];
  const pixels = out.size / Math.max((out.shape[0] ?? 1) * channels, 1);
  return new Float64Array(out.size).map((_, i) => values[Math.floor(i / pixels) % channels] as number);
}

/** All triples of a convolution, in runs along the last output dim. Triples in the padding are left out: there x is 0. */
function forEachRun(g: ConvGeometry, add: AddRun): void {
  const [inputs, outputs] = [g.inChannels / g.groups, g.outChannels / g.groups];
  for (let b = 0; b < g.batch; b++) {
    for (let o = 0; o < g.outChannels; o++) {
      for (let c = 0; c < inputs; c++) {
        const plane = b * g.inChannels + Math.floor(o / outputs) * inputs + c;
        forEachRunOfPlane(g, plane, o * inputs + c, b * g.outChannels + o, add);
      }
    }
  }
}

/** The runs of one input plane, one kernel and one output plane, given by their numbers. */
function forEachRunOfPlane(g: ConvGeometry, xPlane: number, wPlane: number, yPlane: number, add: AddRun): void {
  const [kz, ky, kx] = g.kernel;
  const [inZ, inY, inX] = g.input;
  const [outZ, outY, outX] = g.output;
  for (let u = 0; u < kz * ky * kx; u++) {
    const [uz, uy, ux] = [Math.floor(u / (ky * kx)), Math.floor(u / kx) % ky, u % kx];
    const startX = ux * g.dilation[2] - g.padding[2];
    const first = Math.max(0, Math.ceil(-startX / g.stride[2]));
    const count = Math.min(outX, Math.ceil((inX - startX) / g.stride[2])) - first;
    for (let pz = 0; pz < outZ; pz++) {
      const z = pz * g.stride[0] - g.padding[0] + uz * g.dilation[0];
      if (z < 0 || z >= inZ) continue;
      for (let py = 0; py < outY; py++) {
        const y = py * g.stride[1] - g.padding[1] + uy * g.dilation[1];
        if (y < 0 || y >= inY || count <= 0) continue;
        const x = ((xPlane * inZ + z) * inY + y) * inX + startX + first * g.stride[2];
        add(x, wPlane * kz * ky * kx + u, ((yPlane * outZ + pz) * outY + py) * outX + first, count);
      }
    }
  }
}
