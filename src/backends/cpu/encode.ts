import { dtypes } from '../../core/dtype.js';
import { internal } from '../../core/errors.js';
import { broadcastStrides, contiguousStrides, type Shape } from '../../core/shape.js';
import { toBytecode } from '../../expr/bytecode.js';
import { type Expr, input } from '../../expr/expr.js';
import type {
  CopyKernel,
  GatherKernel,
  LoopKernel,
  MapKernel,
  Place,
  RandomKernel,
  ReduceKernel,
  ScatterKernel,
} from '../../program/kernel.js';
import type { Program, ProgramOperand, Step } from '../../program/program.js';
import { computeCodes, writeExprs } from './encodeExpr.js';
import { writeFactor } from './encodeFactor.js';
import { writeAttention, writeLayerNorm, writeRecurrent } from './encodeFused.js';
import { writeConv, writeGemm, writeScan, writeSort, writeWindow } from './encodeHeavy.js';
import { coalesce, isInjective, type Loops, outerLoops, pairTransposed, repeatInside, slabsDisjoint, sortedDims } from './encodeLoops.js';
import { writeProduct } from './encodeProduct.js';
import { TapeWriter } from './tapeWriter.js';

/** The number of the loop that the engine holds compiled for a program's hash, or -1. */
export type FindAot = (lo: number, hi: number) => number;

/**
 * A program as the engine's tape. Everything that depends on shapes is decided here, once: dims of size 1 are dropped, the others
 * sorted and merged over all operands, broadcasts become strides of 0, and steps over empty tensors vanish.
 */
export function encodeProgram(program: Program, findAot: FindAot): Int32Array {
  const tape = new TapeWriter();
  for (const step of program.steps) writeStep(tape, step, findAot);
  return tape.finish();
}

function writeStep(tape: TapeWriter, step: Step, findAot: FindAot): void {
  if (step.outputs.every(({ spec }) => spec.size === 0)) return;
  const { kernel } = step;
  switch (kernel.family) {
    case 'map':
      return writeMap(tape, step, kernel, findAot);
    case 'reduce':
      return writeReduce(tape, step, kernel, findAot);
    case 'gemm':
      return kernel.views === 'dense' ? writeGemm(tape, step, kernel) : writeConv(tape, step, kernel);
    case 'window':
      return writeWindow(tape, step, kernel);
    case 'gather':
      return writeGather(tape, step, kernel);
    case 'scatter':
      return writeScatter(tape, step, kernel);
    case 'scan':
      return writeScan(tape, step, kernel);
    case 'sort':
      return writeSort(tape, step, kernel);
    case 'random':
      return writeRandom(tape, step, kernel);
    case 'factor':
      return writeFactor(tape, step, kernel);
    case 'copy':
      return writeCopy(tape, step, kernel);
    case 'loop':
      return writeLoop(tape, step, kernel, findAot);
    case 'attention':
      return writeAttention(tape, step, kernel);
    case 'recurrent':
      return writeRecurrent(tape, step, kernel);
    case 'layerNorm':
      return writeLayerNorm(tape, step, kernel);
    case 'product':
      return writeProduct(tape, step, kernel, findAot);
  }
}

/** The table of views, then the tape of one turn, whose buffers are the views. */
function writeLoop(tape: TapeWriter, { inputs, outputs }: Step, { count, steps, views, scratch }: LoopKernel, findAot: FindAot): void {
  const operands = [...inputs, ...outputs];
  const body = new TapeWriter();
  for (const step of steps) writeStep(body, step, findAot);
  tape.begin('loop', 0);
  tape.ints(count, views.length, scratch);
  for (const { operand, offset, stride } of views) {
    const x = operands[operand];
    if (x === undefined) tape.ints(-1, dtypes.uint8.code, offset, 0);
    else tape.view(x, [stride]);
  }
  tape.list([...body.finish()]);
  tape.end();
}

const stridesAt = ({ spec }: ProgramOperand, shape: Shape): readonly number[] =>
  spec.shape === shape ? spec.strides : broadcastStrides(spec.shape, spec.strides, shape);

function writeMap(tape: TapeWriter, step: Step, kernel: MapKernel, findAot: FindAot): void {
  if (kernel.parts !== undefined) return writeParts(tape, step, kernel, kernel.parts, findAot);
  const { inputs, outputs, scalarBase } = step;
  const { exprs, compute } = kernel;
  const [first] = outputs;
  if (first === undefined) throw internal('a map without outputs');
  const { shape } = first.spec;
  const operands = [...inputs, ...outputs];
  const strides = operands.map((o) => stridesAt(o, shape));
  const loops = coalesce(shape, strides, sortedDims(shape, [first.spec.strides]));
  repeatInside(loops);
  pairTransposed(loops, [...inputs.keys()]);
  const aot = compute === 'float32' ? findAot(...toBytecode(exprs, compute).hash) : -1;
  tape.begin('map', scalarBase);
  tape.ints(computeCodes[compute], aot, inputs.length, outputs.length, loops.dims.length);
  tape.list(loops.dims);
  operands.forEach((o, k) => tape.view(o, loops.strides[k]));
  writeExprs(tape, exprs, compute, inputs.length);
  tape.end();
}

/** Many sets of dense operands: a rank of 0 says so. */
function writeParts(
  tape: TapeWriter,
  { inputs, outputs, scalarBase }: Step,
  { exprs, compute }: MapKernel,
  parts: readonly number[],
  findAot: FindAot,
): void {
  const [reads, writes] = [inputs.length / parts.length, outputs.length / parts.length];
  const aot = compute === 'float32' ? findAot(...toBytecode(exprs, compute).hash) : -1;
  tape.begin('map', scalarBase);
  tape.ints(computeCodes[compute], aot, reads, writes, 0, parts.length);
  writeExprs(tape, exprs, compute, reads);
  parts.forEach((shift, p) => {
    const size = outputs[p * writes]?.spec.size ?? 0;
    tape.ints(size, shift);
    const operands = [...inputs.slice(p * reads, (p + 1) * reads), ...outputs.slice(p * writes, (p + 1) * writes)];
    for (const o of operands) tape.view(o, [o.spec.size === size ? 1 : 0]);
  });
  tape.end();
}

const reducers = { sum: 0, prod: 1, max: 2, min: 3, argmax: 4, argmin: 5 } as const;
const [ROWS, COLUMNS] = [0, 1];

/**
 * Kept dims are walked outside, reduced ones inside (ROWS), unless memory runs fastest along a kept dim: then a stretch of that
 * dim is folded at once (COLUMNS). argmax and argmin keep the order of the reduced dims, for it gives the index.
 */
function writeReduce(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, kernel: ReduceKernel, findAot: FindAot): void {
  const { by, dims, shape, expr, finish, compute } = kernel;
  const [out] = outputs;
  if (out === undefined) throw internal('a reduction without output');
  const isReduced = shape.map((_, d) => dims.includes(d));
  const reads = inputs.map((o) => stridesAt(o, shape));
  const keeps = [...shape.keys()].filter((d) => !isReduced[d]);
  const folds = [...shape.keys()].filter((d) => isReduced[d]);
  const sameRank = out.spec.shape.length === shape.length;
  const writes = shape.map((_, d) => (isReduced[d] ? 0 : (out.spec.strides[sameRank ? d : keeps.indexOf(d)] ?? 0)));
  const kept = coalesce(shape, [...reads, writes], sortedDims(shape, reads, keeps));
  const ordered = by === 'argmax' || by === 'argmin';
  const reduced = coalesce(shape, reads, ordered ? folds : sortedDims(shape, reads, folds));
  if (folds.some((d) => shape[d] === 0)) reduced.dims.splice(0, reduced.dims.length, ...reduced.dims.map(() => 0));
  tape.begin('reduce', scalarBase);
  tape.ints(reducers[by], computeCodes[compute], layoutOf(kept.strides.slice(0, -1), kept.dims, reduced.strides, reduced.dims));
  const isPlain = expr === input(0) && inputs.length === 1;
  const aot = compute === 'float32' && !isPlain ? findAot(...toBytecode([expr], compute).hash) : -1;
  tape.ints(aot, inputs.length, kept.dims.length, reduced.dims.length, ...kept.dims, ...reduced.dims);
  inputs.forEach((o, k) => tape.view(o, [...(kept.strides[k] ?? []), ...(reduced.strides[k] ?? [])]));
  tape.view(out, kept.strides[inputs.length]);
  writePart(tape, isPlain ? undefined : expr, kernel, inputs.length);
  writePart(tape, finish, kernel, 1);
  tape.end();
}

/** Which loop runs innermost: the one along which the inputs move least, if that is not a single step. */
function layoutOf(
  kept: readonly number[][],
  keptDims: readonly number[],
  reduced: readonly number[][],
  reducedDims: readonly number[],
): number {
  if (keptDims.at(-1) === 1) return ROWS;
  if (reducedDims.at(-1) === 1) return COLUMNS;
  let [along, across] = [0, 0];
  for (const s of reduced) along = Math.max(along, Math.abs(s.at(-1) ?? 0));
  for (const s of kept) across = Math.max(across, Math.abs(s.at(-1) ?? 0));
  return along <= across ? ROWS : COLUMNS;
}

/** A length in words and the program, or a 0 for none. */
function writePart(tape: TapeWriter, expr: Expr | undefined, { compute }: ReduceKernel, inputs: number): void {
  if (expr === undefined) return tape.ints(0);
  const part = new TapeWriter();
  writeExprs(part, [expr], compute, inputs);
  const words = part.finish();
  tape.ints(words.length - 1);
  tape.list([...words.subarray(0, -1)]);
}

/** The strides without the step along one dim, and that step. */
function withoutDim(strides: readonly number[], dim: number): [number[], number] {
  return [strides.map((s, d) => (d === dim ? 0 : s)), strides[dim] ?? 0];
}

function writeGather(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, { dim, wrap }: GatherKernel): void {
  const [x, index] = inputs;
  const [out] = outputs;
  if (x === undefined || index === undefined || out === undefined) throw internal('a gather needs x, index and an output');
  if (x.spec.dtype !== out.spec.dtype || index.spec.dtype !== 'int32') throw internal('a gather keeps the element type');
  const { shape } = out.spec;
  const [xStrides, stride] = withoutDim(x.spec.strides, dim);
  const loops = coalesce(shape, [xStrides, stridesAt(index, shape), out.spec.strides], sortedDims(shape, [out.spec.strides]));
  tape.begin('gather', scalarBase);
  tape.ints(Number(wrap), x.spec.shape[dim] ?? 1, stride, loops.dims.length, ...loops.dims);
  tape.view(x, loops.strides[0]);
  tape.view(index, loops.strides[1]);
  tape.view(out, loops.strides[2]);
  tape.end();
}

const scatters = { set: 0, sum: 1, prod: 2, max: 3, min: 4 } as const;

/**
 * The output starts as a copy of self. Two elements of src can only meet along `dim`, so every other dim is independent: those
 * along which the index changes, or which lie outside of `dim` in memory, go outside, the others (whole rows with one index) inside.
 */
function writeScatter(tape: TapeWriter, step: Step, { dim, by, wrap }: ScatterKernel): void {
  const { inputs, outputs, scalarBase } = step;
  const [self, index, src] = inputs;
  const [out] = outputs;
  if (self === undefined || index === undefined || src === undefined || out === undefined) throw internal('a scatter needs three inputs');
  const inPlace = self.buffer === out.buffer && self.offset === out.offset && self.spec === out.spec;
  if (!inPlace) writeCopy(tape, { ...step, inputs: [self] }, { family: 'copy' });
  if (src.spec.size === 0) return;
  const { shape } = src.spec;
  const [writes, stride] = withoutDim(out.spec.strides, dim);
  const at = stridesAt(index, shape);
  const operands = [writes, at, src.spec.strides];
  const others = [...shape.keys()].filter((d) => d !== dim);
  const isRow = (d: number): boolean => at[d] === 0 && Math.abs(writes[d] ?? 0) < Math.abs(stride);
  const loops = (dims: readonly number[]): Loops => outerLoops(shape, operands, sortedDims(shape, [writes], dims));
  const outer = loops(others.filter((d) => !isRow(d)));
  const inner = loops(others.filter(isRow));
  tape.begin('scatter', scalarBase);
  tape.ints(scatters[by], Number(wrap), out.spec.shape[dim] ?? 1, stride, outer.dims.length, inner.dims.length);
  tape.ints(...outer.dims, shape[dim] ?? 1, ...inner.dims);
  [out, index, src].forEach((o, k) => {
    tape.view(o, [...(outer.strides[k] ?? []), operands[k]?.[dim] ?? 0, ...(inner.strides[k] ?? [])]);
  });
  tape.end();
}

const randoms = { uniform: 0, normal: 1, integers: 2 } as const;

function writeRandom(tape: TapeWriter, { outputs, scalarBase }: Step, { by }: RandomKernel): void {
  const [out] = outputs;
  if (out === undefined || !out.spec.contiguous) throw internal('random numbers fill a dense output');
  tape.begin('random', scalarBase);
  tape.ints(randoms[by], out.spec.size);
  tape.operand(out);
  tape.end();
}

const [SET, ACCUMULATE, FILL] = [0, 1, 2];

function writeCopy(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, { fill, accumulate = false, places }: CopyKernel): void {
  const [out] = outputs;
  if (out === undefined) throw internal('a copy without output');
  if (fill !== undefined || inputs.length === 0) writeFill(tape, out, fill ?? 0, scalarBase);
  inputs.forEach((x, i) => {
    if (x.spec.size === 0 && places !== undefined) return;
    writePlace(tape, x, out, placeOf(x, out, places?.[i]), accumulate, scalarBase);
  });
}

/** Where an input without a place goes: to the same index, or, for a dense output of the same size, to the same position. */
function placeOf(x: ProgramOperand, out: ProgramOperand, place: Place | undefined): Place & { readonly shape: Shape } {
  if (place !== undefined) return { ...place, shape: x.spec.shape };
  if (out.spec.contiguous && x.spec.size === out.spec.size) {
    return { offset: 0, strides: contiguousStrides(x.spec.shape), shape: x.spec.shape };
  }
  return { offset: 0, strides: out.spec.strides, shape: out.spec.shape };
}

function writePlace(
  tape: TapeWriter,
  x: ProgramOperand,
  out: ProgramOperand,
  { offset, strides, shape }: Place & { readonly shape: Shape },
  accumulate: boolean,
  scalarBase: number,
): void {
  const reads = stridesAt(x, shape);
  const apart = isInjective(shape, strides);
  // Where elements meet, they are added in order, so only dims that lie apart may be moved or split.
  const order = apart ? sortedDims(shape, [strides]) : [...shape.keys()];
  const loops = coalesce(shape, [strides, reads], order);
  if (apart) pairTransposed(loops, [1]);
  const split = apart || slabsDisjoint(loops.dims, loops.strides[0] ?? []);
  tape.begin('copy', scalarBase);
  tape.ints(accumulate ? ACCUMULATE : SET, Number(split), loops.dims.length, ...loops.dims);
  tape.view(out, loops.strides[0], offset);
  tape.view(x, loops.strides[1]);
  tape.end();
}

function writeFill(tape: TapeWriter, out: ProgramOperand, value: number, scalarBase: number): void {
  const { shape, strides } = out.spec;
  const loops = coalesce(shape, [strides], sortedDims(shape, [strides]));
  tape.begin('copy', scalarBase);
  tape.ints(FILL, 1, loops.dims.length, ...loops.dims);
  tape.view(out, loops.strides[0]);
  tape.real(value);
  tape.end();
}
