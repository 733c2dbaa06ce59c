import { LibError } from '../core/errors.js';

/** PyTorch's spelling of a parameter's name: `norm.runningMean` is `norm.running_mean` there. */
export const torchName = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();

/**
 * Finds, for names in either spelling, the ones that a model uses; names that it lacks stay as they are.
 * Files of PyTorch load that way, and files that we write load there.
 */
export function matchNames<T>(entries: ReadonlyMap<string, T>, own: Iterable<string>): Map<string, T> {
  const byTorchName = new Map<string, string>();
  for (const name of own) {
    const clash = byTorchName.get(torchName(name));
    if (clash !== undefined && !entries.has(name)) {
      throw new LibError('value', `loadModel: names must differ in PyTorch's spelling, got ${clash} and ${name}.`);
    }
    byTorchName.set(torchName(name), name);
  }
  const matched = new Map<string, T>();
  const known = new Set(own);
  for (const [name, value] of entries) matched.set(known.has(name) ? name : (byTorchName.get(torchName(name)) ?? name), value);
  return matched;
}
