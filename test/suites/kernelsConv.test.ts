// Convolutions large enough for each of the engine's ways to compute them, against the reference backend: the result, both gradients.
import { describe, test } from 'node:test';
import type { ConvGeometry, GemmKernel } from '../../dist/program/kernel.js';
import { cpuBackends } from '../support/cpuBackends.js';
import { compareRuns, Random } from '../support/kernelCases.js';

type Pair = readonly [number, number];
interface Case {
  readonly batch: number;
  readonly channels: Pair;
  readonly size: Pair;
  readonly kernel?: Pair;
  readonly stride?: number;
  readonly padding?: Pair;
  readonly groups?: number;
  /** Planes, taps in depth, zeros before the first plane, planes from tap to tap; default: a flat image. */
  readonly depth?: readonly [planes: number, taps: number, padding: number, dilation: number];
}

/** 3x3 of stride 1 by tiles of 2x2 results: odd sizes, several images and parts of one, panels of unequal width, groups. */
const tiled: readonly Case[] = [
  { batch: 3, channels: [16, 16], size: [9, 12] },
  { batch: 1, channels: [20, 40], size: [23, 17] },
  { batch: 9, channels: [33, 70], size: [5, 4], padding: [2, 1] },
  { batch: 2, channels: [70, 31], size: [11, 10], padding: [0, 2] },
  { batch: 2, channels: [32, 48], size: [8, 9], groups: 2 },
];
/** The same with depth: planes beyond either end, taps apart, vectors of channels that are not full. */
const volumes: readonly Case[] = [
  { batch: 2, channels: [16, 16], size: [9, 12], depth: [5, 3, 1, 1] },
  { batch: 1, channels: [12, 40], size: [11, 10], depth: [4, 2, 2, 2] },
  { batch: 3, channels: [31, 15], size: [8, 9], depth: [3, 1, 1, 1] },
  { batch: 2, channels: [32, 48], size: [8, 9], groups: 2, depth: [6, 3, 0, 1] },
  { batch: 1, channels: [8, 6], size: [8, 9], depth: [4, 3, 1, 1] },
];
const direct: readonly Case[] = [
  { batch: 3, channels: [16, 32], size: [12, 13], stride: 2 },
  { batch: 2, channels: [32, 64], size: [9, 8], stride: 2, kernel: [1, 1], padding: [0, 0] },
  { batch: 2, channels: [40, 24], size: [10, 7], kernel: [1, 1], padding: [0, 0] },
  { batch: 2, channels: [3, 20], size: [14, 15], kernel: [5, 4], padding: [2, 1] },
];
/** A channel of its own for each result: kernels of 3, 5 and 7 rows, others, strides; few channels and many. */
const depthwise: readonly Case[] = [
  { batch: 2, channels: [40, 40], size: [14, 19], groups: 40 },
  { batch: 9, channels: [3, 3], size: [17, 7], kernel: [5, 5], padding: [2, 1], groups: 3 },
  { batch: 3, channels: [4, 4], size: [15, 21], kernel: [7, 7], padding: [3, 3], groups: 4 },
  { batch: 2, channels: [6, 6], size: [13, 37], kernel: [3, 3], stride: 2, groups: 6 },
  { batch: 2, channels: [5, 5], size: [12, 20], kernel: [4, 9], padding: [1, 4], stride: 3, groups: 5 },
  { batch: 4, channels: [2, 2], size: [1, 50], kernel: [1, 4], padding: [0, 3], groups: 2 },
];

/** No pictures, or no pixels: weight gradients are sums of nothing. */
const empty: readonly Case[] = [
  { batch: 0, channels: [3, 2], size: [4, 4] },
  { batch: 0, channels: [16, 16], size: [8, 8], groups: 16 },
  { batch: 0, channels: [4, 6], size: [4, 4], kernel: [1, 1], padding: [0, 0], stride: 2 },
  { batch: 2, channels: [4, 6], size: [2, 4], padding: [0, 0] },
];

function geometryOf({
  batch,
  channels,
  size,
  kernel = [3, 3],
  stride = 1,
  padding = [1, 1],
  groups = 1,
  depth = [1, 1, 0, 1],
}: Case): ConvGeometry {
  const out = (d: 0 | 1): number => Math.floor((size[d] + 2 * padding[d] - kernel[d]) / stride) + 1;
  const [planes, taps, before, apart] = depth;
  return {
    batch,
    inChannels: channels[0],
    outChannels: channels[1],
    groups,
    input: [planes, ...size],
    kernel: [taps, ...kernel],
    output: [planes + 2 * before - apart * (taps - 1), out(0), out(1)],
    stride: [1, stride, stride],
    padding: [before, ...padding],
    dilation: [apart, 1, 1],
  };
}

const backends = cpuBackends();

describe('kernels: convolutions', { skip: backends.length === 0 && 'no native engine' }, () => {
  for (const [what, cases] of Object.entries({ tiled, volumes, direct, depthwise, empty })) {
    test(what, () => {
      const r = new Random(what.length);
      for (const one of cases) {
        const geometry = geometryOf(one);
        const { batch, inChannels, outChannels, groups, input, kernel, output } = geometry;
        const [kd, kh, kw] = kernel;
        for (const dtype of ['float32', 'float64'] as const) {
          const x = r.dense(dtype, [batch, inChannels, ...input], 'unit');
          const w = r.dense(dtype, [outChannels, inChannels / groups, ...kernel], 'unit');
          const y = r.dense(dtype, [batch, outChannels, ...output], 'unit');
          const bias = r.dense(dtype, [outChannels], 'unit');
          const of = (views: GemmKernel['views'], hasBias = false): GemmKernel => ({ family: 'gemm', views, geometry, bias: hasBias });
          const taps = (channels: number): number => (channels / groups) * kd * kh * kw;
          compareRuns(backends, of('conv', true), [x, w, bias], [y], { terms: taps(inChannels) });
          compareRuns(backends, of('convInput'), [y, w], [x], { terms: taps(outChannels) });
          compareRuns(backends, of('convWeight'), [y, x], [w], { terms: batch * output[0] * output[1] * output[2] });
        }
      }
    });
  }
});
