import { tensor } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import type { OptimizerState, ParamState } from './optimizer.js';

/** The state of an optimizer as `torch.optim.Optimizer.state_dict()` has it, in PyTorch's own words. */
export interface TorchOptimizerState {
  readonly state: Readonly<Record<number, Readonly<Record<string, Tensor | number | null>>>>;
  readonly param_groups: readonly (Readonly<Record<string, unknown>> & { readonly params: readonly number[] })[];
}

/** State that is one number per parameter; PyTorch keeps these as 0-d tensors. */
const numbers = ['step', 'muProduct', 'eta', 'mu'];

const snake = (name: string): string => name.replace(/(?<=[a-z0-9])[A-Z]/g, (c) => `_${c.toLowerCase()}`);
const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());

const renamed = (record: object, rename: (name: string) => string): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [rename(key), value]));

/**
 * An optimizer's state with PyTorch's names, for `torch.optim`'s `load_state_dict`.
 * @example const state = toTorchState(optimizer.stateDict()); // { state: { 0: { step, exp_avg, exp_avg_sq } }, param_groups: […] }
 */
export function toTorchState({ state, paramGroups }: OptimizerState): TorchOptimizerState {
  const entries = Object.entries(state).map(([i, s]) => {
    const values = Object.entries(s).map(([key, value]) => [snake(key), typeof value === 'number' ? tensor(value) : value]);
    return [i, Object.fromEntries(values) as Record<string, Tensor>];
  });
  return {
    state: Object.fromEntries(entries) as TorchOptimizerState['state'],
    param_groups: paramGroups.map((g) => renamed(g, snake)) as unknown as TorchOptimizerState['param_groups'],
  };
}

/** The state of a PyTorch optimizer in this library's words; `loadStateDict` does this by itself. */
export function fromTorchState({ state, param_groups }: TorchOptimizerState): OptimizerState {
  const entries = Object.entries(state).map(([i, s]) => {
    const known = Object.entries(s).filter(([, value]) => value !== null);
    const values = known.map(([key, value]) => {
      const name = camel(key);
      return [name, isTensor(value) && numbers.includes(name) ? value.itemNow() : value];
    });
    return [i, Object.fromEntries(values) as ParamState];
  });
  const groups = param_groups.map((g) =>
    Object.fromEntries(Object.entries(renamed(g, camel)).map(([key, v]) => [key, typeof v === 'string' ? camel(v) : v])),
  );
  return { state: Object.fromEntries(entries) as OptimizerState['state'], paramGroups: groups as unknown as OptimizerState['paramGroups'] };
}
