import { type Evaluate, evaluator } from '../../expr/evaluate.js';
import type { MapKernel, ReduceKernel, Reducer } from '../../program/kernel.js';
import { type Run, type View, Walk } from './view.js';

/** Parts one by one, each with its own scalars. */
export function map(kernel: MapKernel): Run {
  const { parts } = kernel;
  if (parts === undefined) return mapPart(kernel);
  const one = mapPart(kernel);
  return (inputs, outputs, scalars) => {
    parts.forEach((shift, p) => {
      const of = (views: readonly View[]): readonly View[] =>
        views.slice((p * views.length) / parts.length, ((p + 1) * views.length) / parts.length);
      one(of(inputs), of(outputs), scalars.slice(shift));
    });
  };
}

/** Element by element: an output may be one of the inputs, so an element is written only after it has been read. */
function mapPart(kernel: MapKernel): Run {
  const evaluate = evaluator(kernel.exprs, kernel.compute);
  return (inputs, outputs, scalars) => {
    const shape = outputs[0]?.shape ?? [];
    const views = [...inputs, ...outputs];
    const walk = walkOf(views, shape);
    const values = new Array<number>(inputs.length).fill(0);
    const results = new Array<number>(outputs.length).fill(0);
    for (let i = 0; i < walk.size; i++, walk.step()) {
      for (let k = 0; k < inputs.length; k++) values[k] = (inputs[k] as View).get(walk.position(k));
      evaluate(values, scalars, results);
      for (let k = 0; k < outputs.length; k++) (outputs[k] as View).set(walk.position(inputs.length + k), results[k] as number);
    }
  };
}

function walkOf(views: readonly View[], shape: readonly number[]): Walk {
  return new Walk(
    shape,
    views.map((v) => v.stridesIn(shape)),
    views.map((v) => v.offset),
  );
}

/** Folds `count` numbers, which `next` gives one after another. */
type Fold = (next: () => number, count: number) => number;

const floatFolds: Readonly<Record<Reducer, Fold>> = {
  sum: foldWith(0, (a, b) => a + b),
  prod: foldWith(1, (a, b) => a * b),
  max: foldWith(Number.NEGATIVE_INFINITY, Math.max),
  min: foldWith(Number.POSITIVE_INFINITY, Math.min),
  argmax: winner((a, b) => a > b),
  argmin: winner((a, b) => a < b),
};
const intFolds: Readonly<Record<Reducer, Fold>> = { ...floatFolds, sum: foldWith(0, (a, b) => (a + b) | 0), prod: foldWith(1, Math.imul) };

function foldWith(start: number, combine: (a: number, b: number) => number): Fold {
  return (next, count) => {
    let folded = start;
    for (let i = 0; i < count; i++) folded = combine(folded, next());
    return folded;
  };
}

/** The number of the first element that no other one beats; the first NaN beats everything. */
function winner(beats: (a: number, b: number) => boolean): Fold {
  return (next, count) => {
    let [best, at] = [Number.NaN, -1];
    for (let i = 0; i < count; i++) {
      const x = next();
      const wins = at < 0 || beats(x, best) || (Number.isNaN(x) && !Number.isNaN(best));
      if (wins) [best, at] = [x, i];
    }
    return Math.max(at, 0);
  };
}

/** For every kept index: the fold over all reduced ones, in row-major order. */
export function reduce(kernel: ReduceKernel): Run {
  const evaluate = evaluator([kernel.expr], kernel.compute);
  const finish = kernel.finish ? evaluator([kernel.finish], kernel.compute) : unchanged;
  const fold = (kernel.compute === 'int32' ? intFolds : floatFolds)[kernel.by];
  const { shape } = kernel;
  const kept = (perDim: readonly number[]): number[] => perDim.filter((_, d) => !kernel.dims.includes(d));
  const reduced = (perDim: readonly number[]): number[] => perDim.filter((_, d) => kernel.dims.includes(d));
  return (inputs, outputs, scalars) => {
    const out = outputs[0] as View;
    const outStrides = out.shape.length === shape.length ? kept(out.strides) : out.strides;
    const strides = inputs.map((v) => v.stridesIn(shape));
    const starts = inputs.map((v) => v.offset);
    const outer = new Walk(kept(shape), [...strides.map(kept), outStrides], [...starts, out.offset]);
    const inner = new Walk(reduced(shape), strides.map(reduced), starts);
    const values = new Array<number>(inputs.length).fill(0);
    const result = [0];
    const next = (): number => {
      for (let k = 0; k < inputs.length; k++) values[k] = (inputs[k] as View).get(inner.position(k));
      inner.step();
      evaluate(values, scalars, result);
      return result[0] as number;
    };
    for (let i = 0; i < outer.size; i++, outer.step()) {
      inner.startAt(outer);
      finish([fold(next, inner.size)], scalars, result);
      out.set(outer.position(inputs.length), result[0] as number);
    }
  };
}

const unchanged: Evaluate = (inputs, _, out) => {
  out[0] = inputs[0] as number;
};
