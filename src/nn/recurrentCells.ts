import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import { gruCell, lstmCell, rnnReluCell, rnnTanhCell } from '../ops/recurrent.js';
import { checkNonlinearity } from '../ops/recurrentLayers.js';
import type { RnnNonlinearity } from '../ops/recurrentSteps.js';
import { empty, zeros } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { constant_, uniform_ } from './init.js';
import { checkSizes } from './linear.js';
import { Module, Parameter } from './module.js';
import { checkPair } from './recurrent.js';

export interface RecurrentCellOptions {
  /** Learn additive biases. Default true. */
  readonly bias?: boolean;
}

/** One step of a recurrent net. x is (batch, inputSize) or (inputSize), states (batch, hiddenSize) or (hiddenSize), zero if left out. */
abstract class RecurrentCell<Hx, Out> extends Module<readonly [x: Tensor, hx?: Hx], Out> {
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly biasIh: Parameter | null;
  readonly biasHh: Parameter | null;

  constructor(
    readonly inputSize: number,
    readonly hiddenSize: number,
    bias: boolean,
    gates: number,
  ) {
    super();
    checkSizes(new.target.name, { inputSize, hiddenSize });
    const bound = 1 / Math.sqrt(hiddenSize);
    const draw = (...shape: number[]): Parameter => new Parameter(uniform_(empty(shape), -bound, bound));
    this.weightIh = draw(gates * hiddenSize, inputSize);
    this.weightHh = draw(gates * hiddenSize, hiddenSize);
    this.biasIh = bias ? draw(gates * hiddenSize) : null;
    this.biasHh = bias ? draw(gates * hiddenSize) : null;
  }

  /** The input and the states with a batch dim. */
  protected batched(x: Tensor, states: readonly (Tensor | undefined)[]): Tensor[] {
    if (x.ndim !== 1 && x.ndim !== 2) {
      const name = this.constructor.name;
      throw new LibError('shape', `${name}: the input must be (batch, features) or (features,), got ${formatShape(x.shape)}.`);
    }
    const rows = x.ndim === 1 ? x.unsqueeze(0) : x;
    const none = (): Tensor => zeros([rows.sizeAt(0), this.hiddenSize], { dtype: x.dtype, device: x.device });
    const state = (s: unknown): Tensor => {
      const wide = isTensor(s) ? (s.ndim === 1 ? s.unsqueeze(0) : s) : null;
      if (wide !== null && sameShape(wide.shape, [rows.sizeAt(0), this.hiddenSize])) return wide;
      const rule = `states must be tensors of shape (${x.ndim === 1 ? '' : `${rows.sizeAt(0)}, `}${this.hiddenSize})`;
      throw new LibError('shape', `${this.constructor.name}: ${rule}, got ${isTensor(s) ? formatShape(s.shape) : typeof s}.`);
    };
    return [rows, ...states.map((s) => (s === undefined ? none() : state(s)))];
  }

  override extraRepr(): string {
    return `${this.inputSize}, ${this.hiddenSize}${this.biasIh === null ? ', bias=false' : ''}`;
  }
}

export interface LSTMCellOptions extends RecurrentCellOptions {
  /** What the bias of the forget gate begins with; 1 keeps memories from the start. Default: drawn as the others, as PyTorch does. */
  readonly forgetBias?: number;
}

/** One step of a long short-term memory: x and (h, c) to the next (h, c). Gates in the order i, f, g, o (torch.nn.LSTMCell). */
export class LSTMCell extends RecurrentCell<readonly [h: Tensor, c: Tensor], [h: Tensor, c: Tensor]> {
  constructor(inputSize: number, hiddenSize: number, { bias = true, forgetBias }: LSTMCellOptions = {}) {
    super(inputSize, hiddenSize, bias, 4);
    if (forgetBias === undefined) return;
    if (this.biasIh === null || this.biasHh === null) {
      throw new LibError('option', `LSTMCell: forgetBias must come with biases, got ${forgetBias} and bias = false.`);
    }
    constant_(this.biasIh.narrow(0, hiddenSize, hiddenSize), forgetBias);
    constant_(this.biasHh.narrow(0, hiddenSize, hiddenSize), 0);
  }
  override forward(x: Tensor, hx?: readonly [h: Tensor, c: Tensor]): [h: Tensor, c: Tensor] {
    checkPair('LSTMCell', hx);
    const [rows, h0, c0] = this.batched(x, [hx?.[0], hx?.[1]]) as [Tensor, Tensor, Tensor];
    const [h, c] = lstmCell(rows, [h0, c0], this.weightIh, this.weightHh, { biasIh: this.biasIh, biasHh: this.biasHh });
    return x.ndim === 1 ? [h.squeeze({ dim: 0 }), c.squeeze({ dim: 0 })] : [h, c];
  }
}

/** One step of a gated recurrent unit: x and h to the next h. Gates in the order r, z, n (torch.nn.GRUCell). */
export class GRUCell extends RecurrentCell<Tensor, Tensor> {
  constructor(inputSize: number, hiddenSize: number, { bias = true }: RecurrentCellOptions = {}) {
    super(inputSize, hiddenSize, bias, 3);
  }
  override forward(x: Tensor, hx?: Tensor): Tensor {
    const [rows, h0] = this.batched(x, [hx]) as [Tensor, Tensor];
    const h = gruCell(rows, h0, this.weightIh, this.weightHh, { biasIh: this.biasIh, biasHh: this.biasHh });
    return x.ndim === 1 ? h.squeeze({ dim: 0 }) : h;
  }
}

export interface RNNCellOptions extends RecurrentCellOptions {
  /** Default 'tanh'. */
  readonly nonlinearity?: RnnNonlinearity;
}

/** One step of a plain recurrent net: h' = φ(W x + U h + b) (torch.nn.RNNCell). */
export class RNNCell extends RecurrentCell<Tensor, Tensor> {
  readonly nonlinearity: RnnNonlinearity;
  constructor(inputSize: number, hiddenSize: number, { bias = true, nonlinearity = 'tanh' }: RNNCellOptions = {}) {
    super(inputSize, hiddenSize, bias, 1);
    checkNonlinearity('RNNCell', nonlinearity);
    this.nonlinearity = nonlinearity;
  }
  override forward(x: Tensor, hx?: Tensor): Tensor {
    const [rows, h0] = this.batched(x, [hx]) as [Tensor, Tensor];
    const cell = this.nonlinearity === 'relu' ? rnnReluCell : rnnTanhCell;
    const h = cell(rows, h0, this.weightIh, this.weightHh, { biasIh: this.biasIh, biasHh: this.biasHh });
    return x.ndim === 1 ? h.squeeze({ dim: 0 }) : h;
  }
}
