import { internal } from '../core/errors.js';
import { specOf } from '../core/spec.js';
import type { Storage } from '../program/backend.js';
import type { Device } from '../tensor/device.js';
import { isTensor, Tensor } from '../tensor/tensor.js';
import { replaceLeaves } from '../tensor/tree.js';
import type { TracedStep, Tracer } from './tracer.js';

/** Where a buffer of the program comes from at each run. */
export type Source =
  /** A storage that stays: parameters, optimizer state, constants, and the gradients that a step leaves behind. */
  | { readonly kind: 'fixed'; readonly storage: Storage }
  | { readonly kind: 'argument'; readonly index: number }
  /** The `.grad` that a tensor has when the run begins. */
  | { readonly kind: 'grad'; readonly of: Leaf }
  /** Made for each run, for the caller to keep. */
  | { readonly kind: 'fresh'; readonly bytes: number }
  /** In the arena. */
  | { readonly kind: 'temporary'; readonly bytes: number };

/** A tensor whose `.grad` a program reads or sets: one from outside, or an argument. */
export type Leaf = Tensor | number;

/** A tensor that a run gives out, described by where its bytes are. */
export class Place {
  constructor(
    readonly source: number,
    readonly spec: Tensor['spec'],
    readonly offset: number,
    /** The argument itself, not another view of its bytes. */
    readonly whole: boolean,
  ) {}
}
export const isPlace = (value: unknown): value is Place => value instanceof Place;

/** Homes of gradients that a compiled function leaves behind, the same for all of its programs. */
export type Homes = Map<Tensor, Tensor>;

/** Decides for every buffer of a trace where it lives, and what a run leaves in `.grad` and returns. */
export class Layout {
  readonly sources: Source[];
  readonly steps: TracedStep[];
  /** What `.grad` is set to after a run. */
  readonly exits: { readonly leaf: Leaf; readonly grad: Tensor | Place | null }[] = [];
  readonly result: unknown;

  constructor(
    private readonly tracer: Tracer,
    private readonly inputs: readonly Tensor[],
    private readonly device: Device,
    private readonly homes: Homes,
    result: unknown,
  ) {
    this.steps = [...tracer.steps];
    this.sources = tracer.buffers.map((storage, i): Source => {
      if (i < inputs.length) return { kind: 'argument', index: i };
      return tracer.isMade(storage) ? { kind: 'temporary', bytes: storage.byteLength } : { kind: 'fixed', storage };
    });
    for (const [t, { entry, read }] of tracer.grads) {
      if (entry !== null && read) this.sources[tracer.numberOf(entry.storage)] = { kind: 'grad', of: this.leafOf(t) };
    }
    for (const [t, { entry, read }] of tracer.grads) {
      const grad = t.grad;
      // Where the function did not look at the old gradient, another call may find another one.
      if (grad !== entry || !read) this.exits.push({ leaf: this.leafOf(t), grad: grad && this.exitOf(t, grad, read && entry !== null) });
    }
    this.result = replaceLeaves(result, isTensor, (t) => this.given(t));
  }

  /** A tensor from outside, or the position of the argument that it stands for. */
  leafOf(t: Tensor): Leaf {
    const index = this.inputs.indexOf(t);
    return index < 0 ? t : index;
  }

  /** One more buffer in the arena. */
  addTemporary(bytes: number): number {
    this.tracer.allocate(bytes);
    return this.sources.push({ kind: 'temporary', bytes }) - 1;
  }

  /** Whether another buffer from outside may show the same bytes. */
  isBrought(buffer: number): boolean {
    const kind = this.sources[buffer]?.kind;
    return kind === 'argument' || kind === 'grad';
  }

  /** Whether two buffers may show the same bytes: a caller may pass one tensor twice, or a parameter. */
  mayMeet(a: number, b: number): boolean {
    if (a === b) return true;
    const kinds = [this.sources[a]?.kind, this.sources[b]?.kind];
    const own = kinds.some((kind) => kind === 'temporary' || kind === 'fresh');
    return !own && kinds.some((kind) => kind === 'argument' || kind === 'grad');
  }

  /** Gradients of tensors from outside have a home that every run writes to; those of arguments are new in each run. */
  private exitOf(t: Tensor, grad: Tensor, readsOld: boolean): Tensor | Place {
    const number = this.numberOf(grad);
    const source = this.sources[number] as Source;
    if (source.kind === 'fixed') return grad.detach();
    if (source.kind !== 'temporary' || readsOld || typeof this.leafOf(t) === 'number') return this.given(grad) as Tensor | Place;
    const known = this.homes.get(t);
    const fits = known?.spec === grad.spec && known.offset === grad.offset && known.storage.byteLength === source.bytes;
    const home = fits ? known : new Tensor(grad.spec, this.device.allocate(source.bytes), grad.offset, this.device);
    this.homes.set(t, home);
    this.sources[number] = { kind: 'fixed', storage: home.storage };
    return home;
  }

  /** A tensor as the caller gets it: an old one as it is, a new one in bytes of its own. */
  private given(t: Tensor): Tensor | Place {
    const number = this.numberOf(t);
    const source = this.sources[number] as Source;
    if (source.kind === 'argument') return new Place(number, t.spec, t.offset, this.inputs[source.index] === t);
    if (source.kind === 'fixed' && !this.tracer.isMade(t.storage)) return t.node === null ? t : t.detach();
    if (source.kind === 'fixed' || source.kind === 'grad') return this.copied(t);
    if (source.kind === 'temporary') this.sources[number] = { kind: 'fresh', bytes: source.bytes };
    return new Place(number, t.spec, t.offset, false);
  }

  private numberOf({ storage }: Tensor): number {
    const number = this.tracer.numberOf(storage);
    this.sources[number] ??= { kind: 'fixed', storage };
    return number;
  }

  /** A result that the next run would write over is copied. */
  private copied(t: Tensor): Place {
    const spec = specOf(t.dtype, t.shape);
    const number = this.sources.push({ kind: 'fresh', bytes: spec.bytes }) - 1;
    if (this.tracer.buffers.push(t.storage) !== this.sources.length) throw internal('buffers and their sources are out of step');
    const outputs = [{ buffer: number, spec, offset: 0 }];
    this.steps.push({
      name: 'copy',
      kernel: { family: 'copy' },
      inputs: [this.tracer.operand(t)],
      outputs,
      scalarBase: 0,
      scalars: 0,
      region: 0,
    });
    return new Place(number, spec, 0, false);
  }
}
