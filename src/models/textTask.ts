import { textWindows, tinyText } from '../data/synthetic.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';

/** Words of the synthetic text; one number more is left for a model's own token. */
export const wordCount = (): number => tinyText({ unit: 'word', sentences: 1 }).vocabulary.length;

/** Stretches of words (samples, length) and the words that come next, of text that no other step has. */
export function nextWords(step: number, samples = 16, length = 16): [x: Tensor, y: Tensor] {
  const { ids } = tinyText({ unit: 'word', sentences: 2 * samples, seed: step + 1 });
  const { x, y } = textWindows(ids, { samples, length, seed: step + 1 });
  return [x, y];
}

/** Cross entropy of logits (batch, time, words) with the next words (batch, time), in nats a word. */
export const nextTokenLoss = (logits: Tensor, targets: Tensor): Tensor =>
  crossEntropy(logits.flatten({ endDim: 1 }), targets.reshape([-1]));
