import { LibError, unknownOption } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { isTensor } from '../tensor/tensor.js';

/** An error to make when it is thrown: what is not of one kind may be of the next, and a stack trace takes microseconds. */
export type Complaint = () => LibError;

/**
 * What a value may be, in a small language that scripts/signatures reads from the TypeScript types:
 *
 *   T tensor, M module, n any number, r a number but not NaN, i integer, b boolean, s string, z null, f function, o object,
 *   * anything, <a,b> one of these words, [n] a list, {a:i b!:T} an object with these keys and no others, of which b must be there
 *
 * `|` means or.
 */
export interface Kind {
  readonly says: string;
  /** What is wrong with a value, if anything. */
  problem(op: string, name: string, value: unknown): Complaint | null;
  /** The kinds of an object's keys. */
  readonly keys?: ReadonlyMap<string, Kind>;
}

const simple = (says: string, holds: (value: unknown) => boolean): Kind => {
  const kind: Kind = { says, problem: (op, name, value) => (holds(value) ? null : wrong(op, name, kind, value)) };
  return kind;
};

const isFunction = (v: unknown): boolean => typeof v === 'function';
const isModule = (v: unknown): boolean => isObject(v) && isFunction(v.forward) && isFunction(v.namedParameters);

const atoms: Readonly<Record<string, Kind>> = {
  T: simple('a tensor', isTensor),
  M: simple('a module', isModule),
  n: simple('a number', (v) => typeof v === 'number'),
  r: simple('a number', (v) => typeof v === 'number' && !Number.isNaN(v)),
  i: simple('a whole number', Number.isInteger),
  b: simple('true or false', (v) => typeof v === 'boolean'),
  s: simple('a string', (v) => typeof v === 'string'),
  z: simple('null', (v) => v === null),
  f: simple('a function', isFunction),
  o: simple('an object', isObject),
  '*': simple('anything', () => true),
};

const plural: Readonly<Record<string, string>> = {
  'a tensor': 'tensors',
  'a module': 'modules',
  'a whole number': 'whole numbers',
  'a number': 'numbers',
  'a string': 'strings',
  'a function': 'functions',
  'an object': 'objects',
  options: 'objects',
  null: 'null',
};

/** One of them: `a, b or c`. */
const choice = (words: readonly string[]): string => words.join(', ').replace(/, (?!.*, )/, ' or ');

function isObject(v: unknown): v is Readonly<Record<string, unknown>> {
  return typeof v === 'object' && v !== null;
}
const isList = (v: unknown): v is readonly unknown[] => Array.isArray(v);
/** What is written as { … }: objects of classes may have more fields than anybody asks for. */
function isPlain(v: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(v);
  return prototype === Object.prototype || prototype === null;
}

function oneOf(words: readonly string[]): Kind {
  return simple(choice(words.map((w) => `'${w}'`)), (v) => typeof v === 'string' && words.includes(v));
}

function listOf(element: Kind): Kind {
  const says = element.says.split(/, | or /).map((word) => (word.startsWith('a list') ? 'lists' : (plural[word] ?? word)));
  const kind: Kind = {
    says: `a list of ${choice([...new Set(says)])}`,
    problem(op, name, value) {
      if (!isList(value)) return wrong(op, name, kind, value);
      for (let i = 0; i < value.length; i++) {
        const inside = element.problem(op, element.keys ? `${name}[${i}]` : name, value[i]);
        if (inside !== null) return element.keys ? inside : wrong(op, name, kind, value);
      }
      return null;
    },
  };
  return kind;
}

function either(kinds: readonly Kind[]): Kind {
  const object = kinds.find((k) => k.keys);
  const kind: Kind = {
    says: choice(kinds.map((k) => k.says)),
    problem(op, name, value) {
      if (kinds.some((k) => k.problem(op, name, value) === null)) return null;
      return (object && isObject(value) && isPlain(value) && object.problem(op, name, value)) || wrong(op, name, kind, value);
    },
    ...(object?.keys && { keys: object.keys }),
  };
  return kind;
}

/** Options by name. `name` is that of the argument, or a path inside. */
function objectOf(keys: ReadonlyMap<string, Kind>, required: readonly string[]): Kind {
  const known = [...keys.keys()];
  const problem: Kind['problem'] = (op, name, value) => {
    if (!isObject(value) || isTensor(value) || isList(value)) {
      return () =>
        new LibError('value', `${op}: ${name} must be an object, got ${facts(value)}.`, `options go by name: { ${known[0]}: … }.`);
    }
    const path = name.startsWith('options') ? name.slice('options'.length + 1) : name;
    for (const key in value) {
      const given = value[key];
      if (given === undefined) continue;
      const kind = keys.get(key);
      if (kind === undefined && isPlain(value)) return () => unknownOption(op, key, known, path);
      const inside = kind?.problem(op, path === '' ? key : `${path}.${key}`, given);
      if (inside) return inside;
    }
    const missing = required.find((key) => value[key] === undefined);
    return missing === undefined ? null : wrong(op, path === '' ? missing : `${path}.${missing}`, keys.get(missing) as Kind, undefined);
  };
  return { says: 'options', problem, keys };
}

/** What a value is, for messages. */
export function facts(value: unknown): string {
  if (isTensor(value)) return `a ${value.dtype} tensor of shape ${formatShape(value.shape)}`;
  if (typeof value === 'string') return value.length > 80 ? `'${value.slice(0, 80)}…'` : `'${value}'`;
  if (typeof value === 'function') return value.name ? `the function ${value.name}` : 'a function';
  if (isList(value)) return `[${value.slice(0, 8).map(facts).join(', ')}${value.length > 8 ? ', …' : ''}]`;
  if (isObject(value)) {
    const keys = Object.keys(value).slice(0, 8).join(', ') || 'nothing in it';
    return isPlain(value) ? `an object with ${keys}` : `an object of ${value.constructor?.name || 'some class'}`;
  }
  return value === undefined ? 'nothing' : String(value);
}

const wrong =
  (op: string, name: string, kind: Kind, value: unknown): Complaint =>
  () =>
    new LibError('value', `${op}: ${name} must be ${kind.says === 'options' ? 'an object' : kind.says}, got ${facts(value)}.`);

/** Reads the language. */
export class KindReader {
  private at = 0;
  constructor(private readonly text: string) {}

  get done(): boolean {
    return this.at >= this.text.length;
  }
  /** Goes on behind `mark` if it comes next. */
  skip(mark: string): boolean {
    const isNext = this.text.startsWith(mark, this.at);
    if (isNext) this.at += mark.length;
    return isNext;
  }
  /** What stands before the next of `marks`. */
  until(marks: string): string {
    const from = this.at;
    while (!this.done && !marks.includes(this.text[this.at] as string)) this.at++;
    return this.text.slice(from, this.at);
  }
  kind(): Kind {
    const kinds = [this.one()];
    while (this.skip('|')) kinds.push(this.one());
    return kinds.length === 1 ? (kinds[0] as Kind) : either(kinds);
  }

  private one(): Kind {
    if (this.skip('<')) {
      const words = this.until('>').split(',');
      this.skip('>');
      return oneOf(words);
    }
    if (this.skip('[')) {
      const element = this.kind();
      this.skip(']');
      return listOf(element);
    }
    if (this.skip('{')) return this.object();
    return atoms[this.text[this.at++] as string] as Kind;
  }

  private object(): Kind {
    const keys = new Map<string, Kind>();
    const required: string[] = [];
    while (!this.skip('}')) {
      this.skip(' ');
      const name = this.until('!:');
      if (this.skip('!')) required.push(name);
      this.skip(':');
      keys.set(name, this.kind());
    }
    return objectOf(keys, required);
  }
}
