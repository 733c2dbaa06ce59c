import { gradMany } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * The gradient rule of a fused row where it must be differentiable itself (`createGraph`, forward mode): autograd through the row's
 * composition, which is run again on the saved inputs.
 */
export function composedGradient(
  name: string,
  compose: (inputs: readonly Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
  gradOutputs: readonly (Tensor | null)[],
  needs: readonly boolean[],
): (Tensor | null)[] {
  // Fresh tensors, so that one tensor given twice gets two gradients; those that require grad stay connected to their history.
  const fresh = inputs.map((x, i) => {
    if (!needs[i]) return x;
    return x.requiresGrad ? x.reshape(x.shape) : x.detach().requiresGrad_();
  });
  const targets = fresh.filter((_, i) => needs[i]);
  const outputs = compose(fresh);
  const reached = outputs.flatMap((y, i) => (gradOutputs[i] && y.requiresGrad ? [{ y, g: gradOutputs[i] }] : []));
  if (reached.length === 0 || targets.length === 0) return inputs.map(() => null);
  const [ys, gs] = [reached.map(({ y }) => y), reached.map(({ g }) => g)];
  const found = gradMany(name, ys, gs, targets, { createGraph: true, allowUnused: true });
  let at = 0;
  return inputs.map((_, i) => (needs[i] ? (found[at++] ?? null) : null));
}
