import { cached } from '../core/cache.js';
import { dtypes } from '../core/dtype.js';
import { KernelError } from '../core/errors.js';
import { isGradEnabled, named } from '../ops/apply.js';
import { autocastDtype } from '../ops/autocast.js';
import type { Executable, Storage } from '../program/backend.js';
import type { GemmKernel, LoopKernel, MapKernel, ProductKernel } from '../program/kernel.js';
import { lifetimesOf, planArena } from '../program/passes/arena.js';
import { batchUpdates } from '../program/passes/batch.js';
import { shareCommon } from '../program/passes/common.js';
import { removeDeadCode } from '../program/passes/deadCode.js';
import { attachEpilogues } from '../program/passes/epilogues.js';
import { type BufferFacts, fusePointwise, repeatCheap } from '../program/passes/fuse.js';
import { gatherLoops } from '../program/passes/loops.js';
import { narrowInProducts } from '../program/passes/narrow.js';
import { writeInPlace } from '../program/passes/place.js';
import { rematerialize } from '../program/passes/rematerialize.js';
import { widenProducts } from '../program/passes/widen.js';
import type { Program, ProgramOperand } from '../program/program.js';
import { getDefaultDtype } from '../tensor/creation.js';
import { type Device, defaultDevice } from '../tensor/device.js';
import { replacements } from '../tensor/replace.js';
import { Tensor } from '../tensor/tensor.js';
import { replaceLeaves, sameStructure } from '../tensor/tree.js';
import { isPlace, Layout, type Leaf, type Place, type Source } from './layout.js';
import type { MemoryProfile } from './profile.js';
import type { SharedMemory } from './shared.js';
import { runSingly, type Watch } from './singly.js';
import type { TracedStep, Tracer } from './tracer.js';

/** What a capture found: the steps, the stand-ins of the arguments, and what the function returned. */
export interface Trace {
  readonly tracer: Tracer;
  readonly args: unknown;
  readonly inputs: readonly Tensor[];
  readonly result: unknown;
}

interface GradEntry {
  readonly leaf: Leaf;
  /** null: there must be none. */
  readonly entry: Pick<Tensor, 'spec' | 'offset'> | null;
}

export interface ReplayOptions {
  /** Let values skip memory where they can. */
  readonly fuse: boolean;
  /** Bytes that temporaries may take. */
  readonly memoryBudget?: number;
  /** Another replay of the same trace, whose layout this one shares. */
  readonly like?: Replay;
}

/**
 * How a run keeps books. `again`: as the function would. `first`: right after the capture, which has done most of it.
 * `trial`: not at all, and the caller puts back what the program writes.
 */
export type RunMode = 'again' | 'first' | 'trial';

/** One program of a compiled function, and the conditions under which it is right. */
export class Replay {
  readonly steps: readonly TracedStep[];
  readonly arenaBytes: number;
  /** What it was made from, while that is still to be compared. */
  trace: Trace | null = null;
  private readonly args: unknown;
  private readonly inputs: readonly Tensor[];
  private readonly replays: readonly ((scalars: number[]) => void)[];
  private readonly program: Program;
  private readonly executable: Executable | null;
  /** An executable for each step, once they are wanted. */
  private singles: readonly Executable[] | null = null;
  private readonly layout: Layout;
  readonly device: Device;
  private readonly gradMode = isGradEnabled();
  private readonly defaults = [defaultDevice(), getDefaultDtype(), autocastDtype()] as const;
  private readonly guards: readonly (() => boolean)[];
  /** Bytes of tensors from outside that were replaced since are no longer theirs. */
  private readonly replaced = replacements();
  // Objects, not pairs, and `every`: V8's middle compiler makes objects for what iterates, 400 bytes to take a pair apart, at every replay.
  private readonly leaves: readonly { readonly leaf: Tensor; readonly required: boolean }[];
  private readonly gradEntries: readonly GradEntry[];
  private readonly writes: readonly { readonly buffer: number; readonly times: number }[];
  /** Buffers of the trace that are not made, for another one holds the same. */
  readonly twins: ReadonlyMap<number, number>;
  /** Where the program has the buffers of the trace. */
  private readonly positions: ReadonlyMap<number, number>;
  /** Buffers that are others in each run. */
  private readonly varying: readonly number[];
  /** By number in the trace. */
  private readonly storages: (Storage | null)[];
  private readonly offsets: number[];
  private readonly buffers: Storage[];
  private readonly bufferOffsets: number[];
  private readonly scalars: number[];

  constructor(
    { tracer, args, inputs, result }: Trace,
    private readonly memory: SharedMemory,
    { fuse, like, memoryBudget = Number.POSITIVE_INFINITY }: ReplayOptions,
  ) {
    this.args = args;
    this.inputs = inputs;
    this.replays = tracer.replays;
    this.device = tracer.device ?? defaultDevice();
    this.layout = like?.layout ?? new Layout(tracer, inputs, this.device, memory.homes, result);
    const { sources } = this.layout;
    const isTemporary = (b: number): boolean => sources[b]?.kind === 'temporary';
    const needed = removeDeadCode(this.layout.steps, (b) => !isTemporary(b));
    const mayMeet = (a: number, b: number): boolean => this.layout.mayMeet(a, b);
    const facts: BufferFacts = { isTemporary, mayMeet, isBrought: (b) => this.layout.isBrought(b) };
    const twins = new Map<number, number>();
    this.twins = twins;
    const shorter = fuse ? optimized(needed, tracer, facts, (b, twin) => void twins.set(b, twin)) : needed;
    const newBuffer = (bytes: number): number => this.layout.addTemporary(bytes);
    const lean = rematerialize(shorter, memoryBudget, { sizeOf: (b) => this.temporaryBytes(b), mayMeet, newBuffer });
    const looped = fuse && this.device.supports(anyLoop, []) ? gatherLoops(lean, facts) : lean;
    const joins = fuse && this.device.supports(anyProduct, []);
    const grown = joins ? narrowInProducts(widenProducts(attachEpilogues(looped, facts), facts), facts) : looped;
    this.steps = fuse ? writeInPlace(grown, { isTemporary }) : grown;
    const arena = planArena(this.steps, (b) => this.temporaryBytes(b));
    this.arenaBytes = arena.bytes;
    const { program, positions } = numbered(this.steps, arena.offsets, tracer.scalars.length);
    this.positions = positions;
    this.program = program;
    this.executable = this.steps.length === 0 ? null : this.device.compile(program);
    this.scalars = [...tracer.scalars];
    this.guards = [...tracer.guards.values()];
    this.leaves = [...tracer.leaves].flatMap(([leaf, required]) => (inputs.includes(leaf) ? [] : [{ leaf, required }]));
    this.gradEntries = [...tracer.grads].flatMap(([t, { entry, read }]) =>
      read ? [{ leaf: this.layout.leafOf(t), entry: entry && { spec: entry.spec, offset: entry.offset } }] : [],
    );
    for (const x of inputs) x.grad = null;
    this.writes = [...tracer.writes].map(([storage, times]) => ({ buffer: tracer.numberOf(storage), times }));
    this.storages = sources.map((s) => (s.kind === 'fixed' ? s.storage : null));
    this.offsets = sources.map(() => 0);
    this.varying = [...sources.keys()].filter((i) => !['fixed', 'temporary'].includes(sources[i]?.kind ?? ''));
    this.buffers = Array.from({ length: program.buffers }, () => NOTHING);
    this.bufferOffsets = this.buffers.map(() => 0);
    for (const [number, position] of positions) this.buffers[position] = this.storages[number] ?? NOTHING;
  }

  /** Whether this program is what the function would do with these arguments now. */
  matches(args: unknown, tensors: readonly Tensor[]): boolean {
    const { inputs } = this;
    const [device, dtype, cast] = this.defaults;
    if (tensors.length !== inputs.length || this.gradMode !== isGradEnabled() || this.replaced !== replacements()) return false;
    if (device !== defaultDevice() || dtype !== getDefaultDtype() || cast !== autocastDtype()) return false;
    for (let i = 0; i < inputs.length; i++) {
      const [t, x] = [tensors[i] as Tensor, inputs[i] as Tensor];
      if (t.spec !== x.spec || t.device !== x.device || (t.requiresGrad && this.gradMode) !== x.requiresGrad) return false;
    }
    if (!sameStructure(args, this.args) || !this.guards.every((holds) => holds())) return false;
    if (!this.leaves.every(({ leaf, required }) => leaf.requiresGrad === required)) return false;
    return this.gradEntries.every(({ leaf, entry }) => {
      const { grad } = leafIn(leaf, tensors);
      return grad?.spec === entry?.spec && (grad === null || grad.offset === entry?.offset);
    });
  }

  /** With `watch`, the program runs kernel by kernel. */
  run(tensors: readonly Tensor[], mode: RunMode = 'again', watch?: Watch): unknown {
    if (mode === 'again') for (const again of this.replays) again(this.scalars);
    this.bind(tensors);
    if (watch === undefined) this.execute();
    else
      runSingly(
        this.device,
        this.steps,
        this.program.steps,
        { buffers: this.buffers, offsets: this.bufferOffsets, scalars: this.scalars },
        watch,
      );
    if (mode !== 'trial') this.keepBooks(tensors, mode === 'first');
    const result = replaceLeaves(this.layout.result, isPlace, (place) => this.tensorAt(place, tensors));
    this.unbind();
    return result;
  }

  /** Runs the program one kernel at a time, as one more call. */
  runTimed(tensors: readonly Tensor[], tell: (step: number, ms: number) => void): void {
    this.singles ??= this.program.steps.map((step) => this.device.compile({ ...this.program, steps: [step] }));
    for (const again of this.replays) again(this.scalars);
    this.bind(tensors);
    this.singles.forEach((single, i) => {
      const started = performance.now();
      single.run(this.buffers, this.bufferOffsets, this.scalars);
      tell(i, performance.now() - started);
    });
    this.keepBooks(tensors, false);
    this.unbind();
  }

  /** Bytes by where they live, and the temporaries at the step where most are alive. */
  memoryProfile(): MemoryProfile {
    const sum = (kind: Source['kind']): number =>
      this.layout.sources.reduce((n, s, i) => {
        if (s.kind !== kind || !this.positions.has(i)) return n;
        return n + (s.kind === 'fixed' ? s.storage.byteLength : s.kind === 'argument' ? (this.inputs[s.index]?.spec.bytes ?? 0) : 0);
      }, 0);
    const all = [...lifetimesOf(this.steps, (b) => this.temporaryBytes(b))].map(([buffer, { first, last }]) => {
      const life = { name: this.steps[first]?.name ?? '', bytes: this.temporaryBytes(buffer) ?? 0 };
      return { ...life, firstStep: first + 1, lastStep: last + 1 };
    });
    const aliveAt = (step: number) => all.filter((l) => l.firstStep <= step && step <= l.lastStep);
    const bytesAt = this.steps.map((_, i) => aliveAt(i + 1).reduce((n, l) => n + l.bytes, 0));
    const peakStep = bytesAt.indexOf(Math.max(...bytesAt)) + 1;
    const atPeak = aliveAt(peakStep).sort((a, b) => b.bytes - a.bytes);
    return { arena: this.arenaBytes, fixed: sum('fixed'), arguments: sum('argument'), peakStep, atPeak };
  }

  private temporaryBytes(buffer: number): number | undefined {
    const source = this.layout.sources[buffer];
    return source?.kind === 'temporary' ? source.bytes : undefined;
  }

  private keepBooks(tensors: readonly Tensor[], first: boolean): void {
    for (const { buffer, times } of this.writes) {
      // A capture has counted its writes, but to the stand-ins of the arguments.
      if (!first || this.layout.sources[buffer]?.kind === 'argument') (this.storages[buffer] as Storage).version += times;
    }
    for (const { leaf, grad } of this.layout.exits) {
      leafIn(leaf, tensors).grad = isPlace(grad) ? this.tensorAt(grad, tensors) : grad;
      if (grad !== null && !isPlace(grad)) grad.storage.version++;
    }
  }

  /** Tensors from outside, or left for it, that a run writes to, and the op that does so last. */
  writtenTensors(tensors: readonly Tensor[]): { readonly tensor: Tensor; readonly by: string }[] {
    const written = new Map<string, { readonly tensor: Tensor; readonly by: string }>();
    for (const { name, outputs } of this.layout.steps) {
      for (const { buffer, spec, offset } of outputs) {
        const place = this.outsideOf(buffer, tensors);
        if (place === null) continue;
        written.set(`${buffer} ${spec.id} ${offset}`, {
          tensor: new Tensor(spec, place.storage, offset + place.shift, this.device),
          by: name,
        });
      }
    }
    return [...written.values()];
  }

  private outsideOf(buffer: number, tensors: readonly Tensor[]): { readonly storage: Storage; readonly shift: number } | null {
    const source = this.layout.sources[buffer];
    if (source?.kind === 'fixed') return { storage: source.storage, shift: 0 };
    if (source?.kind === 'grad') return { storage: (leafIn(source.of, tensors).grad as Tensor).storage, shift: 0 };
    if (source?.kind !== 'argument') return null;
    const { storage, offset } = tensors[source.index] as Tensor;
    return { storage, shift: offset };
  }

  /** Fills in what differs from run to run. */
  private bind(tensors: readonly Tensor[]): void {
    for (const number of this.varying) {
      const source = this.layout.sources[number] as Source;
      if (source.kind === 'fresh') this.storages[number] = this.device.allocate(source.bytes);
      else if (source.kind === 'argument') this.bindTo(number, tensors[source.index] as Tensor, true);
      else if (source.kind === 'grad') this.bindTo(number, leafIn(source.of, tensors).grad as Tensor, false);
      const position = this.positions.get(number);
      if (position === undefined) continue;
      this.buffers[position] = this.storages[number] as Storage;
      this.bufferOffsets[position] = this.offsets[number] as number;
    }
    if (this.arenaBytes > 0) this.buffers[0] = this.memory.arena(this.device, this.arenaBytes);
  }

  /** Operands of an argument count from its first element, those of a gradient from the start of its storage. */
  private bindTo(number: number, { storage, offset, dtype }: Tensor, shifted: boolean): void {
    this.storages[number] = storage;
    if (shifted) this.offsets[number] = offset * dtypes[dtype].bytes;
  }

  /** What a run was given and gave out belongs to the caller alone. */
  private unbind(): void {
    for (const number of this.varying) {
      this.storages[number] = null;
      const position = this.positions.get(number);
      if (position !== undefined) this.buffers[position] = NOTHING;
    }
  }

  private execute(): void {
    try {
      this.executable?.run(this.buffers, this.bufferOffsets, this.scalars);
    } catch (error) {
      this.unbind();
      throw error instanceof KernelError ? named(this.suspects(error), error) : error;
    }
  }

  /** Ops whose kernels can meet bad indices, or bad matrices. */
  private suspects({ code }: KernelError): string {
    const blamed = ({ kernel }: TracedStep): boolean =>
      code === 'index' ? kernel.family === 'gather' || kernel.family === 'scatter' : 'strict' in kernel && kernel.strict === true;
    const found = this.steps.filter(blamed).map((s) => s.name);
    return [...new Set(found)].join(' or ') || 'compile';
  }

  private tensorAt({ source, spec, offset, whole }: Place, tensors: readonly Tensor[]): Tensor {
    const from = this.layout.sources[source];
    if (from?.kind !== 'argument') return new Tensor(spec, this.storages[source] as Storage, offset, this.device);
    const argument = tensors[from.index] as Tensor;
    if (whole) return argument;
    const view = new Tensor(spec, argument.storage, argument.offset + offset, this.device);
    view.viewOf = argument.viewOf ?? argument;
    return view;
  }
}

const anyLoop: LoopKernel = { family: 'loop', count: 0, steps: [], views: [], scratch: 0 };
const anyGemm: GemmKernel = { family: 'gemm', views: 'dense', bias: false };
const anyMap: MapKernel = { family: 'map', exprs: [], compute: 'float32' };
const anyProduct: ProductKernel = { family: 'product', product: anyGemm, shape: [], epilogue: anyMap, input: 0, kept: true };

/** The passes between a trace and the arena. */
function optimized(
  steps: readonly TracedStep[],
  { scalars, live }: Tracer,
  facts: BufferFacts,
  onDropped: (buffer: number, twin: number) => void,
): TracedStep[] {
  const numbers = ({ scalarBase, scalars: count, region }: TracedStep): readonly number[] | null => {
    for (let i = 0; i < count; i++) if (live.has(scalarBase + i)) return null;
    return [region, ...scalars.slice(scalarBase, scalarBase + count)];
  };
  const shared = shareCommon(steps, { ...facts, onDropped, scalarsOf: (step) => numbers(step as TracedStep) });
  return batchUpdates(fusePointwise(repeatCheap(fusePointwise(shared, facts), facts), facts), facts);
}

const leafIn = (leaf: Leaf, tensors: readonly Tensor[]): Tensor => (typeof leaf === 'number' ? (tensors[leaf] as Tensor) : leaf);

/** Holds the place of a buffer between runs. */
const NOTHING: Storage = { byteLength: 0, version: 0 };

interface Numbered {
  readonly program: Program;
  readonly positions: ReadonlyMap<number, number>;
}

/** The program over consecutive buffers: temporaries become places in the arena, which is buffer 0 where there are any. */
function numbered(steps: readonly TracedStep[], places: ReadonlyMap<number, number>, scalars: number): Numbered {
  const positions = new Map<number, number>();
  const first = places.size > 0 ? 1 : 0;
  const operand = ({ buffer, spec, offset }: ProgramOperand): ProgramOperand => {
    const place = places.get(buffer);
    if (place !== undefined) return { buffer: 0, spec, offset: offset + place / dtypes[spec.dtype].bytes };
    const position = cached(positions, buffer, () => first + positions.size);
    return { buffer: position, spec, offset };
  };
  const renumbered = steps.map((step) => ({ ...step, inputs: step.inputs.map(operand), outputs: step.outputs.map(operand) }));
  return { program: { steps: renumbered, buffers: first + positions.size, scalars }, positions };
}
