import { LibError } from '../core/errors.js';
import { customGrad } from '../ops/customGrad.js';
import { isTensor, type Tensor } from './tensor.js';

/**
 * A function of tensors with a gradient of your own (PyTorch: torch.autograd.Function). `forward` runs outside the graph; `backward` gets
 * the gradient of its result, the result and the inputs, and gives one gradient for each input, null for none. Written in ops, it works
 * in every mode: higher orders, forward mode, `vmap`, `compile`.
 * @example
 * const step = customGradient((x: Tensor) => x.gt(0).float(), (g, _y, x) => [g.mul(x.abs().le(1))]); // straight through
 * const x = tensor([-2, 0.5], { requiresGrad: true });
 * step(x).sum().backward(); // x.grad is [0, 1]
 */
export function customGradient<Inputs extends readonly Tensor[]>(
  forward: (...inputs: Inputs) => Tensor,
  backward: (g: Tensor, output: Tensor, ...inputs: Inputs) => readonly (Tensor | null)[],
): (...inputs: Inputs) => Tensor {
  return (...inputs) => {
    const wrong = inputs.findIndex((x) => !isTensor(x));
    if (wrong >= 0) throw new LibError('value', `customGradient: inputs must be tensors, got ${typeof inputs[wrong]} at ${wrong}.`);
    return customGrad({
      name: forward.name || 'customGradient',
      inputs,
      params: null,
      saves: [...inputs.keys(), 'output'],
      compute: () => forward(...inputs),
      grad: (g, { inputs: given, output }) => checked(backward(g, output as Tensor, ...(given as unknown as Inputs)), inputs.length),
    });
  };
}

function checked(gradients: readonly (Tensor | null)[], wanted: number): readonly (Tensor | null)[] {
  if (Array.isArray(gradients) && gradients.length === wanted) return gradients;
  const got = Array.isArray(gradients) ? `${gradients.length}` : typeof gradients;
  throw new LibError('value', `customGradient: backward must give a list of one gradient for each of ${wanted} inputs, got ${got}.`);
}
