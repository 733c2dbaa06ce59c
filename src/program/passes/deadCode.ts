import type { Step } from '../program.js';

/** Steps without those that nobody reads from. Buffers for which `isKept` holds are read after the program. */
export function removeDeadCode<S extends Step>(steps: readonly S[], isKept: (buffer: number) => boolean): S[] {
  const read = new Set<number>();
  const alive: S[] = [];
  for (const step of steps.toReversed()) {
    if (!step.outputs.some(({ buffer }) => isKept(buffer) || read.has(buffer))) continue;
    for (const { buffer } of step.inputs) read.add(buffer);
    alive.push(step);
  }
  return alive.reverse();
}
