import type { WindowGeometry, WindowKernel } from '../../program/kernel.js';
import type { Run, View } from './view.js';

/** The elements of a plane under one output element, and the number that their sum is divided by for a mean. */
interface Window {
  readonly elements: readonly number[];
  readonly divisor: number;
}

export function window(kernel: WindowKernel): Run {
  const windows = windowsOf(kernel);
  const { planes, input } = kernel.geometry;
  const area = input[0] * input[1] * input[2];
  return ([x, places], [out, winners]) => {
    const values = (x as View).load();
    if (kernel.by === 'maxAdjoint') (out as View).store(maximaAdjoint(windows.length, planes, area, values, (places as View).load()));
    else if (kernel.by === 'max') maxima(windows, planes, area, values, out as View, winners);
    else if (kernel.by === 'mean') (out as View).store(means(windows, planes, area, values));
    else (out as View).store(meansAdjoint(windows, planes, area, values));
  };
}

/** The largest element of each window (NaN counts as the largest), the first one among equals. A window of padding only: −∞ and −1. */
function maxima(windows: readonly Window[], planes: number, area: number, x: Float64Array, out: View, winners: View | undefined): void {
  const values = new Float64Array(planes * windows.length);
  const indices = new Float64Array(values.length);
  for (let p = 0; p < planes; p++) {
    windows.forEach(({ elements }, w) => {
      let [best, at] = [Number.NEGATIVE_INFINITY, -1];
      for (const e of elements) {
        const v = x[p * area + e] as number;
        const wins = at < 0 || v > best || (Number.isNaN(v) && !Number.isNaN(best));
        if (wins) [best, at] = [v, e];
      }
      values[p * windows.length + w] = best;
      indices[p * windows.length + w] = at;
    });
  }
  out.store(values);
  winners?.store(indices);
}

function means(windows: readonly Window[], planes: number, area: number, x: Float64Array): Float64Array {
  const result = new Float64Array(planes * windows.length);
  for (let p = 0; p < planes; p++) {
    windows.forEach(({ elements, divisor }, w) => {
      let sum = 0;
      for (const e of elements) sum += x[p * area + e] as number;
      result[p * windows.length + w] = elements.length > 0 ? sum / divisor : 0;
    });
  }
  return result;
}

/** Hands each window's number back, in equal parts, to the elements that it is the mean of. */
function meansAdjoint(windows: readonly Window[], planes: number, area: number, y: Float64Array): Float64Array {
  const result = new Float64Array(planes * area);
  for (let p = 0; p < planes; p++) {
    windows.forEach(({ elements, divisor }, w) => {
      for (const e of elements) (result[p * area + e] as number) += (y[p * windows.length + w] as number) / divisor;
    });
  }
  return result;
}

/** Hands each window's number to its winner. */
function maximaAdjoint(windows: number, planes: number, area: number, y: Float64Array, winners: Float64Array): Float64Array {
  const result = new Float64Array(planes * area);
  for (let i = 0; i < planes * windows; i++) {
    const winner = winners[i] as number;
    if (winner >= 0) (result[Math.floor(i / windows) * area + winner] as number) += y[i] as number;
  }
  return result;
}

/** Where a window meets one axis: its real coordinates, and how many there are with the padding. */
interface Interval {
  readonly real: readonly number[];
  readonly padded: number;
}

/** All windows of a plane in row-major order of the outputs. */
function windowsOf({ geometry, divisor }: WindowKernel): Window[] {
  const windows: Window[] = [];
  const [, height, width] = geometry.input;
  const xs = intervals(geometry, 2);
  const ys = intervals(geometry, 1);
  for (const z of intervals(geometry, 0)) {
    for (const y of ys) {
      for (const x of xs) {
        const elements = z.real.flatMap((k) => y.real.flatMap((j) => x.real.map((i) => (k * height + j) * width + i)));
        const padded = z.padded * y.padded * x.padded;
        windows.push({ elements, divisor: divisor === 'real' ? elements.length : divisor === 'padded' ? padded : divisor });
      }
    }
  }
  return windows;
}

function intervals(g: WindowGeometry, axis: 0 | 1 | 2): Interval[] {
  const [size, outputs] = [g.input[axis], g.output[axis]];
  return Array.from({ length: outputs }, (_, o) => {
    if (g.adaptive) {
      const [start, end] = [Math.floor((o * size) / outputs), Math.ceil(((o + 1) * size) / outputs)];
      return { real: Array.from({ length: end - start }, (_, i) => start + i), padded: end - start };
    }
    const taps = Array.from({ length: g.kernel[axis] }, (_, u) => o * g.stride[axis] - g.padding[axis] + u * g.dilation[axis]);
    // With ceil mode the last window may reach beyond the padding, where nothing counts.
    return { real: taps.filter((i) => i >= 0 && i < size), padded: taps.filter((i) => i < size + g.padding[axis]).length };
  });
}
