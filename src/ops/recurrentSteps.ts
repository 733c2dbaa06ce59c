import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import { type Expr, input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { fuse, needFloat } from './fused.js';
import { cat, stack } from './join.js';
import { linear } from './matmul.js';
import { split, unbind } from './split.js';

/** What the recurrent rows are made of: one step of each kind, and the walk over the steps of a sequence. */

export interface RecurrentBiases {
  /** (gates · hidden), added to the input's part. Default: none. */
  readonly biasIh?: Tensor | null;
  /** (gates · hidden), added to the state's part. Default: none. */
  readonly biasHh?: Tensor | null;
}

/** The state between two steps: the hidden vectors (batch, hidden), and for an LSTM the cells too. */
export type State = readonly [h: Tensor, ...rest: Tensor[]];

const [x0, x1, x2, x3] = [input(0), input(1), input(2), input(3)];
const newCell = x1.sigmoid().mul(x3).add(x0.sigmoid().mul(x2.tanh()));
const newHidden = x0.sigmoid().mul(x1.tanh());
const sumSigmoid = x0.add(x1).sigmoid();
const candidate = x0.add(x1.mul(x2)).tanh();
const blend = x0.sub(x0.mul(x1)).add(x1.mul(x2));
export type RnnNonlinearity = 'tanh' | 'relu';
const activations: Readonly<Record<RnnNonlinearity, Expr>> = {
  tanh: x0.add(x1).tanh(),
  relu: x0.add(x1).lessEqual(0).select(0, x0.add(x1)), // the gradient at 0 is 0
};

/** (batch, count · hidden) as `count` tensors (batch, hidden). */
function gates(x: Tensor, count: number): Tensor[] {
  return unbind(x.reshape([x.sizeAt(0), count, x.sizeAt(1) / count]), { dim: 1 });
}

/** i, f, g, o = the sums' quarters: c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'). */
export function lstmStep(op: string, sums: Tensor, c: Tensor): readonly [h: Tensor, c: Tensor] {
  const [i, f, g, o] = gates(sums, 4) as [Tensor, Tensor, Tensor, Tensor];
  const next = fuse(op, [i, f, g, c], newCell);
  return [fuse(op, [o, next], newHidden), next];
}

/** r, z = σ(x + h), n = tanh(x + r h) of the thirds: h' = (1 - z) n + z h. */
export function gruStep(op: string, fromInput: Tensor, fromState: Tensor, h: Tensor): Tensor {
  const [xr, xz, xn] = gates(fromInput, 3) as [Tensor, Tensor, Tensor];
  const [hr, hz, hn] = gates(fromState, 3) as [Tensor, Tensor, Tensor];
  const n = fuse(op, [xn, fuse(op, [xr, hr], sumSigmoid), hn], candidate);
  return fuse(op, [n, fuse(op, [xz, hz], sumSigmoid), h], blend);
}

/** h' = φ(x + h). */
export const rnnStep = (op: string, fromInput: Tensor, fromState: Tensor, by: RnnNonlinearity): Tensor =>
  fuse(op, [fromInput, fromState], activations[by]);

/** Both biases where they can be added together. */
export function bothBiases({ biasIh = null, biasHh = null }: RecurrentBiases): Tensor | null {
  if (biasIh === null || biasHh === null) return biasIh ?? biasHh;
  return biasIh.add(biasHh);
}

export interface Direction {
  /** Walk from the last step to the first. Default false. */
  readonly reverse?: boolean;
  /** For sequences of several lengths, packed: how many rows of x each step has, never rising. Default: x is (time, batch, features). */
  readonly batchSizes?: readonly number[];
}

/**
 * Runs `step` over the projected input, (time, batch, ·) or packed (Σ batchSizes, ·). Gives the first tensor of each state, laid out as
 * the input, and each sequence's last state. A packed sequence that has ended keeps its state; one that has not begun waits with its own.
 */
export function walk(
  projected: Tensor,
  initial: State,
  { reverse = false, batchSizes }: Direction,
  step: (state: State, x: Tensor) => State,
): readonly [output: Tensor, ...last: Tensor[]] {
  const inputs = batchSizes === undefined ? unbind(projected) : split(projected, batchSizes);
  const outputs: Tensor[] = [];
  const ended: State[] = [];
  const first = inputs.at(reverse ? -1 : 0) as Tensor;
  let state = rows(initial, 0, first.sizeAt(0));
  for (let k = 0; k < inputs.length; k++) {
    const t = reverse ? inputs.length - 1 - k : k;
    const x = inputs[t] as Tensor;
    const [had, wanted] = [state[0].sizeAt(0), x.sizeAt(0)];
    if (wanted < had) ended.push(rows(state, wanted, had - wanted));
    if (wanted < had) state = rows(state, 0, wanted);
    if (wanted > had) state = joined([state, rows(initial, had, wanted - had)]);
    state = step(state, x);
    outputs[t] = state[0];
  }
  return [batchSizes === undefined ? stack(outputs) : cat(outputs), ...joined([state, ...ended.reverse()])];
}

function rows(state: State, start: number, count: number): State {
  return count === state[0].sizeAt(0) ? state : (state.map((s) => s.narrow(0, start, count)) as unknown as State);
}

function joined(states: readonly State[]): State {
  const [only] = states as readonly [State];
  return states.length === 1 ? only : (only.map((_, i) => cat(states.map((s) => s[i] as Tensor))) as unknown as State);
}

/** The state's part of the gates: h Wᵀ + b. */
export const fromState = (h: Tensor, weightHh: Tensor, bias: Tensor | null = null): Tensor => linear(h, weightHh, bias);

const want = (op: string, name: string, x: Tensor, shape: Shape): void => {
  if (`${x.shape}` !== `${shape}`) {
    throw new LibError('shape', `${op}: ${name} must be ${formatShape(shape)}, got ${formatShape(x.shape)}.`);
  }
};

export interface RecurrentShapes extends RecurrentBiases {
  readonly weightIh: Tensor;
  readonly weightHh: Tensor;
  readonly weightHr?: Tensor | null;
  readonly states: readonly Tensor[];
  readonly batch: number;
  readonly features: number;
}

/** Judges weights (gates · hidden, ·), biases and states (batch, hidden) against each other. */
export function checkRecurrent(op: string, gateCount: number, shapes: RecurrentShapes): void {
  const { weightIh, weightHh, weightHr = null, biasIh = null, biasHh = null, states, batch, features } = shapes;
  const rows = weightIh.ndim === 2 ? weightIh.sizeAt(0) : 0;
  const hidden = Math.floor(rows / gateCount);
  const output = weightHr === null ? hidden : weightHr.sizeAt(0);
  want(op, 'weightIh', weightIh, [gateCount * hidden, features]);
  want(op, 'weightHh', weightHh, [rows, output]);
  if (weightHr !== null) want(op, 'weightHr', weightHr, [output, hidden]);
  if (biasIh !== null) want(op, 'biasIh', biasIh, [rows]);
  if (biasHh !== null) want(op, 'biasHh', biasHh, [rows]);
  for (const [i, s] of states.entries()) want(op, i === 0 ? 'h' : 'c', s, [batch, i === 0 ? output : hidden]);
  needFloat(op, weightIh);
}

/** Judges the layout of a sequence; gives its batch size. */
export function batchOf(op: string, x: Tensor, batchSizes: readonly number[] | undefined): number {
  if (batchSizes === undefined) {
    if (x.ndim === 3 && x.sizeAt(0) > 0) return x.sizeAt(1);
    throw new LibError('shape', `${op}: x must be (time, batch, features) with at least one step, got ${formatShape(x.shape)}.`);
  }
  const falls = batchSizes.length > 0 && batchSizes.every((n, t) => Number.isInteger(n) && n > 0 && n <= (batchSizes[t - 1] ?? n));
  const total = batchSizes.reduce((a, b) => a + b, 0);
  if (!falls || x.ndim !== 2 || x.sizeAt(0) !== total) {
    const got = `x ${formatShape(x.shape)} and [${batchSizes.join(', ')}]`;
    throw new LibError('shape', `${op}: packed x must be (Σ batchSizes, features), with sizes that never rise, got ${got}.`);
  }
  return batchSizes[0] as number;
}
