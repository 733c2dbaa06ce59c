import type { Kernel } from '../kernel.js';
import type { ProgramOperand, Step } from '../program.js';
import type { BufferFacts } from './fuse.js';

/** What the pass has to know beside. */
export interface CommonFacts extends BufferFacts {
  /** The numbers that a step reads, or null if they are others at each run. */
  scalarsOf(step: Step): readonly number[] | null;
  /** Told of each buffer that is not made, and of the one that is read instead. */
  onDropped?(buffer: number, twin: number): void;
}

/**
 * Drops steps that compute again what an earlier step has in a temporary: the same kernel over the same values and numbers. Readers
 * of the later result read the earlier one. Random kernels never repeat.
 */
export function shareCommon<S extends Step>(steps: readonly S[], facts: CommonFacts): S[] {
  const writes = new Map<number, number>();
  for (const { outputs } of steps) for (const { buffer } of outputs) writes.set(buffer, (writes.get(buffer) ?? 0) + 1);
  const isOwn = ({ outputs }: Step): boolean =>
    outputs.every(({ buffer, offset }) => facts.isTemporary(buffer) && offset === 0 && writes.get(buffer) === 1);
  const versions = new Versions(facts);
  const known = new Map<string, S>();
  const moved = new Map<number, number>(); // buffers of dropped results, and those that hold the same
  const kept: S[] = [];
  for (const original of steps) {
    const step = moved.size === 0 ? original : { ...original, inputs: original.inputs.map((x) => redirected(x, moved)) };
    const key = isOwn(step) && step.kernel.family !== 'random' ? keyOf(step, versions, facts) : null;
    const twin = key === null ? undefined : known.get(key);
    if (twin !== undefined) {
      step.outputs.forEach(({ buffer }, i) => {
        const other = (twin.outputs[i] as ProgramOperand).buffer;
        moved.set(buffer, other);
        facts.onDropped?.(buffer, other);
      });
      continue;
    }
    if (key !== null) known.set(key, step);
    kept.push(step);
    for (const { buffer } of step.outputs) versions.bump(buffer);
  }
  return kept;
}

function redirected(x: ProgramOperand, moved: ReadonlyMap<number, number>): ProgramOperand {
  const buffer = moved.get(x.buffer);
  return buffer === undefined ? x : { ...x, buffer };
}

/** How often each buffer was written so far, by itself or through another one. */
class Versions {
  private readonly versions = new Map<number, number>();
  /** Buffers from outside that were read or written. */
  private readonly outside = new Set<number>();
  private readonly brought = new Set<number>();

  constructor(private readonly facts: CommonFacts) {}

  of(buffer: number): number {
    const known = this.versions.get(buffer);
    if (known !== undefined) return known;
    this.versions.set(buffer, 0);
    if (this.facts.isTemporary(buffer)) return 0;
    this.outside.add(buffer);
    if (this.facts.isBrought(buffer)) this.brought.add(buffer);
    return 0;
  }

  /** A write makes every value that may share its bytes another one. */
  bump(buffer: number): void {
    this.versions.set(buffer, this.of(buffer) + 1);
    if (this.facts.isTemporary(buffer)) return;
    const others = this.facts.isBrought(buffer) ? this.outside : this.brought;
    for (const other of others) if (other !== buffer && this.facts.mayMeet(other, buffer)) this.versions.set(other, this.of(other) + 1);
  }
}

function keyOf(step: Step, versions: Versions, facts: CommonFacts): string | null {
  const scalars = facts.scalarsOf(step);
  if (scalars === null) return null;
  const inputs = step.inputs.map(({ buffer, spec, offset }) => {
    return `${buffer}.${versions.of(buffer)}.${spec.id}.${offset}`;
  });
  return `${kernelKey(step.kernel)}|${inputs}|${step.outputs.map(({ spec }) => spec.id)}|${scalars}`;
}

const keys = new WeakMap<Kernel, string>();

/** Equal for kernels that do the same; expressions are interned, and stand for themselves by their ids. */
function kernelKey(kernel: Kernel): string {
  let key = keys.get(kernel);
  if (key === undefined) {
    key = JSON.stringify(kernel, (_, value: unknown) => {
      if (typeof value === 'number') return Object.is(value, -0) ? '-0' : Number.isFinite(value) ? value : `${value}`;
      return typeof value === 'object' && value !== null && 'node' in value && 'id' in value ? value.id : value;
    });
    keys.set(kernel, key);
  }
  return key;
}
