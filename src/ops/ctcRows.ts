import { computeType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { constant, type Expr, input } from '../expr/expr.js';
import { capturing } from '../tensor/capturing.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { isGradEnabled } from './apply.js';
import { defineCustom, type Op } from './define.js';
import { constantView, fuse, range } from './fused.js';
import { cat } from './join.js';
import { map } from './map.js';
import { asIndex, gatherRow, scatterOnto } from './scatterRows.js';

/**
 * The forward-backward recursion of connectionist temporal classification (Graves et al. 2006) in log space: all examples and all
 * positions of their labels at once, one kernel for each step of time. The backward variables are the forward ones of the reversed
 * sequence.
 */

const [a, b, c, d, e] = [input(0), input(1), input(2), input(3), input(4)];
const NEVER = -Infinity;
const pick = gatherRow('ctcLoss');

/** What a batch looks like after its arguments were checked. All tensors int32. */
export interface CtcBatch {
  /** (T, N, C), log-probabilities. */
  readonly logProbs: Tensor;
  /** (N, S), padded with anything that is a class. */
  readonly labels: Tensor;
  /** (N,). */
  readonly inputLengths: Tensor;
  /** (N,). */
  readonly targetLengths: Tensor;
  readonly blank: number;
}

const lengthsOf = (x: Tensor): number[] => Array.from(x.toArray(), Number);

/** Lengths as numbers, or null where a tensor's are not known yet (while compile() captures). */
function known(op: string, name: string, lengths: Tensor | readonly number[] | number, count: number): number[] | null {
  if (typeof lengths === 'object' && 'dtype' in lengths) {
    const flat = asIndex(op, lengths);
    if (flat.size !== count) throw mismatch(op, name, count, flat.size);
    return capturing() === null ? lengthsOf(flat.detach()) : null;
  }
  const list = typeof lengths === 'number' ? [lengths] : [...lengths];
  if (list.length !== count) throw mismatch(op, name, count, list.length);
  return list;
}

const mismatch = (op: string, name: string, count: number, got: number): LibError =>
  new LibError('shape', `${op}: ${name} must have one length for each of the ${count} examples, got ${got}.`);

function checkLengths(op: string, name: string, lengths: readonly number[] | null, most: number, of: string): void {
  for (const n of lengths ?? []) {
    if (!Number.isInteger(n) || n < 0 || n > most) {
      throw new LibError('value', `${op}: ${name} must be whole numbers from 0 to ${most}, ${of}, got ${n}.`);
    }
  }
}

const asTensor = (lengths: Tensor | readonly number[] | number, like: Tensor): Tensor =>
  typeof lengths === 'object' && 'dtype' in lengths
    ? asIndex('ctcLoss', lengths).reshape([-1])
    : tensor(typeof lengths === 'number' ? [lengths] : [...lengths], { dtype: 'int32', device: like.device });

/** Concatenated targets (ΣS,) as rows (N, S), by an index that is made here. */
function rowsOfConcatenated(op: string, targets: Tensor, lengths: readonly number[] | null): Tensor {
  if (lengths === null) {
    throw new LibError(
      'capture',
      `${op}: lengths of concatenated targets must be known while compile() is capturing, got a tensor.`,
      'pass targets of shape (N, S), or lengths as numbers.',
    );
  }
  const total = lengths.reduce((n, s) => n + s, 0);
  if (total !== targets.size) {
    throw new LibError(
      'shape',
      `${op}: concatenated targets must have as many labels as targetLengths add up to, got ${targets.size} for ${total}.`,
    );
  }
  const width = Math.max(1, ...lengths);
  const places = new Int32Array(lengths.length * width);
  let start = 0;
  for (const [n, s] of lengths.entries()) {
    for (let j = 0; j < width; j++) places[n * width + j] = Math.min(start + Math.min(j, Math.max(s - 1, 0)), Math.max(total - 1, 0));
    start += s;
  }
  const index = tensor(places, { dtype: 'int32', device: targets.device });
  const source = total === 0 ? constantView(targets.device, 'int32', [1], 0) : targets;
  return pick(source, 0, index).reshape([lengths.length, width]);
}

/** Checks the arguments of a loss and brings them to one form. */
export function ctcBatch(
  op: string,
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Tensor | readonly number[] | number,
  targetLengths: Tensor | readonly number[] | number,
  blank: number,
): CtcBatch {
  if (logProbs.ndim !== 2 && logProbs.ndim !== 3) {
    throw new LibError('shape', `${op}: logProbs must be (T, N, C) or (T, C), got shape ${formatShape(logProbs.shape)}.`);
  }
  const wide = logProbs.ndim === 2 ? logProbs.unsqueeze(1) : logProbs;
  const [steps, count, classes] = wide.dims(3);
  if (steps === 0 || count === 0)
    throw new LibError('shape', `${op}: there must be at least one step and example, got ${formatShape(wide.shape)}.`);
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes) {
    throw new LibError('value', `${op}: blank must be a class, 0 to ${classes - 1}, got ${blank}.`);
  }
  const ids = asIndex(op, targets);
  if (ids.ndim > 2 || ids.ndim === 0 || (ids.ndim === 2 && ids.sizeAt(0) !== count)) {
    throw new LibError('shape', `${op}: targets must be (${count}, S) or concatenated (ΣS,), got shape ${formatShape(ids.shape)}.`);
  }
  const ins = known(op, 'inputLengths', inputLengths, count);
  const outs = known(op, 'targetLengths', targetLengths, count);
  checkLengths(op, 'inputLengths', ins, steps, 'the steps of logProbs');
  checkLengths(op, 'targetLengths', outs, ids.ndim === 2 ? ids.sizeAt(1) : ids.size, 'the labels there are');
  const rows = ids.ndim === 2 ? padEmpty(ids) : rowsOfConcatenated(op, ids, outs);
  const lengths = asTensor(targetLengths, wide);
  // What lies beyond a target's length may be anything; it is not looked at.
  const labels = fuse(op, [rows, range(wide.device, rows.sizeAt(1)), lengths.unsqueeze(1)], b.less(c).select(a, blank), [], 'int32');
  return { logProbs: wide, labels, inputLengths: asTensor(inputLengths, wide), targetLengths: lengths, blank };
}

const padEmpty = (rows: Tensor): Tensor => (rows.sizeAt(1) > 0 ? rows : constantView(rows.device, 'int32', [rows.sizeAt(0), 1], 0));

/** Labels with blanks around and between: (N, 2S + 1). */
function interleave(labels: Tensor, blank: number): Tensor {
  const [count, width] = labels.dims(2);
  const blanks = (shape: readonly number[]): Tensor => constantView(labels.device, 'int32', shape, blank);
  const pairs = cat([blanks([count, width, 1]), labels.unsqueeze(2)], { dim: 2 }).reshape([count, 2 * width]);
  return cat([pairs, blanks([count, 1])], { dim: 1 });
}

/** From how far back a state may be reached, (N, L): 0 the first one, 1 blanks and repeated labels, 2 all others. */
function reachOf(states: Tensor): Tensor {
  const [, length] = states.dims(2);
  const at = range(states.device, length);
  const before = cat([states.narrow(1, 0, Math.min(2, length)), states.narrow(1, 0, Math.max(length - 2, 0))], { dim: 1 });
  const odd = b.mul(0.5).sub(b.mul(0.5).floor()).notEqual(0);
  const both = odd.mul(a.notEqual(c)).mul(constant(1).less(b));
  return fuse('ctcLoss', [states, at, before], constant(0).less(b).add(both), [], 'float32');
}

const from1 = d.less(1).select(NEVER, b);
const from2 = d.less(2).select(NEVER, c);
const most = a.max(from1).max(from2);
const top = most.equal(NEVER).select(0, most);
/** Of (state, one before, two before, reach, emission). */
const stepExpr: Expr = top.add(a.sub(top).exp().add(from1.sub(top).exp()).add(from2.sub(top).exp()).log()).add(e);
const [gradient, result] = [input(5), input(6)];
const share = (from: Expr): Expr => result.equal(NEVER).select(0, from.add(e).sub(result).exp().mul(gradient));
const stepSlopes = [share(a), share(from1), share(from2), null, gradient] as const;
const startExpr = b.less(2).select(a, NEVER);

/** Log-probabilities of all ways to each state at each step, (T, N·L); emissions (T, N, L). */
function scan(emissions: Tensor, reach: Tensor): Tensor {
  const [steps, count, length] = emissions.dims(3);
  const flat = count * length;
  const { dtype, device } = emissions;
  const rows = emissions.reshape([steps, flat]);
  const codes = reach.reshape([flat]);
  const places = range(device, length).expand([count, length]).reshape([flat]);
  const params = { name: 'ctcLoss', expr: stepExpr, dtype, compute: computeType(dtype), slopes: stepSlopes };
  const start = fuse('ctcLoss', [rows.select(0, 0), places], startExpr);
  if (isGradEnabled()) {
    const all = [start];
    for (let t = 1; t < steps; t++) {
      const before = (all[t - 1] as Tensor).pad([2, 0], { value: NEVER });
      const states = [2, 1, 0].map((k) => before.narrow(0, k, flat));
      all.push(map([...states, codes, rows.select(0, t)], params));
    }
    return cat(all, { dim: 0 }).reshape([steps, flat]);
  }
  // Each step is written behind the one before. Two cells in front: the first states look back as the others do, and ignore it.
  const buffer = constantView(device, dtype, [2 + steps * flat], NEVER).clone();
  buffer.narrow(0, 2, flat).copy_(start);
  for (let t = 1; t < steps; t++) {
    const at = 2 + (t - 1) * flat;
    const states = [0, 1, 2].map((k) => buffer.narrow(0, at - k, flat));
    map([...states, codes, rows.select(0, t)], params, [], [buffer.narrow(0, at + flat, flat)]);
  }
  return buffer.narrow(0, 2, steps * flat).reshape([steps, flat]);
}

/** x (T, N, K) at index (N,) of time and (N,) of state: (N,). */
function entry(x: Tensor, time: Tensor, state: Tensor): Tensor {
  const [, count, length] = x.dims(3);
  const row = pick(x, 0, time.reshape([1, count, 1]).expand([1, count, length]));
  return pick(row, 2, state.reshape([1, count, 1])).reshape([count]);
}

const clamped = (tensors: readonly Tensor[], expr: Expr): Tensor => fuse('ctcLoss', tensors, expr.max(0), [], 'int32');

/** log Σ over alignments of each example, (N,). */
function evidence(alpha: Tensor, inputLengths: Tensor, targetLengths: Tensor): Tensor {
  const last = clamped([inputLengths], a.sub(1));
  const onBlank = entry(alpha, last, fuse('ctcLoss', [targetLengths], a.mul(2), [], 'int32'));
  const onLabel = entry(alpha, last, clamped([targetLengths], a.mul(2).sub(1)));
  const labelled = d.equal(0).select(NEVER, b);
  const most = a.max(labelled);
  const top = most.equal(NEVER).select(0, most);
  const total = top.add(a.sub(top).exp().add(labelled.sub(top).exp()).log());
  const empty = d.equal(0).select(0, NEVER);
  const slopes = [weigh(a), weigh(labelled), null, null];
  const { dtype } = alpha;
  // Of (on blank, on label, input length, target length).
  const params = { name: 'ctcLoss', expr: c.equal(0).select(empty, total), dtype, compute: computeType(dtype), slopes };
  return map([onBlank, onLabel, inputLengths, targetLengths], params);
}
const weigh = (from: Expr): Expr =>
  input(5)
    .equal(NEVER)
    .add(c.equal(0))
    .notEqual(0)
    .select(0, from.sub(input(5)).exp().mul(input(4)));

interface CtcParams {
  readonly blank: number;
  readonly zeroInfinity: boolean;
}
type CtcInputs = readonly [logProbs: Tensor, labels: Tensor, inputLengths: Tensor, targetLengths: Tensor];

const emit = (logProbs: Tensor, states: Tensor): Tensor => {
  const [count, length] = states.dims(2);
  return pick(logProbs, 2, states.unsqueeze(0).expand([logProbs.sizeAt(0), count, length]));
};

/** Σ of the posterior of each class at each step, (T, N, C): how often alignments use it, by their probability. */
function posterior(inputs: CtcInputs, blank: number, kept: Tensor | null): Tensor {
  const [logProbs, labels, inputLengths, targetLengths] = inputs;
  const [steps, count, classes] = logProbs.dims(3);
  const states = interleave(labels, blank);
  const length = states.sizeAt(1);
  const times = range(logProbs.device, steps).reshape([steps, 1, 1]);
  const places = range(logProbs.device, length);
  const [inLength, outLength] = [inputLengths.reshape([count, 1]), targetLengths.reshape([count, 1])];
  const full = [steps, count, length];
  const mirrored = clamped([inLength, times], a.sub(b).sub(1));
  const turned = clamped([outLength, range(logProbs.device, labels.sizeAt(1))], a.sub(b).sub(1));
  const backStates = interleave(pick(labels, 1, turned), blank);
  const emissions = emit(logProbs, states);
  const alpha = (kept ?? scan(emissions, reachOf(states))).reshape(full);
  const backward = scan(emit(pick(logProbs, 0, mirrored.expand([steps, count, classes])), backStates), reachOf(backStates)).reshape(full);
  const mirroredPlaces = clamped([outLength, places], a.mul(2).sub(b));
  const beta = pick(pick(backward, 0, mirrored.expand(full)), 2, mirroredPlaces.unsqueeze(0).expand(full));
  const total = evidence(alpha, inputLengths, targetLengths).unsqueeze(1);
  const valid = fuse('ctcLoss', [times, inLength, places, outLength], a.less(b).mul(c.lessEqual(d.mul(2))), [], logProbs.dtype);
  // Of (alpha, beta, emission, total, valid): both variables hold the emission.
  const way = c.equal(NEVER).select(NEVER, a.add(b).sub(c).sub(d));
  const each = fuse('ctcLoss', [alpha, beta, emissions, total.expand([count, 1]), valid], e.equal(0).select(0, way.exp()));
  const zeros = constantView(logProbs.device, logProbs.dtype, [steps, count, classes], 0);
  return scatterOnto(zeros, 2, states.unsqueeze(0).expand(full), each);
}

const difference = d.less(e).select(a.mul(b.exp().sub(c)), 0);
const finiteDifference = input(5).equal(Infinity).select(0, difference);

/** The negative log-likelihood of each example, (N,), and the forward variables. Its gradient is p - posterior. */
export const ctcEach: Op<[batch: CtcBatch, zeroInfinity: boolean]> = defineCustom({
  name: 'ctcLoss',
  args: ({ logProbs, labels, inputLengths, targetLengths, blank }: CtcBatch, zeroInfinity: boolean) => {
    return { inputs: [logProbs, labels, inputLengths, targetLengths], params: { blank, zeroInfinity } };
  },
  forward: (inputs, { blank, zeroInfinity }: CtcParams) => {
    const [logProbs, labels, inputLengths, targetLengths] = inputs as CtcInputs;
    const states = interleave(labels, blank);
    const alpha = scan(emit(logProbs, states), reachOf(states));
    const total = evidence(alpha.reshape([logProbs.sizeAt(0), ...states.shape]), inputLengths, targetLengths);
    const loss = fuse('ctcLoss', [total], zeroInfinity ? a.equal(NEVER).select(0, a.neg()) : a.neg());
    return [loss, alpha, fuse('ctcLoss', [total], a.neg())];
  },
  saves: [0, 1, 2, 3],
  keeps: [1, 2],
  differentiable: [0],
  grad: ([g], { inputs, outputs, params: { blank, zeroInfinity } }) => {
    const [logProbs, , inputLengths] = inputs as CtcInputs;
    if (!g) return [null, null, null, null];
    const [, alpha, loss] = outputs as readonly [Tensor, Tensor, Tensor];
    const expected = posterior(inputs as CtcInputs, blank, isGradEnabled() ? null : alpha);
    const steps = logProbs.sizeAt(0);
    const perExample = (x: Tensor): Tensor => x.reshape([1, -1, 1]);
    const times = range(logProbs.device, steps).reshape([steps, 1, 1]);
    const tensors = [perExample(g), logProbs, expected, times, perExample(inputLengths)];
    const gradient = zeroInfinity
      ? fuse('ctcLossBackward', [...tensors, perExample(loss.detach())], finiteDifference)
      : fuse('ctcLossBackward', tensors, difference);
    return [gradient, null, null, null];
  },
  *samples() {},
});
