import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { gru, lstm, type RecurrentOptions as NetOptions, rnnRelu, rnnTanh } from '../ops/recurrent.js';
import { checkNonlinearity } from '../ops/recurrentLayers.js';
import type { RnnNonlinearity } from '../ops/recurrentSteps.js';
import { empty, zeros } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { constant_, uniform_ } from './init.js';
import { checkSizes } from './linear.js';
import { Module, Parameter } from './module.js';
import { PackedSequence, pickRows } from './packed.js';

export interface RecurrentOptions {
  /** Layers one above the other. Default 1. */
  readonly numLayers?: number;
  /** Learn additive biases. Default true. */
  readonly bias?: boolean;
  /** Sequences are (batch, time, features) instead of (time, batch, features). States stay (layers · directions, batch, hidden). Default false. */
  readonly batchFirst?: boolean;
  /** In training, the chance that an output of a layer but the last is dropped. Default 0. */
  readonly dropout?: number;
  /** Read the sequence from both ends; outputs are then twice as wide. Default false. */
  readonly bidirectional?: boolean;
}

type Suffix = `L${number}` | `L${number}Reverse`;
type Weight = `weight${'Ih' | 'Hh' | 'Hr'}${Suffix}`;
type Bias = `bias${'Ih' | 'Hh'}${Suffix}`;

/** Sequences of one length, (time, batch, features), or packed. */
type Sequence = Tensor | PackedSequence;

type RunNet = (x: Tensor, states: readonly Tensor[]) => readonly [output: Tensor, ...last: Tensor[]];

/** What a net gives: the outputs, then its last states. */
abstract class Recurrent<Hx, Out> extends Module<readonly [x: Sequence, hx?: Hx], Out> {
  [weight: `weight${string}L${string}`]: Parameter;
  [bias: `bias${string}L${string}`]: Parameter;
  readonly numLayers: number;
  readonly bias: boolean;
  readonly batchFirst: boolean;
  readonly dropout: number;
  readonly bidirectional: boolean;

  constructor(
    readonly inputSize: number,
    readonly hiddenSize: number,
    gates: number,
    { numLayers = 1, bias = true, batchFirst = false, dropout = 0, bidirectional = false }: RecurrentOptions,
    readonly projSize: number = 0,
  ) {
    super();
    checkSizes(new.target.name, { inputSize, hiddenSize, numLayers });
    if (!(dropout >= 0 && dropout <= 1)) {
      throw new LibError('value', `${new.target.name}: dropout must be a probability in [0, 1], got ${dropout}.`);
    }
    this.numLayers = numLayers;
    this.bias = bias;
    this.batchFirst = batchFirst;
    this.dropout = dropout;
    this.bidirectional = bidirectional;
    this.drawParameters(gates);
  }

  private drawParameters(gates: number): void {
    const { hiddenSize, bias, projSize } = this;
    const bound = 1 / Math.sqrt(hiddenSize);
    const draw = (...shape: number[]): Parameter => new Parameter(uniform_(empty(shape), -bound, bound));
    const output = projSize > 0 ? projSize : hiddenSize;
    for (const { suffix, layer } of this.runs()) {
      this[`weightIh${suffix}`] = draw(gates * hiddenSize, layer === 0 ? this.inputSize : output * (this.bidirectional ? 2 : 1));
      this[`weightHh${suffix}`] = draw(gates * hiddenSize, output);
      if (bias) this[`biasIh${suffix}`] = draw(gates * hiddenSize);
      if (bias) this[`biasHh${suffix}`] = draw(gates * hiddenSize);
      if (projSize > 0) this[`weightHr${suffix}`] = draw(projSize, hiddenSize);
    }
  }

  /** Each layer and direction, in the order of the parameters. */
  private *runs(): Generator<{ readonly suffix: Suffix; readonly layer: number }> {
    for (let layer = 0; layer < this.numLayers; layer++) {
      yield { suffix: `L${layer}`, layer };
      if (this.bidirectional) yield { suffix: `L${layer}Reverse`, layer };
    }
  }

  /** The parameters as the functional forms take them. */
  protected flatParameters(): Parameter[] {
    const found: Parameter[] = [];
    for (const { suffix } of this.runs()) {
      const weights: readonly Weight[] = [`weightIh${suffix}`, `weightHh${suffix}`];
      const rest: readonly (Weight | Bias)[] = [`biasIh${suffix}`, `biasHh${suffix}`, `weightHr${suffix}`];
      for (const name of [...weights, ...rest]) {
        const parameter = this[name];
        if (parameter !== undefined) found.push(parameter);
      }
    }
    return found;
  }

  protected netOptions(x: Sequence): NetOptions {
    const { bias: hasBiases, numLayers, dropout, bidirectional, batchFirst } = this;
    const packed = x instanceof PackedSequence && { batchSizes: x.batchSizes };
    return { hasBiases, numLayers, dropout, train: this.training, bidirectional, batchFirst, ...packed };
  }

  /** Runs `net` with a batch dim and with states, zero if they are left out; takes the dim away again. */
  protected run(x: Sequence, states: readonly (Tensor | undefined)[], net: RunNet): readonly [output: Sequence, ...last: Tensor[]] {
    const { data } = x instanceof PackedSequence ? x : { data: x };
    if (data.ndim > 0 && data.sizeAt(-1) !== this.inputSize) {
      const rule = `the input must be (…, ${this.inputSize})`;
      throw new LibError('shape', `${this.constructor.name}: ${rule}, got shape ${formatShape(data.shape)}.`);
    }
    if (x instanceof PackedSequence) return this.runPacked(x, states, net);
    if (x.ndim !== 2 && x.ndim !== 3) {
      const name = this.constructor.name;
      throw new LibError('shape', `${name}: the input must have 2 (unbatched) or 3 dimensions, got shape ${formatShape(x.shape)}.`);
    }
    for (const s of states) {
      if (s !== undefined && !isTensor(s))
        throw new LibError('value', `${this.constructor.name}: states must be tensors, got ${typeof s}.`);
    }
    const single = x.ndim === 2;
    const sequence = single ? x.unsqueeze(this.batchFirst ? 0 : 1) : x;
    const batch = sequence.sizeAt(this.batchFirst ? 0 : 1);
    const hx = states.map((s, i) => (s === undefined ? this.zeroState(x, batch, i) : single ? s.unsqueeze(1) : s));
    const [output, ...last] = net(sequence, hx);
    if (!single) return [output, ...last];
    return [output.squeeze({ dim: this.batchFirst ? 0 : 1 }), ...last.map((s) => s.squeeze({ dim: 1 }))];
  }

  /** States are given and handed back in the batch's own order. */
  private runPacked(x: PackedSequence, states: readonly (Tensor | undefined)[], net: RunNet): readonly [PackedSequence, ...Tensor[]] {
    const { data, batchSizes, sortedIndices, unsortedIndices } = x;
    const inOrder = (s: Tensor, order: readonly number[] | null): Tensor => (order === null ? s : pickRows(s, order, 1));
    const hx = states.map((s, i) => (s === undefined ? this.zeroState(data, batchSizes[0] as number, i) : inOrder(s, sortedIndices)));
    const [output, ...last] = net(data, hx);
    return [x.with(output), ...last.map((s) => inOrder(s, unsortedIndices))];
  }

  private zeroState(x: Tensor, batch: number, position: number): Tensor {
    const width = position === 0 && this.projSize > 0 ? this.projSize : this.hiddenSize;
    const runs = this.numLayers * (this.bidirectional ? 2 : 1);
    return zeros([runs, batch, width], { dtype: x.dtype, device: x.device });
  }

  override extraRepr(): string {
    const { inputSize, hiddenSize, numLayers, bidirectional } = this;
    return `${inputSize}, ${hiddenSize}, numLayers=${numLayers}, bidirectional=${bidirectional}`;
  }
}

export interface LSTMOptions extends RecurrentOptions {
  /** Project the hidden state to this width (below hiddenSize). Default 0: not at all. */
  readonly projSize?: number;
  /** What the bias of the forget gates begins with; 1 keeps memories from the start. Default: drawn as the others, as PyTorch does. */
  readonly forgetBias?: number;
}

/** @internal The states of an LSTM are two. */
export function checkPair(op: string, hx: unknown): void {
  if (hx === undefined || (Array.isArray(hx) && hx.length === 2)) return;
  throw new LibError('value', `${op}: the states must be a pair [h, c], got ${Array.isArray(hx) ? `${hx.length} of them` : typeof hx}.`);
}

type LSTMState = readonly [h: Tensor, c: Tensor];

/**
 * A long short-term memory (Hochreiter & Schmidhuber 1997): (time, batch, inputSize) and states (layers · directions, batch, hiddenSize),
 * zero if left out, to (time, batch, directions · hiddenSize) and the last states. Gates in the order i, f, g, o (torch.nn.LSTM).
 *
 * @example const [output, [h, c]] = new LSTM(8, 16, { batchFirst: true }).forward(randn([2, 5, 8]));
 */
export class LSTM extends Recurrent<LSTMState, readonly [output: Sequence, hx: LSTMState]> {
  constructor(inputSize: number, hiddenSize: number, { projSize = 0, forgetBias, ...options }: LSTMOptions = {}) {
    if (!Number.isInteger(projSize) || projSize < 0 || projSize >= hiddenSize) {
      throw new LibError('value', `LSTM: projSize must be an integer from 0 to below hiddenSize, got ${projSize} for ${hiddenSize}.`);
    }
    super(inputSize, hiddenSize, 4, options, projSize);
    if (forgetBias === undefined) return;
    if (!this.bias) throw new LibError('option', `LSTM: forgetBias must come with biases, got ${forgetBias} and bias = false.`);
    for (const [name, p] of this.namedParameters()) {
      if (name.startsWith('bias')) constant_(p.narrow(0, hiddenSize, hiddenSize), name.startsWith('biasIh') ? forgetBias : 0);
    }
  }
  override forward(x: Tensor, hx?: LSTMState): readonly [output: Tensor, hx: LSTMState];
  override forward(x: PackedSequence, hx?: LSTMState): readonly [output: PackedSequence, hx: LSTMState];
  override forward(x: Sequence, hx?: LSTMState): readonly [output: Sequence, hx: LSTMState];
  override forward(x: Sequence, hx?: LSTMState): readonly [output: Sequence, hx: LSTMState] {
    checkPair('LSTM', hx);
    const net: RunNet = (data, [h, c]) => lstm(data, [h as Tensor, c as Tensor], this.flatParameters(), this.netOptions(x));
    const [output, h, c] = this.run(x, [hx?.[0], hx?.[1]], net);
    return [output, [h as Tensor, c as Tensor]];
  }
}

type Net = typeof gru;

abstract class OneState extends Recurrent<Tensor, readonly [output: Sequence, h: Tensor]> {
  protected abstract net(): Net;
  override forward(x: Tensor, hx?: Tensor): readonly [output: Tensor, h: Tensor];
  override forward(x: PackedSequence, hx?: Tensor): readonly [output: PackedSequence, h: Tensor];
  override forward(x: Sequence, hx?: Tensor): readonly [output: Sequence, h: Tensor];
  override forward(x: Sequence, hx?: Tensor): readonly [output: Sequence, h: Tensor] {
    const net: RunNet = (data, [h]) => this.net()(data, h as Tensor, this.flatParameters(), this.netOptions(x));
    const [output, h] = this.run(x, [hx], net);
    return [output, h as Tensor];
  }
}

/**
 * Gated recurrent units (Cho et al. 2014): (time, batch, inputSize) and a state (layers · directions, batch, hiddenSize), zero if left
 * out, to (time, batch, directions · hiddenSize) and the last state. Gates in the order r, z, n (torch.nn.GRU).
 */
export class GRU extends OneState {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, 3, options);
  }
  protected override net(): Net {
    return gru;
  }
}

export interface RNNOptions extends RecurrentOptions {
  /** Default 'tanh'. */
  readonly nonlinearity?: RnnNonlinearity;
}

/**
 * A plain recurrent net (Elman 1990), h' = φ(W x + U h + b): (time, batch, inputSize) and a state (layers · directions, batch,
 * hiddenSize), zero if left out, to (time, batch, directions · hiddenSize) and the last state (torch.nn.RNN).
 */
export class RNN extends OneState {
  readonly nonlinearity: RnnNonlinearity;
  constructor(inputSize: number, hiddenSize: number, { nonlinearity = 'tanh', ...options }: RNNOptions = {}) {
    super(inputSize, hiddenSize, 1, options);
    checkNonlinearity('RNN', nonlinearity);
    this.nonlinearity = nonlinearity;
  }
  protected override net(): Net {
    return this.nonlinearity === 'relu' ? rnnRelu : rnnTanh;
  }
}
