import { LibError, nearest } from '../core/errors.js';
import type { AnyModule, Parameter } from '../nn/module.js';
import { BatchNorm } from '../nn/norm.js';
import type { Callback } from './callbacks.js';

/** The module at a dotted path. */
function moduleAt(op: string, model: AnyModule, path: string): AnyModule {
  const all = new Map(model.namedModules());
  const found = all.get(path);
  if (found !== undefined) return found;
  const guess = nearest(path, all.keys());
  throw new LibError('value', `${op}: paths must be modules of the model, got '${path}'.`, guess && `did you mean '${guess}'?`);
}

/**
 * Freezes all of a model but its head, the module at `path`; gives the head's parameters, for the optimizer.
 * @example const parameters = headOnly(model, '2');
 */
export function headOnly(model: AnyModule, path: string): Parameter[] {
  const head = moduleAt('headOnly', model, path);
  model.requiresGrad_(false);
  head.requiresGrad_(true);
  return head.parameters();
}

/** Freezes all of a model but its biases (BitFit); gives them. */
export function biasOnly(model: AnyModule): Parameter[] {
  model.requiresGrad_(false);
  const biases = [...model.namedParameters()].filter(([name]) => /(^|\.)bias/.test(name)).map(([, p]) => p);
  if (biases.length === 0) throw new LibError('value', 'biasOnly: the model must have biases, got none.');
  for (const p of biases) p.requiresGrad_(true);
  return biases;
}

/**
 * Keeps batch norms at the statistics of pretraining: they no longer follow the new data, and with `affine` their scale and shift stay too.
 * Gives how many there are.
 */
export function freezeBatchNorm(model: AnyModule, { affine = true }: { readonly affine?: boolean } = {}): number {
  const norms = model.modules().filter((m) => m instanceof BatchNorm);
  for (const norm of norms) norm.freeze({ statistics: true, affine });
  return norms.length;
}

export interface RateGroup {
  readonly params: Parameter[];
  readonly lr: number;
}

/**
 * Parameter groups with smaller learning rates the further a part is from the head: `lr` for the last path, times `decay` for each before.
 * Parameters outside of all paths go with the first.
 * @example new SGD(discriminativeRates(model, ['0', '2'], { lr: 0.1 }), { lr: 0.1 })
 */
export function discriminativeRates(
  model: AnyModule,
  paths: readonly string[],
  { lr, decay = 1 / 2.6 }: { readonly lr: number; readonly decay?: number },
): RateGroup[] {
  if (!(decay > 0 && decay <= 1)) throw new LibError('value', `discriminativeRates: decay must be in (0, 1], got ${decay}.`);
  if (paths.length === 0) throw new LibError('value', 'discriminativeRates: there must be paths, got none.');
  const taken = new Set<Parameter>();
  const groups = [...paths].reverse().map((path, i) => {
    const params = moduleAt('discriminativeRates', model, path)
      .parameters()
      .filter((p) => !taken.has(p));
    for (const p of params) taken.add(p);
    return { params, lr: lr * decay ** i };
  });
  groups.reverse()[0]?.params.push(...model.parameters().filter((p) => !taken.has(p)));
  return groups.filter((g) => g.params.length > 0);
}

export interface UnfreezingOptions {
  /** Epochs between two parts. Default 1. */
  readonly every?: number;
}

/**
 * Trains the last part alone at first, and one more, from the head down, every so many epochs (Howard & Ruder 2018). `paths` are in order
 * from input to head; what lies outside of them stays as it is.
 */
export function gradualUnfreezing(paths: readonly string[], { every = 1 }: UnfreezingOptions = {}): Callback {
  if (!Number.isInteger(every) || every < 1)
    throw new LibError('value', `gradualUnfreezing: every must be a positive integer, got ${every}.`);
  if (paths.length === 0) throw new LibError('value', 'gradualUnfreezing: there must be paths, got none.');
  const set = (model: AnyModule, open: number): void => {
    for (const [i, path] of paths.entries()) moduleAt('gradualUnfreezing', model, path).requiresGrad_(i >= paths.length - open);
  };
  let epochs = 0;
  const open = (): number => Math.min(paths.length, 1 + Math.floor(epochs / every));
  return {
    name: 'gradualUnfreezing',
    onStart: (run) => set(run.model, open()),
    onEpoch(_epoch, _validation, run) {
      const before = open();
      epochs++;
      if (open() === before) return;
      set(run.model, open());
      run.note(`${paths[paths.length - open()]} is trained from now on`);
    },
    stateDict: () => ({ epochs }),
    loadStateDict(state: { readonly epochs: number }) {
      epochs = state.epochs;
    },
  };
}
