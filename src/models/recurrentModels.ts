import { addingSequences, recallSequences, reverseSequences, tinyText } from '../data/synthetic.js';
import { Embedding, GRU, Linear, LSTM, Module, type RecurrentState, RNN, truncatedBackward } from '../nn/index.js';
import { cat } from '../ops/join.js';
import { crossEntropy, mseLoss } from '../ops/loss.js';
import { Adam, clipGradNorm_ } from '../optim/index.js';
import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { customTask, measured, supervisedTask, type TinyTask } from './task.js';

export type CellName = 'rnn' | 'lstm' | 'gru';
export interface SequenceModelOptions {
  /** Default 'lstm'. */
  readonly cell?: CellName;
  /** Default 32. */
  readonly hidden?: number;
  /** Default 1. */
  readonly layers?: number;
  /** Read from both ends. Default false. */
  readonly bidirectional?: boolean;
  /** One answer after the whole sequence, or one at each step. Default 'one'. */
  readonly answers?: 'one' | 'each';
  /** Inputs are symbols below this number, (batch, time); 0: vectors (batch, time, inFeatures). Default 0. */
  readonly symbols?: number;
}

/** A recurrent net with a linear head: to (batch, outFeatures) or, with answers 'each', (batch, time, outFeatures). */
export class SequenceModel extends Module {
  readonly embedding: Embedding | null;
  readonly recurrent: RNN | LSTM | GRU;
  readonly head: Linear;
  readonly hidden: number;
  readonly answers: 'one' | 'each';

  constructor(inFeatures: number, outFeatures: number, options: SequenceModelOptions = {}) {
    super();
    const { cell = 'lstm', hidden = 32, layers = 1, bidirectional = false, answers = 'one', symbols = 0 } = options;
    const settings = { numLayers: layers, bidirectional, batchFirst: true };
    this.embedding = symbols > 0 ? new Embedding(symbols, inFeatures) : null;
    if (cell === 'lstm') this.recurrent = new LSTM(inFeatures, hidden, { ...settings, forgetBias: 1 });
    else this.recurrent = new { rnn: RNN, gru: GRU }[cell](inFeatures, hidden, settings);
    this.head = new Linear(hidden * (bidirectional ? 2 : 1), outFeatures);
    this.hidden = hidden;
    this.answers = answers;
  }

  override forward(x: Tensor): Tensor {
    const [outputs] = this.read(x);
    if (this.answers === 'each') return this.head.forward(outputs);
    // Each direction has seen everything at its own end.
    const last = outputs.select(1, -1).narrow(-1, 0, this.hidden);
    if (outputs.sizeAt(-1) === this.hidden) return this.head.forward(last);
    return this.head.forward(cat([last, outputs.select(1, 0).narrow(-1, this.hidden, this.hidden)], { dim: -1 }));
  }

  /** A stretch of a longer sequence, going on from `state`: answers at each step, and the state behind it. */
  stream(x: Tensor, state: RecurrentState): readonly [answers: Tensor, state: RecurrentState] {
    const [outputs, next] = this.read(x, state);
    return [this.head.forward(outputs), next];
  }
  /** Outputs (batch, time, directions · hidden) and the last state. */
  private read(x: Tensor, state?: RecurrentState): readonly [outputs: Tensor, state: RecurrentState] {
    // Each cell's own state goes in and comes out.
    const recurrent = this.recurrent as { forward(x: Tensor, state?: RecurrentState): readonly [Tensor, RecurrentState] };
    return recurrent.forward(this.embedding === null ? x : this.embedding.forward(x), state);
  }
  /** The state before anything was read. */
  start(batch: number): RecurrentState {
    const runs = this.recurrent.numLayers * (this.recurrent.bidirectional ? 2 : 1);
    const one = (): Tensor => zeros([runs, batch, this.hidden]);
    return this.recurrent instanceof LSTM ? [one(), one()] : one();
  }
}

const adding = (cell: CellName, steps: number): TinyTask<SequenceModel> =>
  supervisedTask({
    id: 'ARC-16',
    name: `${cell.toUpperCase()}, many to one`,
    build: () => new SequenceModel(2, 1, { cell }),
    batch: (step) => {
      const { x, y } = addingSequences({ samples: 64, length: 10, seed: step + 1 });
      return [x, y];
    },
    loss: (model, x: Tensor, y: Tensor) => mseLoss(model.forward(x), y),
    steps,
  });
export const lstmTiny: TinyTask<SequenceModel> = adding('lstm', 400);
export const gruTiny: TinyTask<SequenceModel> = adding('gru', 150);
export const rnnTiny: TinyTask<SequenceModel> = supervisedTask({
  id: 'ARC-16',
  name: 'RNN, recall',
  build: () => new SequenceModel(8, 9, { cell: 'rnn', symbols: 9 }),
  batch: (step) => {
    const { x, y } = recallSequences({ samples: 64, length: 5, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
  steps: 150,
});
export const bidirectionalTiny: TinyTask<SequenceModel> = supervisedTask({
  id: 'ARC-16',
  name: 'GRU, many to many, both directions',
  build: () => new SequenceModel(16, 9, { cell: 'gru', hidden: 48, bidirectional: true, answers: 'each', symbols: 9 }),
  batch: (step) => {
    const { x, y } = reverseSequences({ samples: 64, length: 4, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x).reshape([-1, 9]), y.reshape([-1])),
  steps: 150,
});

/** Reads long sequences (batch, time) once, predicting each next symbol, with gradients through `stepSize` steps and the state kept. */
export function trainTruncated(
  model: SequenceModel,
  ids: Tensor,
  { stepSize, lr = 0.01 }: { readonly stepSize: number; readonly lr?: number },
): void {
  const optimizer = new Adam(model.parameters(), { lr });
  const read = (start: number, end: number, state: RecurrentState): readonly [Tensor, RecurrentState] => {
    const [answers, next] = model.stream(ids.narrow(1, start, end - start), state);
    return [nextSymbolLoss(answers, ids.narrow(1, start + 1, end - start)), next];
  };
  const afterStretch = (): void => {
    clipGradNorm_(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
  };
  truncatedBackward(ids.sizeAt(1) - 1, model.start(ids.sizeAt(0)), read, { stepSize, afterStretch });
}
const nextSymbolLoss = (answers: Tensor, next: Tensor): Tensor => crossEntropy(answers.flatten({ endDim: 1 }), next.reshape([-1]));

/** Long stretches of text side by side: (8, length). */
const textRows = (seed: number, length: number): Tensor => {
  const { ids } = tinyText({ sentences: Math.ceil((8 * length) / 25), seed });
  return ids.narrow(0, 0, 8 * length).reshape([8, length]);
};
export const truncatedTiny: TinyTask<SequenceModel> = customTask({
  id: 'ARC-16',
  name: 'GRU, truncated backpropagation through time',
  build: () => {
    const symbols = tinyText().vocabulary.length;
    return new SequenceModel(16, symbols, { cell: 'gru', hidden: 64, answers: 'each', symbols });
  },
  train: (model) => {
    const held = textRows(0, 100);
    const loss = (): number => measured(model, () => nextSymbolLoss(model.forward(held.narrow(1, 0, 99)), held.narrow(1, 1, 99)));
    const before = loss();
    trainTruncated(model, textRows(1, 1601), { stepSize: 16 });
    return [before, loss()];
  },
});
