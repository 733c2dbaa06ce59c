import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op, type Random } from './define.js';
import { cat, stack } from './join.js';
import { dropout } from './random.js';
import { gruLayer, lstmLayer, type RecurrentLayerOptions, rnnLayer } from './recurrentLayers.js';
import type { RnnNonlinearity } from './recurrentSteps.js';

export * from './recurrentCells.js';

export interface RecurrentOptions {
  /** The parameters hold biases. Default true. */
  readonly hasBiases?: boolean;
  /** Layers one above the other. Default 1. */
  readonly numLayers?: number;
  /** Chance that an output of a layer but the last is dropped while `train` holds. Default 0. */
  readonly dropout?: number;
  /** Default false. */
  readonly train?: boolean;
  /** Each layer reads the sequence from both ends. Default false. */
  readonly bidirectional?: boolean;
  /** x and the output are (batch, time, features). Default false. */
  readonly batchFirst?: boolean;
  /** x is packed, (Σ batchSizes, features): the number of rows of each step, never rising. Default: one length for all. */
  readonly batchSizes?: readonly number[];
}

/** One layer in one direction: its output and its last states. */
type Layer = (x: Tensor, states: readonly Tensor[], weights: readonly Tensor[], options: RecurrentLayerOptions) => readonly Tensor[];

/** The layers and directions of a net, whose parameters follow each other: weightIh, weightHh, biasIh, biasHh[, weightHr]. */
function runLayers(
  op: string,
  x: Tensor,
  hx: readonly Tensor[],
  params: readonly Tensor[],
  options: RecurrentOptions,
  layer: Layer,
): [output: Tensor, ...last: Tensor[]] {
  const { hasBiases = true, numLayers = 1, dropout: p = 0, train = false, bidirectional = false, batchSizes } = options;
  const directions = bidirectional ? 2 : 1;
  const each = params.length / (numLayers * directions);
  checkParams(op, hx, numLayers * directions, each, hasBiases);
  const batchFirst = options.batchFirst === true && batchSizes === undefined;
  const last: (readonly Tensor[])[] = [];
  let h = batchFirst ? x.transpose(0, 1) : x;
  for (let l = 0; l < numLayers; l++) {
    if (l > 0 && p > 0 && train) h = dropout(h, { p });
    const outputs: Tensor[] = [];
    for (let d = 0; d < directions; d++) {
      const at = l * directions + d;
      const [weightIh, weightHh, ...rest] = params.slice(at * each, (at + 1) * each) as [Tensor, Tensor, ...Tensor[]];
      const [biasIh, biasHh, ...further] = hasBiases ? rest : [null, null, ...rest];
      const states = hx.map((s) => s.select(0, at));
      const settings = { biasIh: biasIh ?? null, biasHh: biasHh ?? null, reverse: d === 1, ...(batchSizes && { batchSizes }) };
      const [y, ...ends] = layer(h, states, [weightIh, weightHh, ...(further as Tensor[])], settings);
      outputs.push(y as Tensor);
      last.push(ends);
    }
    h = bidirectional ? cat(outputs, { dim: -1 }) : (outputs[0] as Tensor);
  }
  const finals = hx.map((_, i) => stack(last.map((ends) => ends[i] as Tensor)));
  return [batchFirst ? h.transpose(0, 1) : h, ...finals];
}

function checkParams(op: string, hx: readonly Tensor[], runs: number, each: number, hasBiases: boolean): void {
  const least = hasBiases ? 4 : 2;
  if (each !== least && !(op === 'lstm' && each === least + 1)) {
    throw new LibError('value', `${op}: there must be ${least} parameters for each layer and direction, got ${each * runs} for ${runs}.`);
  }
  const wrong = hx.find((s) => s.ndim !== 3 || s.sizeAt(0) !== runs);
  if (wrong === undefined) return;
  throw new LibError('shape', `${op}: states must be (layers · directions = ${runs}, batch, hidden), got ${formatShape(wrong.shape)}.`);
}

type LstmArgs = [x: Tensor, hx: readonly [h: Tensor, c: Tensor], params: readonly Tensor[], options?: RecurrentOptions];

const torchNet = (name: string): string =>
  `torch.${name}(a[0], a[1], a[2], o.get('has_biases', True), o.get('num_layers', 1), o.get('dropout', 0.0), ` +
  "o.get('train', False), o.get('bidirectional', False), o.get('batch_first', False))";

/**
 * A long short-term memory over whole sequences (Hochreiter & Schmidhuber 1997): x (time, batch, in), h and c (layers · directions,
 * batch, hidden), parameters as in the state of `nn.LSTM`. Gives the outputs (time, batch, directions · hidden) and the last h and c.
 */
export const lstm: Op<LstmArgs, [output: Tensor, h: Tensor, c: Tensor]> = defineComposite({
  name: 'lstm',
  compose(x: Tensor, hx: readonly [h: Tensor, c: Tensor], params: readonly Tensor[], options: RecurrentOptions = {}) {
    const layer: Layer = (x, [h, c], [weightIh, weightHh, weightHr = null], settings) =>
      lstmLayer(x, h as Tensor, c as Tensor, weightIh as Tensor, weightHh as Tensor, { ...settings, weightHr });
    return runLayers('lstm', x, hx, params, options, layer) as [Tensor, Tensor, Tensor];
  },
  *samples(random): Iterable<LstmArgs> {
    const states = (n: number): [Tensor, Tensor] => [random([n, 2, 2]), random([n, 2, 2])];
    yield [random([3, 2, 3]), states(1), params(random, 4, 3, 1, 1)];
    yield [random([2, 2, 3]), states(4), params(random, 4, 3, 2, 2), { numLayers: 2, bidirectional: true, dropout: 0.5 }];
    yield [random([2, 2, 3]), states(1), params(random, 4, 3, 1, 1, false), { hasBiases: false, batchFirst: true }];
  },
  *errors(random): Iterable<readonly [LstmArgs, string]> {
    const s = random([1, 2, 2]);
    yield [[random([3, 2, 3]), [s, s], params(random, 4, 3, 1, 1), { numLayers: 2 }], 'must be 4 parameters'];
    yield [[random([3, 2, 3]), [random([2, 2]), s], params(random, 4, 3, 1, 1)], 'states must be'];
    yield [[random([3, 2, 4]), [s, s], params(random, 4, 3, 1, 1)], 'weightIh must be (8, 4)'];
  },
  torch: { call: torchNet('lstm') },
});

type NetArgs = [x: Tensor, hx: Tensor, params: readonly Tensor[], options?: RecurrentOptions];
type Net = Op<NetArgs, [output: Tensor, h: Tensor]>;

/** Gated recurrent units over whole sequences (Cho et al. 2014): as {@link lstm}, with one state h. */
export const gru: Net = defineComposite({
  name: 'gru',
  compose(x: Tensor, hx: Tensor, params: readonly Tensor[], options: RecurrentOptions = {}) {
    const layer: Layer = (x, [h], [weightIh, weightHh], settings) =>
      gruLayer(x, h as Tensor, weightIh as Tensor, weightHh as Tensor, settings);
    return runLayers('gru', x, [hx], params, options, layer) as [Tensor, Tensor];
  },
  *samples(random): Iterable<NetArgs> {
    yield [random([3, 2, 3]), random([2, 2, 2]), params(random, 3, 3, 1, 2), { bidirectional: true }];
    yield [random([2, 2, 3]), random([2, 2, 2]), params(random, 3, 3, 2, 1), { numLayers: 2, batchFirst: true }];
  },
  *errors(random): Iterable<readonly [NetArgs, string]> {
    yield [[random([3, 2, 3]), random([1, 2, 2]), params(random, 3, 3, 1, 1), { hasBiases: false }], 'must be 2 parameters'];
  },
  torch: { call: torchNet('gru') },
});

function rnnNet(name: string, nonlinearity: RnnNonlinearity): Net {
  return defineComposite({
    name,
    compose(x: Tensor, hx: Tensor, params: readonly Tensor[], options: RecurrentOptions = {}) {
      const layer: Layer = (x, [h], [weightIh, weightHh], settings) =>
        rnnLayer(x, h as Tensor, weightIh as Tensor, weightHh as Tensor, { ...settings, nonlinearity });
      return runLayers(name, x, [hx], params, options, layer) as [Tensor, Tensor];
    },
    *samples(random): Iterable<NetArgs> {
      yield [random([3, 2, 3]), random([2, 2, 2]), params(random, 1, 3, 1, 2), { bidirectional: true }];
      yield [random([2, 2, 3]), random([2, 2, 2]), params(random, 1, 3, 2, 1, false), { numLayers: 2, hasBiases: false }];
    },
    *errors(random): Iterable<readonly [NetArgs, string]> {
      yield [[random([3, 2, 3]), random([2, 2, 2]), params(random, 1, 3, 1, 1)], 'states must be'];
    },
    torch: { call: torchNet(nonlinearity === 'tanh' ? 'rnn_tanh' : 'rnn_relu') },
  });
}

/** Plain recurrent nets over whole sequences, h' = tanh(W x + U h + b) (Elman 1990): as {@link lstm}, with one state h. */
export const rnnTanh: Net = rnnNet('rnnTanh', 'tanh');
/** Plain recurrent nets over whole sequences, h' = max(0, W x + U h + b): as {@link lstm}, with one state h. */
export const rnnRelu: Net = rnnNet('rnnRelu', 'relu');

/** Sample parameters for 2 hidden units. */
function params(random: Random, gates: number, inputs: number, layers: number, directions: number, biases = true): Tensor[] {
  return Array.from({ length: layers * directions }, (_, i) => {
    const width = i < directions ? inputs : 2 * directions;
    const weights = [random([2 * gates, width]), random([2 * gates, 2])];
    return biases ? [...weights, random([2 * gates]), random([2 * gates])] : weights;
  }).flat();
}
