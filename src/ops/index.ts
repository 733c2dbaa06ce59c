import { callCheckOf } from '#calls';
import { tables } from '#tables';
import { installFormat } from '../tensor/format.js';
import { Tensor } from '../tensor/tensor.js';
import * as assign from './assign.js';
import * as cast from './cast.js';
import type { CallCheck } from './checkCall.js';
import type { AnyRow } from './define.js';
import type { InPlace } from './elementwise.js';
import * as fresh from './fresh.js';
import * as graph from './graph.js';
import * as inPlace from './inPlace.js';
import * as numeric from './numeric.js';
import { over } from './over.js';
import * as overwritable from './overwritable.js';
import type * as pointwise from './pointwiseRows.js';
import * as random from './random.js';
import * as structural from './structural.js';

/**
 * The table of ops. Table files export functions whose first argument is a tensor and nothing else (helpers live in files of their
 * own), for every export is also a method: `relu(x)` and `x.relu()` are one definition.
 */
export const methods: typeof numeric &
  typeof cast &
  typeof random &
  typeof graph &
  typeof assign &
  typeof inPlace &
  typeof fresh &
  typeof structural = {
  ...numeric,
  ...cast,
  ...random,
  ...graph,
  ...assign,
  ...inPlace,
  ...fresh,
  ...structural,
};

const overwriting: typeof overwritable = {
  ...overwritable,
};

type MethodOf<F> = 'asMethod' extends keyof F ? NonNullable<F['asMethod']> : PlainMethodOf<F>;
type PlainMethodOf<F> = F extends (x: Tensor, ...rest: infer Rest) => infer R ? (...rest: Rest) => R : never;
type Table = typeof methods;
type InPlaceTable = typeof pointwise & typeof overwritable;

export type Methods = { readonly [K in keyof Table]: MethodOf<Table[K]> } & {
  /** Like the function without underscore, but written over this tensor, whose shape and type stay. */
  readonly [K in keyof InPlaceTable as `${K}_`]: PlainMethodOf<InPlaceTable[K]>;
};

type Callable = (x: Tensor, ...rest: unknown[]) => unknown;

/** Hangs the table on Tensor's prototype. Runs once, when the package is imported. */
export function installMethods(): void {
  installFormat();
  holdToSignatures();
  for (const [name, op] of Object.entries<unknown>(methods)) {
    const { inPlace, row } = op as Partial<InPlace> & { readonly row?: AnyRow };
    const check = row === undefined ? callCheckOf(name) : null;
    defineMethod(name, check === null ? (op as Callable) : checkedBy(check, op as Callable));
    if (inPlace) defineMethod(`${name}_`, checkedBy(row?.check ?? null, inPlace as Callable));
  }
  for (const [name, op] of Object.entries<unknown>(overwriting)) defineMethod(`${name}_`, over(name, op as Callable));
}

const checkedBy =
  (check: CallCheck | null, call: Callable): Callable =>
  (...args) => {
    check?.(args);
    return call(...args);
  };

/** From here on, the public ops check what they are given. */
function holdToSignatures(): void {
  for (const op of [methods, ...tables].flatMap((table) => Object.values<unknown>(table))) {
    const { row } = op as { readonly row?: AnyRow };
    if (row) row.check = callCheckOf(row.name);
  }
}

function defineMethod(name: string, op: Callable): void {
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    value(this: Tensor, ...rest: unknown[]) {
      return op(this, ...rest);
    },
  });
}
