// The language of src/ops/kinds.ts read once more, for tests: values that a kind takes and values that it does not.
import { tensor } from '../../dist/index.js';
import { ReLU } from '../../dist/nn/index.js';

export interface Argument {
  readonly name: string;
  readonly optional: boolean;
  readonly rest: boolean;
  readonly code: string;
}

/** Cuts `text` at each `mark` that stands in no bracket. */
function split(text: string, mark: string): string[] {
  const parts: string[] = [''];
  let depth = 0;
  for (const letter of text) {
    if ('[<{'.includes(letter)) depth++;
    if (']>}'.includes(letter)) depth--;
    if (letter === mark && depth === 0) parts.push('');
    else parts[parts.length - 1] += letter;
  }
  return parts.filter((part) => part !== '');
}

/** The arguments in each form of a call. */
export function formsOf(signature: string): readonly (readonly Argument[])[] {
  return signature.split(';').map((form) =>
    split(form, ' ').map((argument) => {
      const [label = '', ...code] = argument.split(':');
      const [name = ''] = label.replace('...', '').split('?');
      return { name, optional: label.includes('?'), rest: label.startsWith('...'), code: code.join(':') };
    }),
  );
}

const parts = (code: string): string[] => split(code, '|');

/** The keys of options, each with its kind; null where a kind is no options. */
export function keysOf(code: string): ReadonlyMap<string, string> | null {
  const object = parts(code).find((part) => part.startsWith('{'));
  if (object === undefined) return null;
  const entries = split(object.slice(1, -1), ' ');
  return new Map(entries.map((entry) => [entry.slice(0, entry.search(/[!:]/)), entry.slice(entry.indexOf(':') + 1)]));
}

const plainValues: Readonly<Record<string, () => unknown>> = {
  T: () => tensor([1, 2]),
  M: () => new ReLU(),
  n: () => 0.5,
  r: () => 0.5,
  i: () => 1,
  b: () => true,
  s: () => '/no/such/place',
  z: () => null,
  f: () => () => 0,
  o: () => ({}),
  '*': () => 0,
};

/** A value that a kind takes. */
export function rightFor(code: string): unknown {
  const [first = '*'] = parts(code);
  if (first.startsWith('<')) return first.slice(1, -1).split(',')[0];
  if (first.startsWith('[')) return [rightFor(first.slice(1, -1))];
  if (!first.startsWith('{')) return plainValues[first]?.();
  const required = split(first.slice(1, -1), ' ').filter((entry) => entry.split(':')[0]?.endsWith('!'));
  return Object.fromEntries(required.map((entry) => [entry.slice(0, entry.indexOf('!')), rightFor(entry.slice(entry.indexOf(':') + 1))]));
}

/** Values that a kind does not take. */
export function* wrongFor(code: string): Generator<unknown> {
  const kinds = new Set(parts(code));
  const any = (...some: readonly string[]): boolean => kinds.has('*') || some.some((kind) => kinds.has(kind));
  const isList = [...kinds].some((kind) => kind.startsWith('['));
  const isObject = any('o') || [...kinds].some((kind) => kind.startsWith('{'));
  if (!any('s')) yield 'nonsense';
  if (!isObject) yield { of: 1 };
  if (!any('f')) yield () => 0;
  if (!any('z')) yield null;
  if (!any('b')) yield true;
  if (!any('T', 'o')) yield tensor([1, 2]);
  if (!isList && !any('o')) yield [0];
  if (isList && !any('[T]', '[*]', '[s]', 'o')) yield ['one'];
  if (any('i', 'r') && !any()) yield Number.NaN;
  if (kinds.has('i') && !any('r', 'n')) yield 1.5;
  if (!any('n', 'r', 'i')) yield 7;
}
