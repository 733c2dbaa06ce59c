import { LibError } from '../core/errors.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op, type Random } from './define.js';
import { cat } from './join.js';
import { linear } from './matmul.js';
import { type ComposedWalk, fusedWalk, hasWalk } from './recurrentKernels.js';
import { overPadded } from './recurrentPacked.js';
import {
  batchOf,
  bothBiases,
  checkRecurrent,
  type Direction,
  fromState,
  gruStep,
  lstmStep,
  type RecurrentBiases,
  type RnnNonlinearity,
  rnnStep,
  type State,
  walk,
} from './recurrentSteps.js';

/**
 * One layer in one direction over a whole sequence: what `lstm`, `gru` and `rnn` are made of. The input's part of all gates is one
 * matrix product; a step adds the state's part.
 */
export interface RecurrentLayerOptions extends RecurrentBiases, Direction {}

export interface LstmLayerOptions extends RecurrentLayerOptions {
  /** Projects the hidden state to (projection, hidden): the outputs and the recurrent state are then that wide. Default: none. */
  readonly weightHr?: Tensor | null;
}

export interface RnnLayerOptions extends RecurrentLayerOptions {
  /** Default 'tanh'. */
  readonly nonlinearity?: RnnNonlinearity;
}

/** PyTorch's layer of the kind, run on the reversed sequence where asked. */
const torchLayer = (kind: string, hx: string, last: string): string => {
  const flipped = "(a[0].flip(0) if o.get('reverse') else a[0])";
  const params = "[w for w in [*W, o.get('bias_ih'), o.get('bias_hh'), o.get('weight_hr')] if w is not None]";
  const call = `torch.${kind}(${flipped}, ${hx}, ${params}, o.get('bias_ih') is not None, 1, 0.0, False, False, False)`;
  return `(lambda W: (lambda r: [r[0].flip(0) if o.get('reverse') else r[0], ${last}])(${call}))`;
};

export type LstmLayer = Op<
  [x: Tensor, h0: Tensor, c0: Tensor, weightIh: Tensor, weightHh: Tensor, options?: LstmLayerOptions],
  [output: Tensor, h: Tensor, c: Tensor]
>;

/** x (time, batch, in), h0 and c0 (batch, hidden), weights (4 · hidden, ·) with the gates i, f, g, o: (time, batch, hidden), h, c. */
export const lstmLayer: LstmLayer = defineComposite({
  name: 'lstmLayer',
  compose(x: Tensor, h0: Tensor, c0: Tensor, weightIh: Tensor, weightHh: Tensor, options: LstmLayerOptions = {}) {
    const { weightHr = null, batchSizes } = options;
    const batch = batchOf('lstmLayer', x, batchSizes);
    checkRecurrent('lstmLayer', 4, { weightIh, weightHh, ...options, states: [h0, c0], batch, features: x.sizeAt(-1) });
    const projected = linear(x, weightIh, bothBiases(options));
    const [output, h, c] =
      weightHr === null && hasWalk('lstm', projected, h0, c0, weightHh)
        ? overPadded('lstm', projected, [h0, c0], options, (x, s, d) => fusedWalk(walkLstm, 'lstm', x, s, weightHh, null, d))
        : walkLstm(projected, [h0, c0], weightHh, null, options, weightHr);
    return [output, h as Tensor, c as Tensor];
  },
  *samples(random): Iterable<[x: Tensor, h0: Tensor, c0: Tensor, weightIh: Tensor, weightHh: Tensor, options?: LstmLayerOptions]> {
    const states = (): [Tensor, Tensor] => [random([2, 3]), random([2, 3])];
    yield [random([3, 2, 2]), ...states(), random([12, 2]), random([12, 3]), biases(random, 12)];
    yield [random([3, 2, 2]), ...states(), random([12, 2]), random([12, 3]), { reverse: true }];
    yield [random([2, 2, 2]), random([2, 2]), random([2, 3]), random([12, 2]), random([12, 2]), { weightHr: random([2, 3]) }];
  },
  *errors(
    random,
  ): Iterable<readonly [[x: Tensor, h0: Tensor, c0: Tensor, weightIh: Tensor, weightHh: Tensor, options?: LstmLayerOptions], string]> {
    const [x, s, w, u] = [random([3, 2, 2]), random([2, 3]), random([12, 2]), random([12, 3])];
    yield [[random([3, 2]), s, s, w, u], 'x must be (time, batch, features)'];
    yield [[x, s, s, random([12, 3]), u], 'weightIh must be (12, 2)'];
    yield [[x, s, s, w, random([12, 2])], 'weightHh must be (12, 3)'];
    yield [[x, random([2, 2]), s, w, u], 'h must be (2, 3)'];
    yield [[x, s, random([1, 3]), w, u], 'c must be (2, 3)'];
    yield [[x, s, s, w, u, { biasIh: random([3]) }], 'biasIh must be (12,)'];
    yield [[random([3, 2]), s, s, w, u, { batchSizes: [1, 2] }], 'sizes that never rise'];
  },
  torch: { call: `${torchLayer('lstm', '(a[1][None], a[2][None])', 'r[1][0], r[2][0]')}([a[3], a[4]])` },
});

function walkLstm(
  projected: Tensor,
  states: State,
  weightHh: Tensor,
  _bias: Tensor | null,
  direction: Direction,
  weightHr: Tensor | null = null,
): readonly [output: Tensor, ...last: Tensor[]] {
  return walk(projected, states, direction, ([h, c], sums) => {
    const [next, cell] = lstmStep('lstm', sums.add(fromState(h, weightHh)), c as Tensor);
    return [weightHr === null ? next : linear(next, weightHr), cell];
  });
}

export type GruLayer = Op<
  [x: Tensor, h0: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RecurrentLayerOptions],
  [output: Tensor, h: Tensor]
>;

/** x (time, batch, in), h0 (batch, hidden), weights (3 · hidden, ·) with the gates r, z, n: (time, batch, hidden), h. */
export const gruLayer: GruLayer = defineComposite({
  name: 'gruLayer',
  compose(x: Tensor, h0: Tensor, weightIh: Tensor, weightHh: Tensor, options: RecurrentLayerOptions = {}) {
    const { biasIh = null, biasHh = null, batchSizes } = options;
    const batch = batchOf('gruLayer', x, batchSizes);
    checkRecurrent('gruLayer', 3, { weightIh, weightHh, biasIh, biasHh, states: [h0], batch, features: x.sizeAt(-1) });
    const projected = linear(x, weightIh, biasIh);
    const [output, h] = hasWalk('gru', projected, h0, weightHh, biasHh)
      ? overPadded('gru', projected, [h0], options, (x, s, d) => fusedGru(x, s, weightHh, biasHh, d))
      : walkGru(projected, [h0], weightHh, biasHh, options);
    return [output, h as Tensor];
  },
  *samples(random): Iterable<[x: Tensor, h0: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RecurrentLayerOptions]> {
    yield [random([3, 2, 2]), random([2, 3]), random([9, 2]), random([9, 3]), biases(random, 9)];
    yield [random([3, 2, 2]), random([2, 3]), random([9, 2]), random([9, 3]), { reverse: true }];
  },
  *errors(
    random,
  ): Iterable<readonly [[x: Tensor, h0: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RecurrentLayerOptions], string]> {
    yield [[random([3, 2, 2]), random([2, 3]), random([8, 2]), random([9, 3])], 'weightIh must be (6, 2)'];
    yield [[random([0, 2, 2]), random([2, 3]), random([9, 2]), random([9, 3])], 'at least one step'];
  },
  torch: { call: `${torchLayer('gru', 'a[1][None]', 'r[1][0]')}([a[2], a[3]])` },
});

const walkGru: ComposedWalk = (projected, states, weightHh, bias, direction) =>
  walk(projected, states, direction, ([h], sums) => [gruStep('gru', sums, fromState(h, weightHh, bias), h)]);

/** The state's biases of r and z are added to the input's part; that of n is multiplied by r. */
const fusedGru: ComposedWalk = (projected, states, weightHh, bias, direction) => {
  const again: ComposedWalk = (x, s, w, b, d) => walkGru(x, s, w, b && cat([zerosLike(b), zerosLike(b), b]), d);
  if (bias === null) return fusedWalk(again, 'gru', projected, states, weightHh, null, direction);
  const hidden = states[0].sizeAt(-1);
  const ofCandidate = bias.narrow(0, 2 * hidden, hidden);
  const summed = projected.add(cat([bias.narrow(0, 0, 2 * hidden), zerosLike(ofCandidate)]));
  return fusedWalk(again, 'gru', summed, states, weightHh, ofCandidate, direction);
};

export type RnnLayer = Op<
  [x: Tensor, h0: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RnnLayerOptions],
  [output: Tensor, h: Tensor]
>;

/** x (time, batch, in), h0 (batch, hidden), weights (hidden, ·), h' = φ(W x + U h + b): (time, batch, hidden), h. */
export const rnnLayer: RnnLayer = defineComposite({
  name: 'rnnLayer',
  compose(x: Tensor, h0: Tensor, weightIh: Tensor, weightHh: Tensor, options: RnnLayerOptions = {}) {
    const { nonlinearity = 'tanh', biasIh = null, biasHh = null, batchSizes } = options;
    checkNonlinearity('rnnLayer', nonlinearity);
    const batch = batchOf('rnnLayer', x, batchSizes);
    checkRecurrent('rnnLayer', 1, { weightIh, weightHh, biasIh, biasHh, states: [h0], batch, features: x.sizeAt(-1) });
    const projected = linear(x, weightIh, bothBiases(options));
    const composed = walkRnn[nonlinearity];
    const [output, h] = hasWalk(nonlinearity, projected, h0, weightHh)
      ? overPadded(nonlinearity, projected, [h0], options, (x, s, d) => fusedWalk(composed, nonlinearity, x, s, weightHh, null, d))
      : composed(projected, [h0], weightHh, null, options);
    return [output, h as Tensor];
  },
  *samples(random): Iterable<[x: Tensor, h0: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RnnLayerOptions]> {
    yield [random([3, 2, 2]), random([2, 3]), random([3, 2]), random([3, 3]), biases(random, 3)];
    yield [random([3, 2, 2]), random([2, 3]), random([3, 2]), random([3, 3]), { reverse: true }];
    yield [random([2, 2, 2]), random([2, 3]), random([3, 2]), random([3, 3]), { nonlinearity: 'relu' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, h0: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RnnLayerOptions], string]> {
    const wrong = { nonlinearity: 'sin' } as unknown as RnnLayerOptions;
    yield [[random([3, 2, 2]), random([2, 3]), random([3, 2]), random([3, 3]), wrong], "must be 'tanh' or 'relu'"];
  },
  torch: { call: `${torchLayer("__dict__['rnn_' + o.get('nonlinearity', 'tanh')]", 'a[1][None]', 'r[1][0]')}([a[2], a[3]])` },
});

const composedRnn =
  (by: RnnNonlinearity): ComposedWalk =>
  (projected, states, weightHh, _bias, direction) =>
    walk(projected, states, direction, ([h], sums) => [rnnStep('rnn', sums, fromState(h, weightHh), by)]);
const walkRnn: Readonly<Record<RnnNonlinearity, ComposedWalk>> = { tanh: composedRnn('tanh'), relu: composedRnn('relu') };

export function checkNonlinearity(op: string, nonlinearity: string): void {
  if (nonlinearity === 'tanh' || nonlinearity === 'relu') return;
  throw new LibError('option', `${op}: nonlinearity must be 'tanh' or 'relu', got '${nonlinearity}'.`);
}

const biases = (random: Random, size: number): RecurrentBiases => ({ biasIh: random([size]), biasHh: random([size]) });
