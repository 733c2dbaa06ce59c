import type { Op } from '../ops/define.js';

/** Any op, whatever its arguments: what the generated suites are about. */
export type AnyOp = Op<never[], unknown>;

const isOp = (value: unknown): value is AnyOp => typeof value === 'function' && 'row' in value;

/** Every op among the exports of the given modules, each once, by name. */
export function opsIn(...modules: readonly object[]): AnyOp[] {
  const found = new Set(modules.flatMap((module) => Object.values<unknown>(module as Readonly<Record<string, unknown>>)).filter(isOp));
  return [...found].sort((a, b) => (a.row.name < b.row.name ? -1 : 1));
}
