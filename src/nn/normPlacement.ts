import * as activations from './activation.js';
import { Sequential } from './containers.js';
import * as convolutions from './conv.js';
import * as dropouts from './dropout.js';
import { Identity, Linear } from './linear.js';
import type { PairingProblem } from './lossPairing.js';
import type { AnyModule } from './module.js';
import * as norms from './norm.js';
import { Residual } from './residual.js';

export type NormPlacement = 'norm before activation' | 'activation before norm' | 'pre-norm' | 'post-norm';

export interface PlacedNorm {
  /** Where in the model: the name of a norm, or of the block that holds it. */
  readonly name: string;
  readonly placement: NormPlacement;
}

const madeBy = (exported: object, m: unknown): boolean => Object.values(exported).some((c) => typeof c === 'function' && m instanceof c);
const isNorm = (m: unknown): boolean => madeBy(norms, m);

/** The layers of containers within one another, in order; what changes nothing of the order is left out. */
function* layersOf(m: AnyModule, name: string): Generator<readonly [name: string, layer: AnyModule]> {
  if (m instanceof Sequential) {
    for (const [i, layer] of [...m].entries()) yield* layersOf(layer, name === '' ? `${i}` : `${name}.${i}`);
  } else if (!(m instanceof Identity || madeBy(dropouts, m))) yield [name, m];
}

/** weights -> norm -> activation, or weights -> activation -> norm. */
function* placedInOrder(layers: readonly (readonly [name: string, layer: AnyModule])[]): Generator<PlacedNorm> {
  const kinds = layers.map(([, m]) => {
    if (isNorm(m)) return 'n';
    if (madeBy(activations, m)) return 'a';
    return m instanceof Linear || madeBy(convolutions, m) ? 'w' : '-';
  });
  for (const [i, [name]] of layers.entries()) {
    if (kinds[i] !== 'n') continue;
    if (kinds[i - 1] === 'w' && kinds[i + 1] === 'a') yield { name, placement: 'norm before activation' };
    if (kinds[i - 2] === 'w' && kinds[i - 1] === 'a') yield { name, placement: 'activation before norm' };
  }
}

/** Where blocks with a residual connection normalize, by their options. */
function placedInBlock(m: AnyModule): NormPlacement | null {
  if (m instanceof Residual) {
    const holdsNorm = (part: AnyModule | null): boolean => part?.modules().some(isNorm) ?? false;
    if (holdsNorm(m.post)) return 'post-norm';
    return holdsNorm(m.pre) ? 'pre-norm' : null;
  }
  const { normPosition, normFirst } = m as { readonly normPosition?: unknown; readonly normFirst?: unknown };
  if (normPosition === undefined && normFirst === undefined) return null;
  return normPosition === 'pre' || normFirst === true ? 'pre-norm' : 'post-norm';
}

/** Where a model normalizes, as far as its containers and blocks tell: `Sequential`, `Residual` and transformer blocks. */
export function normPlacements(model: AnyModule): readonly PlacedNorm[] {
  const placed: PlacedNorm[] = [];
  const inside = new Set<AnyModule>();
  for (const [name, m] of model.namedModules()) {
    const inBlock = placedInBlock(m);
    if (inBlock !== null) placed.push({ name, placement: inBlock });
    if (!(m instanceof Sequential)) continue;
    if (!inside.has(m)) placed.push(...placedInOrder([...layersOf(m, name)]));
    for (const part of m.modules()) inside.add(part);
  }
  return placed;
}

const alternatives = [
  ['norm before activation', 'activation before norm'],
  ['pre-norm', 'post-norm'],
] as const;

/**
 * What is wrong with where a model normalizes, or null: one model should place all its norms alike.
 * @example checkNormPlacement(new Sequential(new Linear(4, 4), new LayerNorm(4), new ReLU())) // null
 */
export function checkNormPlacement(model: AnyModule): PairingProblem | null {
  const placed = normPlacements(model);
  const namesOf = (placement: NormPlacement): string[] => placed.filter((p) => p.placement === placement).map((p) => p.name);
  for (const [one, other] of alternatives) {
    const [most, least] = namesOf(one).length < namesOf(other).length ? [other, one] : [one, other];
    if (namesOf(least).length === 0) continue;
    const [first, second] = [most, least].map((placement) => {
      const names = namesOf(placement);
      return `${placement} (${names.slice(0, 3).join(', ')}${names.length > 3 ? ', ...' : ''})`;
    });
    return {
      problem: `norms are placed in two ways: ${first} and ${second}`,
      fix: `choose one for the whole model: ${most} is its rule so far.`,
    };
  }
  return null;
}
