import { LibError } from '../core/errors.js';
import type { Spec } from '../core/spec.js';
import type { Storage } from '../program/backend.js';
import type { Device } from './device.js';
import { type GradHook, Tensor } from './tensor.js';

/** Where a gradient goes: to an output of an earlier step, or into the `.grad` of a leaf. */
export interface Edge {
  readonly node: GradNode | null;
  readonly output: number;
  readonly leaf: Tensor | null;
}

/** What a gradient rule sees. Values that the step did not save can be asked for their spec only. */
export interface GradContext<P> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** The first (usually only) output. */
  readonly output: Tensor;
  readonly params: P;
  readonly scalars: readonly number[];
  /** Which inputs somebody wants a gradient for: rules may skip the others. */
  readonly needs: readonly boolean[];
}

/** From gradients of the outputs (null: nothing arrived) to gradients of the inputs. Linear in the former, written in ops. */
export type GradRule<P> = (gradOutputs: readonly (Tensor | null)[], context: GradContext<P>) => readonly (Tensor | null)[];

/** The storage of values that were not saved. Executors refuse it. */
export const UNSAVED: Storage = { byteLength: 0, version: -1 };

/** The immutable facts of a recorded step. */
export interface Recording<P> {
  readonly name: string;
  readonly rule: GradRule<P>;
  readonly params: P;
  readonly scalars: readonly number[];
  readonly inputSpecs: readonly Spec[];
  readonly outputSpecs: readonly Spec[];
  readonly device: Device;
  /** Written by the user: its gradient rule may keep what it is given, so nothing is recycled behind its back. */
  readonly foreign: boolean;
}

let sequence = 0;
/** @internal The number that the next recorded step will have. */
export const nextSequence = (): number => sequence;

let running: GradNode | null = null;
/** @internal The step whose gradient rule is running, for tools that look at what it computes. */
export const runningNode = (): GradNode | null => running;

/** One recorded step: how to turn gradients of its outputs into gradients of its inputs, and where those go. */
export class GradNode {
  /** Later steps have higher numbers; edges only lead to lower ones, so sorting by it is a topological order. */
  readonly sequence: number = sequence++;
  /** Hooks of the outputs; made when the first is registered. */
  hooks: Set<GradHook>[] | null = null;
  private readonly versions: number[] = [];

  /** @internal `saved` holds inputs, then outputs; null where the rule does not need the value. */
  constructor(
    readonly recording: Recording<unknown>,
    readonly edges: readonly (Edge | null)[],
    private saved: readonly (Tensor | null)[] | null,
  ) {
    if (saved !== null) for (let i = 0; i < saved.length; i++) this.versions.push(saved[i]?.storage.version ?? 0);
  }

  get name(): string {
    return this.recording.name;
  }

  /** The values that this step keeps alive until backward has passed. */
  savedTensors(): Tensor[] {
    return (this.saved ?? []).filter((t) => t !== null);
  }

  hooksOf(output: number): Set<GradHook> {
    this.hooks ??= this.recording.outputSpecs.map(() => new Set<GradHook>());
    return this.hooks[output] ?? new Set();
  }

  backward(gradOutputs: readonly (Tensor | null)[]): readonly (Tensor | null)[] {
    const before = running;
    running = this;
    try {
      return this.recording.rule(gradOutputs, this.context());
    } finally {
      running = before;
    }
  }

  /** @internal What the rule sees: saved values, checked to be unchanged, and stand-ins for the rest. */
  context(): GradContext<unknown> {
    const { inputSpecs, outputSpecs, params, scalars } = this.recording;
    const inputs = inputSpecs.map((spec, i) => this.restore(i, spec));
    const outputs = outputSpecs.map((spec, i) => this.restore(inputSpecs.length + i, spec));
    return { inputs, outputs, output: outputs[0] as Tensor, params, scalars, needs: this.edges.map((e) => e !== null) };
  }

  private restore(i: number, spec: Spec): Tensor {
    if (this.saved === null) {
      throw new LibError(
        'grad',
        `backward: a graph can be walked once, got a second pass through ${this.name}, whose saved values are released.`,
        'pass { retainGraph: true } to the first backward.',
      );
    }
    const saved = this.saved[i] ?? null;
    if (saved === null) return new Tensor(spec, UNSAVED, 0, this.recording.device);
    const writes = saved.storage.version - (this.versions[i] ?? 0);
    if (writes !== 0) {
      throw new LibError(
        'grad',
        `backward: values saved by ${this.name} must not change before backward, got ${writes} write(s) in place.`,
        'use the op without underscore, or clone() the value first.',
      );
    }
    return saved;
  }

  /** Drops what was saved: the step cannot be walked again. */
  release(): void {
    this.saved = null;
  }
}
