import { type CallCheck, callCheck } from './checkCall.js';

/**
 * The border of the library. What a program imports from an entry is held to its TypeScript types here, once, and everything inside
 * calls freely: the compiler has checked it. dist/checked has such an entry for each of ours (scripts/signatures.mjs makes them);
 * package.json chooses it for Node and for pages in development.
 */

/** Signatures by exported name; a method's is under `Class.method`, or `Class.static.method`; a namespace has a table of its own. */
export interface Signatures {
  readonly [name: string]: string | Signatures;
}
type Exports = Readonly<Record<string, unknown>>;
type Callable = (...args: unknown[]) => unknown;
type Class = new (...args: unknown[]) => object;

/** An export that two entries share is one thing in both. */
const held = new WeakMap<object, unknown>();

/** The exports of an entry or namespace, each held to its signature if it has one. */
export function hold<E extends object>(exports: E, signatures: Signatures): E {
  const out: Record<string, unknown> = { ...(exports as Exports) };
  for (const [name, value] of Object.entries(exports as Exports)) {
    const signature = Object.hasOwn(signatures, name) ? signatures[name] : undefined;
    if (typeof signature === 'object') out[name] = hold(value as object, signature);
    else if (signature !== undefined) out[name] = once(value as object, () => holdOne(name, value as Callable, signature));
  }
  for (const [path, signature] of Object.entries(signatures)) {
    const [name, ...place] = path.split('.');
    if (place.length > 0) holdMethod(exports[name as keyof E] as Class, place, callCheck(place.at(-1) as string, signature as string));
  }
  return Object.freeze(out) as E;
}

function once(value: object, make: () => unknown): unknown {
  if (!held.has(value)) held.set(value, make());
  return held.get(value);
}

const isClass = (value: Callable): boolean => /^class\b/.test(Function.prototype.toString.call(value));

function holdOne(name: string, value: Callable, signature: string): unknown {
  const check = callCheck(name, signature);
  return isClass(value) ? holdClass(value as unknown as Class, check) : holdFunction(value, check);
}

/** The same class, but `new` looks at its arguments. Classes that extend it answer for what they pass on. */
function holdClass(value: Class, check: CallCheck): Class {
  const guarded: Class = new Proxy(value, {
    construct(target, args: unknown[], made) {
      if (made === guarded) check(args);
      return Reflect.construct(target, args, made) as object;
    },
  });
  Object.defineProperty(value.prototype, 'constructor', { configurable: true, writable: true, value: guarded });
  return guarded;
}

function holdFunction(value: Callable, check: CallCheck): Callable {
  const guarded = /^async\b/.test(Function.prototype.toString.call(value))
    ? async (...args: unknown[]): Promise<unknown> => {
        check(args);
        return value(...args);
      }
    : (...args: unknown[]): unknown => {
        check(args);
        return value(...args);
      };
  return Object.defineProperties(guarded, Object.getOwnPropertyDescriptors(value));
}

function holdMethod(owner: Class, place: readonly string[], check: CallCheck): void {
  const name = place.at(-1) as string;
  let home: object = place[0] === 'static' ? owner : (owner.prototype as object);
  while (!Object.hasOwn(home, name)) home = Object.getPrototypeOf(home) as object;
  const found = Object.getOwnPropertyDescriptor(home, name) as TypedPropertyDescriptor<Callable>;
  const method = found.value as Callable;
  if (held.has(method)) return;
  const value = function (this: unknown, ...args: unknown[]): unknown {
    check(args);
    return method.apply(this, args);
  };
  held.set(value, method);
  Object.defineProperty(home, name, { ...found, value: Object.defineProperties(value, Object.getOwnPropertyDescriptors(method)) });
}
