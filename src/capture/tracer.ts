import { internal, LibError } from '../core/errors.js';
import { checkSupported, type Executor, isGradEnabled, type Plan } from '../ops/apply.js';
import type { LiveScalars } from '../ops/define.js';
import type { Backend, Storage } from '../program/backend.js';
import type { ProgramOperand, Step } from '../program/program.js';
import { BatchedStorage } from '../tensor/batched.js';
import { type Capture, leaked, SymbolicStorage } from '../tensor/capturing.js';
import type { DrawListener, Generator } from '../tensor/generator.js';
import { nextSequence, UNSAVED } from '../tensor/graph.js';
import { Tensor } from '../tensor/tensor.js';

/** A step that knows which op it came from, for errors. */
export interface TracedStep extends Step {
  readonly name: string;
  /** How many numbers it reads, from `scalarBase` on. */
  readonly scalars: number;
  /** Work is shared within a region: 0, or the number of a repetition. */
  readonly region: number;
}

/** How a captured function used the `.grad` of a tensor from outside. */
export interface GradUse {
  /** What was there when the function began. */
  readonly entry: Tensor | null;
  /** Whether the function read it, or replaced it unseen. */
  readonly read: boolean;
}

/** Numbers that a draw from a generator is: both halves of the key, and the position. */
const DRAWN = 3;

/** Writes down what a function does: the second executor. */
export class Tracer implements Executor, Capture {
  readonly steps: TracedStep[] = [];
  /** The storages behind the program's buffers. */
  readonly buffers: Storage[] = [];
  readonly scalars: number[] = [];
  /** Positions of the scalars that are written anew before each run. */
  readonly live: Set<number> = new Set();
  /** What later runs do first, in order: draw random numbers, count steps, write the scalars that have changed. */
  readonly replays: ((scalars: number[]) => void)[] = [];
  readonly guards: Map<object, () => boolean> = new Map();
  readonly grads: Map<Tensor, GradUse> = new Map();
  /** Whether tensors from outside required gradients. */
  readonly leaves: Map<Tensor, boolean> = new Map();
  /** How often each storage from outside was written. */
  readonly writes: Map<Storage, number> = new Map();
  device: Backend | null = null;
  private readonly numbers = new Map<Storage, number>();
  private readonly gradMode = isGradEnabled();
  private readonly firstNode = nextSequence();
  private region = 0;
  private regions = 0;
  private draw: readonly [Generator, number] | null = null;

  /** `inputs` stand for the arguments. */
  constructor(private readonly inputs: readonly Tensor[]) {
    for (const { storage } of inputs) this.numberOf(storage);
  }

  run(plan: Plan, inputs: readonly Tensor[], scalars: readonly number[], into?: readonly Tensor[], live?: LiveScalars): Tensor[] {
    checkSupported(plan);
    this.device ??= plan.device;
    if (plan.device !== this.device) {
      throw new LibError(
        'device',
        `compile: all steps must run on one device, got ${plan.name} on ${plan.device.name} after ${this.device.name}.`,
      );
    }
    const results = plan.outputs.map((spec, i) => into?.[i] ?? new Tensor(spec, this.allocate(spec.bytes), 0, plan.device));
    for (const t of inputs) this.checkInput(plan.name, t);
    for (const t of into ?? []) this.countWrite(plan.name, t);
    const at = scalars.length === 0 ? 0 : this.scalars.length;
    for (const s of scalars) this.scalars.push(s);
    if (live !== undefined) {
      this.replays.push((out) => live(out, at));
      for (let i = 0; i < scalars.length; i++) this.live.add(at + i);
    }
    if (plan.kernel.family === 'random') this.recordDraw(at);
    this.steps.push({
      name: plan.name,
      kernel: plan.kernel,
      inputs: inputs.map((t) => this.operand(t)),
      outputs: results.map((t) => this.operand(t)),
      scalarBase: at,
      scalars: scalars.length,
      region: this.region,
    });
    return results;
  }

  allocate(bytes: number): SymbolicStorage {
    const storage = new SymbolicStorage(bytes);
    this.numberOf(storage);
    return storage;
  }

  readsGrad(t: Tensor, entry: Tensor | null): void {
    if (this.isOutside(t) && !this.grads.has(t)) this.grads.set(t, { entry, read: true });
  }
  setsGrad(t: Tensor, entry: Tensor | null): void {
    if (this.isOutside(t) && !this.grads.has(t)) this.grads.set(t, { entry, read: false });
  }
  guard(owner: object, holds: () => boolean): void {
    if (!this.guards.has(owner)) this.guards.set(owner, holds);
  }
  onReplay(again: () => void): void {
    this.replays.push(again);
  }
  repeats(): () => void {
    const outer = this.region;
    this.region = ++this.regions;
    return () => {
      this.region = outer;
    };
  }
  /** Random numbers that a kernel is about to make. */
  readonly drawListener: DrawListener = (generator, blocks) => {
    this.draw = [generator, blocks];
  };

  operand({ storage, spec, offset }: Tensor): ProgramOperand {
    return { buffer: this.numberOf(storage), spec, offset };
  }
  numberOf(storage: Storage): number {
    const known = this.numbers.get(storage);
    if (known !== undefined) return known;
    this.numbers.set(storage, this.buffers.length);
    return this.buffers.push(storage) - 1;
  }
  /** Whether the program itself makes this storage. */
  isMade(storage: Storage): boolean {
    return storage instanceof SymbolicStorage && !this.isArgument(storage);
  }
  private isArgument(storage: Storage): boolean {
    return (this.numbers.get(storage) ?? this.inputs.length) < this.inputs.length;
  }
  private isOutside(t: Tensor): boolean {
    return !(t.storage instanceof SymbolicStorage || t.storage instanceof BatchedStorage) || this.inputs.includes(t);
  }

  private recordDraw(at: number): void {
    if (this.draw === null) throw internal('a random kernel without a draw');
    const [generator, blocks] = this.draw;
    this.draw = null;
    for (let i = 0; i < DRAWN; i++) this.live.add(at + i);
    this.replays.push((out) => {
      const drawn = generator.draw(blocks);
      for (let i = 0; i < drawn.length; i++) out[at + i] = drawn[i] as number;
    });
  }

  private checkInput(op: string, t: Tensor): void {
    const { storage } = t;
    if (storage === UNSAVED) throw internal(`${op} was given a value that its op did not save`);
    this.checkOwn(op, storage);
    // Also under noGrad, for rows with a rule of their own compute without recording.
    if (!this.gradMode) return;
    const base = t.viewOf ?? t;
    if (base.node !== null && base.node.sequence < this.firstNode) throw partOfGraph(base.node.name);
    if (base.node === null && this.isOutside(base) && !this.leaves.has(base)) this.leaves.set(base, base.requiresGrad);
  }

  private countWrite(op: string, { storage }: Tensor): void {
    this.checkOwn(op, storage);
    storage.version++;
    if (!this.isMade(storage)) this.writes.set(storage, (this.writes.get(storage) ?? 0) + 1);
  }

  private checkOwn(op: string, storage: Storage): void {
    if (storage instanceof SymbolicStorage && !this.numbers.has(storage)) throw leaked(op);
  }
}

/** Gradients end at a compiled function's edge. */
export const partOfGraph = (maker: string): LibError =>
  new LibError(
    'capture',
    `compile: tensors from outside must not be part of a graph, got one that ${maker} made.`,
    'detach() it, or compute it inside the compiled function.',
  );
