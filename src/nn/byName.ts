/** Options that may also come in order, as numbers: `(0.2)`, `(2, 10)` or `({ beta: 2 })`. */
export function byName<T extends object>(
  names: readonly (keyof T & string)[],
  first: number | T | undefined,
  ...rest: readonly unknown[]
): T {
  if (typeof first === 'object') return first;
  return Object.fromEntries([first, ...rest].map((value, i) => [names[i], value])) as T;
}
