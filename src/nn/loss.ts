import {
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  type CrossEntropyOptions,
  crossEntropy,
  huberLoss,
  l1Loss,
  mseLoss,
  nllLoss,
  smoothL1Loss,
} from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

/** Losses as modules. `forward(input, target)` calls the op of the same name; see there for shapes and formulas. */
type LossFunction<Options> = (input: Tensor, target: Tensor, options?: Options) => Tensor;

abstract class Loss<Options extends object> extends Module<readonly [input: Tensor, target: Tensor]> {
  protected abstract readonly loss: LossFunction<Options>;
  constructor(readonly options: Options = {} as Options) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return this.loss(input, target, this.options);
  }
}

type OptionsOf<F> = F extends (input: Tensor, target: Tensor, options?: infer O) => Tensor ? (O extends object ? O : never) : never;

/** Softmax cross entropy of logits with class indices or probabilities (torch.nn.CrossEntropyLoss). */
export class CrossEntropyLoss extends Loss<CrossEntropyOptions> {
  protected override readonly loss: LossFunction<CrossEntropyOptions> = crossEntropy;
}
type NLLOptions = OptionsOf<typeof nllLoss>;
/** Negative log-likelihood of log-probabilities (torch.nn.NLLLoss). */
export class NLLLoss extends Loss<NLLOptions> {
  protected override readonly loss: LossFunction<NLLOptions> = nllLoss;
}
type BCEOptions = OptionsOf<typeof binaryCrossEntropy>;
/** Binary cross entropy of probabilities (torch.nn.BCELoss). */
export class BCELoss extends Loss<BCEOptions> {
  protected override readonly loss: LossFunction<BCEOptions> = binaryCrossEntropy;
}
type BCELogitsOptions = OptionsOf<typeof binaryCrossEntropyWithLogits>;
/** Binary cross entropy of logits (torch.nn.BCEWithLogitsLoss). */
export class BCEWithLogitsLoss extends Loss<BCELogitsOptions> {
  protected override readonly loss: LossFunction<BCELogitsOptions> = binaryCrossEntropyWithLogits;
}
type MSEOptions = OptionsOf<typeof mseLoss>;
/** Mean squared error (torch.nn.MSELoss). */
export class MSELoss extends Loss<MSEOptions> {
  protected override readonly loss: LossFunction<MSEOptions> = mseLoss;
}
type L1Options = OptionsOf<typeof l1Loss>;
/** Mean absolute error (torch.nn.L1Loss). */
export class L1Loss extends Loss<L1Options> {
  protected override readonly loss: LossFunction<L1Options> = l1Loss;
}
type SmoothL1Options = OptionsOf<typeof smoothL1Loss>;
/** Squared near zero, absolute beyond beta (torch.nn.SmoothL1Loss). */
export class SmoothL1Loss extends Loss<SmoothL1Options> {
  protected override readonly loss: LossFunction<SmoothL1Options> = smoothL1Loss;
}
type HuberOptions = OptionsOf<typeof huberLoss>;
/** Huber's loss (torch.nn.HuberLoss). */
export class HuberLoss extends Loss<HuberOptions> {
  protected override readonly loss: LossFunction<HuberOptions> = huberLoss;
}
