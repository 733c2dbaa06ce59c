import { crossEntropy } from '../ops/loss.js';
import { AdamW } from '../optim/adam.js';
import { CosineAnnealingLR } from '../optim/schedules.js';
import type { FitOptions } from './options.js';

type Preset = Required<Pick<FitOptions, 'epochs' | 'loss' | 'optimizer' | 'schedule' | 'clipGradNorm' | 'monitor' | 'restoreBest'>>;

/**
 * What to begin with: AdamW at 1e-3 with weight decay 0.01, gradients clipped at norm 1, a cosine over all epochs (default 50),
 * cross-entropy, and in the end the weights with the best validation loss. Spread it into the options of `fit` and replace what differs.
 * @example await fit({ ...referencePreset({ epochs: 2 }), model: new Linear(2, 2), train: new TensorDataset(randn([8, 2]), zeros([8]).int()) });
 */
export function referencePreset({ epochs = 50 }: { readonly epochs?: number } = {}): Preset {
  return {
    epochs,
    loss: crossEntropy,
    optimizer: (model) => new AdamW(model.parameters(), { lr: 1e-3, weightDecay: 0.01 }),
    schedule: (optimizer, length) => new CosineAnnealingLR(optimizer, length.epochs).per('epoch'),
    clipGradNorm: 1,
    monitor: 'loss',
    restoreBest: true,
  };
}
