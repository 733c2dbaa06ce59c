import { internal } from '../../core/errors.js';
import { broadcastStrides } from '../../core/shape.js';
import { specOf } from '../../core/spec.js';
import type { ConvGeometry, GemmKernel, ScanKernel, SortKernel, WindowKernel } from '../../program/kernel.js';
import type { ProgramOperand, Step } from '../../program/program.js';
import { outerLoops, sortedDims } from './encodeLoops.js';
import type { TapeWriter } from './tapeWriter.js';

/** Shapes, strides and batch loops of C = A·B (+ bias): the batch dims of A and B broadcast to those of C. `then` writes what follows. */
export function writeGemm(
  tape: TapeWriter,
  { inputs, outputs, scalarBase }: Step,
  { bias: hasBias, rounded = false }: GemmKernel,
  then: () => void = () => tape.ints(rounded ? 2 : 0),
): void {
  const [a, b, bias] = inputs;
  const [c] = outputs;
  if (a === undefined || b === undefined || c === undefined) throw internal('a gemm needs a, b and an output');
  const { shape } = c.spec;
  const batch = shape.slice(0, -2);
  const operands = [a, b, c].map(({ spec }) => broadcastStrides(spec.shape.slice(0, -2), spec.strides.slice(0, -2), batch));
  const loops = outerLoops(batch, operands, sortedDims(batch, operands));
  const [aRows, bRows, cRows] = [rowsOf(a), rowsOf(b), rowsOf(c)];
  let m = shape.at(-2) ?? 1;
  // A batch of A that only continues its rows, against one B, is a taller A.
  const [sa, sb, sc] = loops.strides.map((s) => s.at(-1));
  if (loops.dims.length > 0 && sb === 0 && (m === 1 || (sa === m * aRows[0] && sc === m * cRows[0]))) {
    if (m === 1) [aRows[0], cRows[0]] = [sa ?? 0, sc ?? 0];
    m *= loops.dims.pop() ?? 1;
    for (const s of loops.strides) s.pop();
  }
  tape.begin('gemm', scalarBase);
  tape.ints(m, shape.at(-1) ?? 1, a.spec.shape.at(-1) ?? 1, loops.dims.length, ...loops.dims);
  tape.view(a, [...(loops.strides[0] ?? []), ...aRows]);
  tape.view(b, [...(loops.strides[1] ?? []), ...bRows]);
  tape.view(c, [...(loops.strides[2] ?? []), ...cRows]);
  const given = hasBias && bias !== undefined;
  if (given && !bias.spec.contiguous) throw internal('a bias is dense');
  tape.ints(Number(given));
  if (given) tape.view(bias, [1]);
  then();
  tape.end();
}

const rowsOf = ({ spec }: ProgramOperand): [number, number] => [spec.strides.at(-2) ?? 0, spec.strides.at(-1) ?? 0];

const convKinds = { conv: 0, convInput: 1, convWeight: 2, dense: -1 } as const;

/** Sizes and operands of a convolution. `then` writes what follows. */
export function writeConv(
  tape: TapeWriter,
  { inputs, outputs, scalarBase }: Step,
  { views, geometry, bias: hasBias }: GemmKernel,
  then: () => void = () => tape.ints(0),
): void {
  const [a, b, bias] = inputs;
  const [out] = outputs;
  if (a === undefined || b === undefined || out === undefined || geometry === undefined) throw internal('a convolution needs two inputs');
  for (const o of [a, b, out]) if (!o.spec.contiguous) throw internal('convolutions read and write dense tensors');
  tape.begin('conv', scalarBase);
  tape.ints(convKinds[views], geometry.batch, geometry.inChannels, geometry.outChannels, geometry.groups);
  writeSizes(tape, geometry);
  for (const o of [a, b, out]) tape.operand(o);
  const given = hasBias && bias !== undefined;
  tape.ints(Number(given));
  if (given) tape.operand(bias);
  then();
  tape.end();
}

function writeSizes(tape: TapeWriter, g: Pick<ConvGeometry, 'input' | 'kernel' | 'output' | 'stride' | 'padding' | 'dilation'>): void {
  for (const sizes of [g.input, g.kernel, g.output, g.stride, g.padding, g.dilation]) tape.list(sizes);
}

const windows = { max: 0, mean: 1, meanAdjoint: 2, maxAdjoint: 3 } as const;
const divisors = { padded: 0, real: 1 } as const;

export function writeWindow(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, { by, geometry, divisor }: WindowKernel): void {
  const [x, winners] = inputs;
  const [y, indices = winners] = outputs;
  if (x === undefined || y === undefined) throw internal('a window needs an input and an output');
  const operands = indices === undefined ? [x, y] : [x, y, indices];
  const [batch = 1] = x.spec.shape;
  const dense = operands.every(({ spec }) => spec.contiguous);
  tape.begin('window', scalarBase);
  tape.ints(windows[by], Number(geometry.adaptive), typeof divisor === 'number' ? 2 : divisors[divisor]);
  tape.real(typeof divisor === 'number' ? divisor : 0);
  tape.ints(geometry.planes, dense ? geometry.planes : geometry.planes / batch);
  writeSizes(tape, geometry);
  tape.ints(operands.length - 1);
  for (const o of operands) tape.view(o, [dense ? 0 : jumpOf(o)]);
  tape.end();
}

/** The step from item to item of a (batch, channels, …) tensor whose items are dense. */
function jumpOf({ spec }: ProgramOperand): number {
  const { shape, strides, dtype } = spec;
  if (!specOf(dtype, shape.slice(1), strides.slice(1)).contiguous) throw internal('windows read and write dense planes');
  return strides[0] ?? 0;
}

const scans = { sum: 0, prod: 1, max: 2, min: 3, logSumExp: 4 } as const;

export function writeScan(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, { dim, by }: ScanKernel): void {
  const [x] = inputs;
  if (x === undefined) throw internal('a scan needs an input');
  tape.begin('scan', scalarBase);
  tape.ints(scans[by], x.spec.shape[dim] ?? 1);
  const { dims, views } = linesAlong(dim, [x, ...outputs]);
  tape.ints(dims.length, ...dims, outputs.length);
  [x, ...outputs].forEach((o, k) => tape.view(o, views[k]));
  tape.end();
}

export function writeSort(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, { dim, descending, k }: SortKernel): void {
  const [x] = inputs;
  const [values, indices] = outputs;
  if (x === undefined || values === undefined || indices === undefined) throw internal('a sort has values and indices');
  const length = x.spec.shape[dim] ?? 1;
  tape.begin('sort', scalarBase);
  tape.ints(Number(descending), Math.min(k ?? length, length), length);
  const { dims, views } = linesAlong(dim, [x, values, indices]);
  tape.ints(dims.length, ...dims);
  [x, values, indices].forEach((o, i) => tape.view(o, views[i]));
  tape.end();
}

/** All lines along one dim: loops over the other dims, and per operand its strides along those and, last, along the dim. */
function linesAlong(dim: number, operands: readonly ProgramOperand[]): { readonly dims: readonly number[]; readonly views: number[][] } {
  const [first] = operands;
  const shape = first?.spec.shape ?? [];
  const others = [...shape.keys()].filter((d) => d !== dim);
  const strides = operands.map(({ spec }) => spec.strides);
  const loops = outerLoops(shape, strides, sortedDims(shape, strides, others));
  return { dims: loops.dims, views: strides.map((s, k) => [...(loops.strides[k] ?? []), s[dim] ?? 1]) };
}
