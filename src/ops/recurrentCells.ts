import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { gruLayer, lstmLayer, rnnLayer } from './recurrentLayers.js';
import { checkRecurrent, type RecurrentBiases, type RnnNonlinearity } from './recurrentSteps.js';

/** (batch, features), for one step. */
function batchOfStep(op: string, x: Tensor): { readonly batch: number; readonly features: number } {
  if (x.ndim !== 2) throw new LibError('shape', `${op}: x must be (batch, features), got ${formatShape(x.shape)}.`);
  const [batch, features] = x.dims(2);
  return { batch, features };
}

type LstmCell = Op<
  [x: Tensor, hx: readonly [h: Tensor, c: Tensor], weightIh: Tensor, weightHh: Tensor, options?: RecurrentBiases],
  [h: Tensor, c: Tensor]
>;

/** One step of an LSTM: x (batch, in), h and c (batch, hidden), weights (4 · hidden, ·) with the gates i, f, g, o: the next h and c. */
export const lstmCell: LstmCell = defineComposite({
  name: 'lstmCell',
  compose(x: Tensor, hx: readonly [h: Tensor, c: Tensor], weightIh: Tensor, weightHh: Tensor, options: RecurrentBiases = {}) {
    const [h, c] = hx;
    checkRecurrent('lstmCell', 4, { weightIh, weightHh, ...options, states: hx, ...batchOfStep('lstmCell', x) });
    const [, next, cell] = lstmLayer(x.unsqueeze(0), h, c, weightIh, weightHh, options);
    return [next, cell];
  },
  *samples(
    random,
  ): Iterable<[x: Tensor, hx: readonly [h: Tensor, c: Tensor], weightIh: Tensor, weightHh: Tensor, options?: RecurrentBiases]> {
    yield [random([2, 3]), [random([2, 2]), random([2, 2])], random([8, 3]), random([8, 2])];
    yield [random([2, 3]), [random([2, 2]), random([2, 2])], random([8, 3]), random([8, 2]), { biasIh: random([8]), biasHh: random([8]) }];
  },
  *errors(
    random,
  ): Iterable<
    readonly [[x: Tensor, hx: readonly [h: Tensor, c: Tensor], weightIh: Tensor, weightHh: Tensor, options?: RecurrentBiases], string]
  > {
    const s = random([2, 2]);
    yield [[random([3]), [s, s], random([8, 3]), random([8, 2])], 'x must be (batch, features)'];
    yield [[random([2, 3]), [s, random([2, 3])], random([8, 3]), random([8, 2])], 'c must be (2, 2)'];
    yield [[random.integers([2, 3], 0, 2), [s, s], random([8, 3]), random([8, 2])], 'must have one type'];
  },
  torch: { call: "torch.lstm_cell(*a, o.get('bias_ih'), o.get('bias_hh'))" },
});

type Cell = Op<[x: Tensor, h: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RecurrentBiases]>;

/** One step of a GRU: x (batch, in), h (batch, hidden), weights (3 · hidden, ·) with the gates r, z, n: the next h. */
export const gruCell: Cell = defineComposite({
  name: 'gruCell',
  compose(x: Tensor, h: Tensor, weightIh: Tensor, weightHh: Tensor, options: RecurrentBiases = {}) {
    const { biasIh = null, biasHh = null } = options;
    checkRecurrent('gruCell', 3, { weightIh, weightHh, biasIh, biasHh, states: [h], ...batchOfStep('gruCell', x) });
    return gruLayer(x.unsqueeze(0), h, weightIh, weightHh, options)[1];
  },
  *samples(random): Iterable<[x: Tensor, h: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RecurrentBiases]> {
    yield [random([2, 3]), random([2, 2]), random([6, 3]), random([6, 2])];
    yield [random([2, 3]), random([2, 2]), random([6, 3]), random([6, 2]), { biasIh: random([6]), biasHh: random([6]) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, h: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RecurrentBiases], string]> {
    yield [[random([2, 3]), random([1, 2]), random([6, 3]), random([6, 2])], 'h must be (2, 2)'];
  },
  torch: { call: "torch.gru_cell(*a, o.get('bias_ih'), o.get('bias_hh'))" },
});

function rnnCell(name: string, nonlinearity: RnnNonlinearity): Cell {
  return defineComposite({
    name,
    compose(x: Tensor, h: Tensor, weightIh: Tensor, weightHh: Tensor, options: RecurrentBiases = {}) {
      checkRecurrent(name, 1, { weightIh, weightHh, ...options, states: [h], ...batchOfStep(name, x) });
      return rnnLayer(x.unsqueeze(0), h, weightIh, weightHh, { ...options, nonlinearity })[1];
    },
    *samples(random): Iterable<[x: Tensor, h: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RecurrentBiases]> {
      yield [random([2, 3]), random([2, 2]), random([2, 3]), random([2, 2])];
      yield [random([2, 3]), random([2, 2]), random([2, 3]), random([2, 2]), { biasIh: random([2]), biasHh: random([2]) }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, h: Tensor, weightIh: Tensor, weightHh: Tensor, options?: RecurrentBiases], string]> {
      yield [[random([2, 3]), random([2, 2]), random([2, 3]), random([2, 3])], 'weightHh must be (2, 2)'];
    },
    torch: { call: `torch.rnn_${nonlinearity}_cell(*a, o.get('bias_ih'), o.get('bias_hh'))` },
  });
}

/** One step of a plain recurrent net, h' = tanh(W x + U h + b): x (batch, in), h (batch, hidden), weights (hidden, ·). */
export const rnnTanhCell: Cell = rnnCell('rnnTanhCell', 'tanh');
/** One step of a plain recurrent net, h' = max(0, W x + U h + b): x (batch, in), h (batch, hidden), weights (hidden, ·). */
export const rnnReluCell: Cell = rnnCell('rnnReluCell', 'relu');
