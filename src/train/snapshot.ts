import type { AnyModule } from '../nn/module.js';
import { noGrad } from '../tensor/autograd.js';
import { isTensor } from '../tensor/tensor.js';
import type { RunSnapshot } from './callbacks.js';
import type { TrainOptimizer } from './options.js';

const copy = <T>(value: T): T => (isTensor(value) ? (noGrad(() => value.detach().clone()) as T) : value);

/** Copies of weights, buffers and optimizer state. */
export function takeSnapshot(model: AnyModule, optimizer: TrainOptimizer, step: number): RunSnapshot {
  const { state, paramGroups } = optimizer.stateDict();
  const copied = Object.entries(state).map(([i, s]) => [i, Object.fromEntries(Object.entries(s).map(([k, v]) => [k, copy(v)]))]);
  const weights = new Map([...model.stateDict()].map(([name, t]) => [name, copy(t)]));
  return { step, model: weights, optimizer: { state: Object.fromEntries(copied), paramGroups } };
}

/** Puts them back; learning rates stay where the schedule is. */
export function putBack(snapshot: RunSnapshot, model: AnyModule, optimizer: TrainOptimizer): void {
  const rates = optimizer.paramGroups.map((g) => g.lr);
  model.loadStateDict(snapshot.model);
  optimizer.loadStateDict(snapshot.optimizer);
  for (const [i, g] of optimizer.paramGroups.entries()) g.lr = rates[i] ?? g.lr;
}

/** Runs `body` with learning rates times `scale`; the schedule sees its own. */
export function withRates<T>({ paramGroups }: TrainOptimizer, scale: number, body: () => T): T {
  if (scale === 1) return body();
  const rates = paramGroups.map((g) => g.lr);
  for (const g of paramGroups) g.lr *= scale;
  try {
    return body();
  } finally {
    for (const [i, g] of paramGroups.entries()) g.lr = rates[i] ?? g.lr;
  }
}
