import type { AnyRow } from '../ops/define.js';
import { hashOf, type PlainCall, type PlainValue, torchCalls } from './fixtures.js';

/** A sample call with one argument or option changed to a value that may be out of range, as plain data. */
export interface VariedCall extends PlainCall {
  /** What was changed, in words. */
  readonly change: string;
  /** The position, or the option's name in PyTorch, that holds `value`. */
  readonly place: number | string;
  readonly value: PlainValue;
}

/** Values in place of one: numbers out of range or no integers, words that mean nothing, lists of another length. */
function variants(value: PlainValue): PlainValue[] {
  if (typeof value === 'number') return (Number.isInteger(value) ? [-1, 0, 50, 1.5] : [-1, 0, 2]).filter((v) => v !== value);
  if (typeof value === 'string') return ['nonsense'];
  if (!Array.isArray(value) || typeof value[0] !== 'number') return [];
  const list = value as readonly PlainValue[];
  return [...variants(list[0] as PlainValue).map((v) => [v, ...list.slice(1)]), [...list, list[0] as PlainValue]];
}

/** A sample's calls with one number, word or list changed, each place of the row's signature once. */
export function variedCalls(row: AnyRow): VariedCall[] {
  const seen = new Set<string>();
  return torchCalls(row).flatMap((call) => {
    const places = [...call.a.keys(), ...Object.keys(call.o)].filter((place) => {
      const fresh = !seen.has(`${place}`) && variants(valueAt(call, place)).length > 0;
      if (fresh) seen.add(`${place}`);
      return fresh;
    });
    return places.flatMap((place) => variants(valueAt(call, place)).map((v) => withValue(call, place, v)));
  });
}

const valueAt = ({ a, o }: PlainCall, place: number | string): PlainValue => (typeof place === 'number' ? a[place] : o[place]) ?? null;

function withValue(call: PlainCall, place: number | string, value: PlainValue): VariedCall {
  const a = call.a.map((v, i) => (i === place ? value : v));
  const o = typeof place === 'string' ? { ...call.o, [place]: value } : call.o;
  const change = `${typeof place === 'number' ? `argument ${place}` : place} = ${JSON.stringify(value)}`;
  return { ...call, a, o, inputs: hashOf(JSON.stringify([call.call, a, o])), change, place, value };
}
