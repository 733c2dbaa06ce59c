import { LibError, nearest } from '../core/errors.js';
import { stack } from '../ops/join.js';
import type { Tensor } from '../tensor/tensor.js';
import type { AnyModule, Module, StateDict } from './module.js';

interface Slot {
  readonly owner: Record<string, unknown>;
  readonly key: string;
  readonly value: unknown;
}

/**
 * Calls a module with other tensors in the place of its parameters and buffers, in a map or object by dotted name; those not given stay
 * (PyTorch: torch.func.functional_call). Gradients flow to the tensors given.
 * @example
 * const model = new Linear(2, 1);
 * const y = functionalCall(model, new Map([['weight', zeros([1, 2])]]), randn([3, 2]));
 */
export function functionalCall<Inputs extends readonly unknown[], Output>(
  module: Module<Inputs, Output>,
  tensors: StateDict | Readonly<Record<string, Tensor>>,
  ...inputs: Inputs
): Output {
  const names = new Map<string, Tensor>([...module.namedParameters(), ...module.namedBuffers()]);
  const targets = new Map<unknown, Tensor>();
  const given = (tensors instanceof Map ? tensors : Object.entries(tensors)) as Iterable<readonly [string, Tensor]>;
  for (const [name, t] of given) {
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

/**
 * Parameters and buffers of several modules of one kind, stacked along a new first dim, by name (torch.func.stack_module_state): what
 * `vmap` over {@link functionalCall} takes to run them all at once.
 */
export function stackModuleState(modules: readonly AnyModule[]): [parameters: Map<string, Tensor>, buffers: Map<string, Tensor>] {
  const [first] = modules;
  if (first === undefined) throw new LibError('value', 'stackModuleState: there must be modules, got none.');
  const stacked = (of: (m: AnyModule) => Iterable<readonly [string, Tensor]>): Map<string, Tensor> => {
    const all = modules.map((m) => new Map(of(m)));
    return new Map(
      [...of(first)].map(([name]) => {
        const same = all.map((tensors) => tensors.get(name)?.detach());
        if (same.includes(undefined))
          throw new LibError('state', `stackModuleState: the modules must be alike, got one without '${name}'.`);
        return [name, stack(same as Tensor[])] as const;
      }),
    );
  };
  const parameters = stacked((m) => m.namedParameters());
  for (const p of parameters.values()) p.requiresGrad_();
  return [parameters, stacked((m) => m.namedBuffers())];
}

/** Makes every batch norm in a module use the batch's statistics and keep none (torch.func.replace_all_batch_norm_modules_). */
export function replaceAllBatchNormModules_<M extends AnyModule>(root: M): M {
  for (const module of root.modules()) {
    if (!/^BatchNorm/.test(module.constructor.name)) continue;
    Object.assign(module, { runningMean: null, runningVar: null, numBatchesTracked: null });
  }
  return root;
}
