import { LibError, unknownOption } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { isTensor } from '../tensor/tensor.js';
import { signatures } from './signatures.js';

/**
 * Calls from plain JavaScript are held to the same types as TypeScript's, but not in bundles for production (package.json, `imports`): signatures.ts says them in a small language, which
 * scripts/signatures.mjs reads from the declarations.
 *
 *   x:T dim?:i options?:{keepdim:b dtype:<float32,float64>}
 *
 * T tensor, n any number, r a number but not NaN, i integer, b boolean, s string, z null, f function, o object, * anything, <a,b> one
 * of these words, [n] a list, {…} options, ...x the rest. `|` means or.
 */
export type CallCheck = (args: readonly unknown[]) => void;

interface Kind {
  readonly says: string;
  holds(value: unknown): boolean;
}

const atoms: Readonly<Record<string, Kind>> = {
  T: { says: 'a tensor', holds: isTensor },
  n: { says: 'a number', holds: (v) => typeof v === 'number' },
  r: { says: 'a number', holds: (v) => typeof v === 'number' && !Number.isNaN(v) },
  i: { says: 'a whole number', holds: Number.isInteger },
  b: { says: 'true or false', holds: (v) => typeof v === 'boolean' },
  s: { says: 'a string', holds: (v) => typeof v === 'string' },
  z: { says: 'null', holds: (v) => v === null },
  f: { says: 'a function', holds: (v) => typeof v === 'function' },
  o: { says: 'an object', holds: (v) => typeof v === 'object' && v !== null },
  '*': { says: 'anything', holds: () => true },
};

const plural: Readonly<Record<string, string>> = {
  'a tensor': 'tensors',
  'a whole number': 'whole numbers',
  'a number': 'numbers',
  null: 'null',
};

function kindOf(code: string): Kind {
  const atom = atoms[code];
  if (atom !== undefined) return atom;
  const parts = alternatives(code);
  if (parts.length > 1) return either(parts.map(kindOf));
  const inner = code.slice(1, -1);
  if (code.startsWith('<')) {
    const words = inner.split(',');
    return { says: choice(words.map((w) => `'${w}'`)), holds: (v) => typeof v === 'string' && words.includes(v) };
  }
  const element = kindOf(inner);
  const says = element.says.split(/, | or /).map((word) => plural[word] ?? word);
  return { says: `a list of ${choice(says)}`, holds: (v) => isList(v) && v.every(element.holds) };
}

/** One of them: `a, b or c`. */
const choice = (words: readonly string[]): string => words.join(', ').replace(/, (?!.*, )/, ' or ');

const isList = (v: unknown): v is readonly unknown[] => Array.isArray(v);

/** `n|[i|z]` to its two parts. */
function alternatives(code: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < code.length; i++) {
    if ('[<'.includes(code[i] as string)) depth++;
    else if (']>'.includes(code[i] as string)) depth--;
    else if (code[i] === '|' && depth === 0) {
      parts.push(code.slice(from, i));
      from = i + 1;
    }
  }
  return [...parts, code.slice(from)];
}

function either(kinds: readonly Kind[]): Kind {
  const [a, b] = kinds as [Kind, Kind];
  const holds = kinds.length === 2 ? (v: unknown) => a.holds(v) || b.holds(v) : (v: unknown) => kinds.some((k) => k.holds(v));
  return { says: choice(kinds.map((k) => k.says)), holds };
}

/** What a value is, for messages. */
function facts(value: unknown): string {
  if (isTensor(value)) return `a ${value.dtype} tensor of shape ${formatShape(value.shape)}`;
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return value.name ? `the function ${value.name}` : 'a function';
  if (isList(value)) return `[${value.slice(0, 8).map(facts).join(', ')}${value.length > 8 ? ', …' : ''}]`;
  if (typeof value === 'object' && value !== null) return `an object with ${Object.keys(value).slice(0, 8).join(', ') || 'nothing in it'}`;
  return value === undefined ? 'nothing' : String(value);
}

const wrong = (op: string, name: string, kind: Kind, value: unknown): LibError =>
  new LibError('value', `${op}: ${name} must be ${kind.says}, got ${facts(value)}.`);

type ParamCheck = (op: string, value: unknown) => void;

function optionsCheck(code: string): ParamCheck {
  const kinds = new Map(fields(code).map(([key, kind]) => [key, kindOf(kind)]));
  const known = [...kinds.keys()];
  return (op, value) => {
    if (typeof value !== 'object' || value === null || isTensor(value) || isList(value)) {
      throw new LibError('value', `${op}: options must be an object, got ${facts(value)}.`, `options go by name: { ${known[0]}: … }.`);
    }
    for (const key in value) {
      const given = (value as Readonly<Record<string, unknown>>)[key];
      if (given === undefined) continue;
      const kind = kinds.get(key);
      if (kind === undefined) throw unknownOption(op, key, known);
      if (!kind.holds(given)) throw wrong(op, key, kind, given);
    }
  };
}

const fields = (code: string): [name: string, code: string][] =>
  code
    .slice(1, -1)
    .split(' ')
    .map((entry) => [entry.slice(0, entry.indexOf(':')), entry.slice(entry.indexOf(':') + 1)]);

function paramCheck(name: string, code: string): ParamCheck {
  if (code.startsWith('{')) return optionsCheck(code);
  const kind = kindOf(code);
  return (op, value) => {
    if (!kind.holds(value)) throw wrong(op, name, kind, value);
  };
}

/** `a:T b?:n options?:{x:n y:b}` to its parameters. */
function paramsOf(signature: string): string[] {
  return signature.match(/[^\s{]+(\{[^}]*\})?/g) ?? [];
}

function compileOne(signature: string): { readonly count: number; check(op: string, args: readonly unknown[]): void } {
  const checks: { readonly check: ParamCheck; readonly optional: boolean }[] = [];
  let rest: ParamCheck | null = null;
  for (const param of paramsOf(signature)) {
    const colon = param.indexOf(':');
    const label = param.slice(0, colon);
    if (label.startsWith('...')) {
      rest = paramCheck(label.slice(3), param.slice(colon + 1));
      break;
    }
    checks.push({ check: paramCheck(label.replace('?', ''), param.slice(colon + 1)), optional: label.endsWith('?') });
  }
  const check = (op: string, args: readonly unknown[]): void => {
    for (let i = 0; i < checks.length; i++) {
      const { check, optional } = checks[i] as (typeof checks)[number];
      const value = args[i];
      if (value !== undefined || !optional) check(op, value);
    }
    if (rest !== null) for (let i = checks.length; i < args.length; i++) rest(op, args[i]);
    else if (args.length > checks.length) last(op, args);
  };
  /** Functions may be handed to map(), which gives numbers and lists beside the element; options that nobody reads are a mistake. */
  const last = (op: string, args: readonly unknown[]): void => {
    const extra = args[checks.length];
    if (typeof extra === 'object' && extra !== null && !isTensor(extra) && !isList(extra) && Object.keys(extra).length > 0)
      throw new LibError('option', `${op}: there are no options, got ${facts(extra)}.`);
  };
  return { count: rest ? Number.POSITIVE_INFINITY : checks.length, check };
}

/** The check of calls to `op`; overloads are divided by `;`, and one of them must hold. Compiled at the first call. */
export function callCheck(op: string, signature: string): CallCheck {
  let run: CallCheck | null = null;
  return (args) => {
    run ??= compile(op, signature);
    run(args);
  };
}

/** The check of calls to the public function `name`. */
export function callCheckOf(name: string): CallCheck | null {
  const signature = signatures[name];
  return signature === undefined ? null : callCheck(name, signature);
}

/** For functions that are no rows: the same check, at their first line. */
export function checkArguments(op: string, args: readonly unknown[]): void {
  let check = checks.get(op);
  if (check === undefined) {
    check = callCheck(op, signatures[op] ?? '...args:*');
    checks.set(op, check);
  }
  check(args);
}
const checks = new Map<string, CallCheck>();

function compile(op: string, signature: string): CallCheck {
  const forms = signature.split(';').map(compileOne);
  const [only] = forms;
  if (forms.length === 1 && only !== undefined) return (args) => only.check(op, args);
  return (args) => {
    let first: unknown = null;
    for (const form of forms) {
      if (args.length > form.count) continue;
      try {
        form.check(op, args);
        return;
      } catch (error) {
        first = error;
      }
    }
    throw (
      first ?? new LibError('value', `${op}: there are at most ${Math.max(...forms.map((f) => f.count))} arguments, got ${args.length}.`)
    );
  };
}
