import { LibError, nearest } from '../core/errors.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Module, StateDict } from './module.js';

interface Slot {
  readonly owner: Record<string, unknown>;
  readonly key: string;
  readonly value: unknown;
}

/**
 * Calls a module with other tensors in the place of its parameters and buffers, by dotted name; those not given stay (PyTorch:
 * torch.func.functional_call). Gradients flow to the tensors given.
 * @example
 * const model = new Linear(2, 1);
 * const y = functionalCall(model, new Map([['weight', zeros([1, 2])]]), randn([3, 2]));
 */
export function functionalCall<Inputs extends readonly unknown[], Output>(
  module: Module<Inputs, Output>,
  tensors: StateDict,
  ...inputs: Inputs
): Output {
  const names = new Map<string, Tensor>([...module.namedParameters(), ...module.namedBuffers()]);
  const targets = new Map<unknown, Tensor>();
  for (const [name, t] of tensors) {
    const own = names.get(name);
    if (own === undefined) {
      const guess = nearest(name, [...names.keys()]);
      throw new LibError(
        'state',
        `functionalCall: names must be parameters or buffers, got '${name}'.`,
        guess && `did you mean '${guess}'?`,
      );
    }
    targets.set(own, t);
  }
  const slots = module.modules().flatMap((m) => slotsOf(m as unknown as Record<string, unknown>, targets));
  for (const { owner, key, value } of slots) owner[key] = targets.get(value);
  try {
    return module.forward(...inputs);
  } finally {
    for (const { owner, key, value } of slots) owner[key] = value;
  }
}

/** Fields, and places in lists, that hold one of the tensors to be replaced: shared ones are in several. */
function slotsOf(owner: Record<string, unknown>, targets: ReadonlyMap<unknown, Tensor>): Slot[] {
  return Object.entries(owner).flatMap(([key, value]): Slot[] => {
    if (targets.has(value)) return [{ owner, key, value }];
    return Array.isArray(value) ? slotsOf(value as unknown as Record<string, unknown>, targets) : [];
  });
}
