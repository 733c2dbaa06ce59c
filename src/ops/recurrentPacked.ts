import { specOf } from '../core/spec.js';
import type { RecurrentKernel } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { constantTable, constantView } from './fused.js';
import { indexSelect } from './indexing.js';
import { cat } from './join.js';
import type { Direction, State } from './recurrentSteps.js';

/** Inputs of the gates that hold a cell or a hidden state still: forget nothing, take nothing in. A plain net just stays bounded. */
const LARGE = 1e4;
const still: Readonly<Record<RecurrentKernel['cell'], readonly number[]>> = {
  ...{ lstm: [-LARGE, LARGE, 0, 0], gru: [0, LARGE, 0], tanh: [-LARGE], relu: [-LARGE] },
};

type Walk = (projected: Tensor, states: State, direction: Direction) => readonly [output: Tensor, ...last: Tensor[]];

/**
 * A walk over packed sequences by one over padded ones, (time, batch, ·), all begun at their own first step (at their last, in reverse).
 * After a sequence's end its gates hold still, and nothing reads what comes out there: results and gradients are those of the packed ones.
 */
export function overPadded(
  kind: RecurrentKernel['cell'],
  projected: Tensor,
  states: State,
  { batchSizes, reverse = false }: Direction,
  run: Walk,
): readonly [output: Tensor, ...last: Tensor[]] {
  if (batchSizes === undefined) return run(projected, states, { reverse });
  const { device, dtype } = projected;
  const [time, batch, gates] = [batchSizes.length, batchSizes[0] as number, still[kind]];
  const places = placesOf(batchSizes, reverse);
  const table = (name: keyof typeof places): Tensor =>
    constantTable(device, `${name} ${reverse} ${batchSizes}`, specOf('int32', [places[name].length]), () => Int32Array.from(places[name]));
  const width = projected.sizeAt(1) / gates.length;
  const ended = gates.map((value) => constantView(device, dtype, [1, width], value));
  const padded = indexSelect(cat([projected, cat(ended, { dim: 1 })]), 0, table('rows'));
  const [output, , ...rest] = run(padded.reshape([time, batch, projected.sizeAt(1)]), states, {});
  const flat = output.reshape([time * batch, output.sizeAt(2)]);
  return [indexSelect(flat, 0, table('steps')), indexSelect(flat, 0, table('ends')), ...rest];
}

interface Places {
  /** For each padded step the packed row, or the row after all. */
  readonly rows: readonly number[];
  /** For each packed row the padded step. */
  readonly steps: readonly number[];
  /** For each sequence its last padded step. */
  readonly ends: readonly number[];
}

function placesOf(batchSizes: readonly number[], reverse: boolean): Places {
  const [time, batch] = [batchSizes.length, batchSizes[0] as number];
  const lengths = Array.from({ length: batch }, (_, b) => batchSizes.findLastIndex((n) => n > b) + 1);
  const total = batchSizes.reduce((a, n) => a + n, 0);
  const rows = new Array<number>(time * batch).fill(total);
  const steps: number[] = [];
  for (let t = 0; t < time; t++) {
    for (let b = 0; b < (batchSizes[t] as number); b++) {
      const step = (reverse ? (lengths[b] as number) - 1 - t : t) * batch + b;
      rows[step] = steps.length;
      steps.push(step);
    }
  }
  return { rows, steps, ends: lengths.map((n, b) => (n - 1) * batch + b) };
}
