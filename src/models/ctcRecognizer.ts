import { ctcStrings } from '../data/synthetic.js';
import { Conv1d, CtcHead, type CtcHypothesis, ctcBeamSearch, ctcGreedyDecode, GRU, Module } from '../nn/index.js';
import { ctcLoss } from '../ops/lossSequence.js';
import { noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface CtcOptions {
  /** Default 'recurrent'. */
  readonly encoder?: 'recurrent' | 'convolutional';
  /** Default 32. */
  readonly hidden?: number;
}

/**
 * Reads symbols from frames that nobody aligned (Graves et al. 2006): (batch, time, features) to log-probabilities (time, batch, symbols +
 * 1), symbol 0 being the blank.
 */
export class CtcRecognizer extends Module {
  readonly recurrent: GRU | null;
  readonly convs: readonly Conv1d[];
  readonly head: CtcHead;

  constructor(features: number, symbols: number, { encoder = 'recurrent', hidden = 32 }: CtcOptions = {}) {
    super();
    const recurrent = encoder === 'recurrent';
    this.recurrent = recurrent ? new GRU(features, hidden, { batchFirst: true, bidirectional: true }) : null;
    this.convs = recurrent ? [] : [features, hidden].map((from) => new Conv1d(from, hidden, 5, { padding: 2 }));
    this.head = new CtcHead(recurrent ? 2 * hidden : hidden, symbols);
  }
  private encode(x: Tensor): Tensor {
    if (this.recurrent !== null) return this.recurrent.forward(x)[0];
    let h = x.transpose(1, 2);
    for (const conv of this.convs) h = conv.forward(h).relu();
    return h.transpose(1, 2);
  }
  override forward(x: Tensor): Tensor {
    return this.head.predict(this.head.forward(this.encode(x))).transpose(0, 1);
  }
  /** The likeliest symbol at each step, repeats merged and blanks left out. */
  greedy(x: Tensor, inputLengths: Tensor): number[][] {
    return ctcGreedyDecode(
      noGrad(() => this.forward(x)),
      { inputLengths },
    );
  }
  /** The likeliest strings, best first. */
  beam(x: Tensor, inputLengths: Tensor, beamWidth: number = 10): CtcHypothesis[][] {
    return ctcBeamSearch(
      noGrad(() => this.forward(x)),
      { inputLengths, beamWidth },
    );
  }
}

const task = (encoder: 'recurrent' | 'convolutional'): TinyTask<CtcRecognizer> =>
  supervisedTask({
    id: 'ARC-27',
    name: `CTC recognizer, ${encoder}`,
    build: () => new CtcRecognizer(6, 4, { encoder }),
    batch: (step) => {
      const { x, targets, inputLengths, targetLengths } = ctcStrings({ samples: 32, seed: step + 1 });
      return [x, targets, inputLengths, targetLengths] as const;
    },
    loss: (model, x: Tensor, targets: Tensor, inputLengths: Tensor, targetLengths: Tensor) =>
      ctcLoss(model.forward(x), targets, inputLengths, targetLengths),
    steps: 80,
  });
export const ctcTiny: TinyTask<CtcRecognizer> = task('recurrent');
export const ctcConvTiny: TinyTask<CtcRecognizer> = task('convolutional');
