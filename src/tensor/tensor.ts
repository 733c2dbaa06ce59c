/// <reference lib="esnext.disposable" preserve="true" />
import { type DType, dtypes, readElement, type TypedArray, typedArray } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, resolveDim, type Shape } from '../core/shape.js';
import type { Spec } from '../core/spec.js';
import type { Methods } from '../ops/index.js';
import type { Storage } from '../program/backend.js';
import { capturing, checkReadable, SymbolicStorage } from './capturing.js';
import type { Device } from './device.js';
import type { GradNode } from './graph.js';

/** What `toArray` and `data` give: 16-bit floats widened to Float32Array, bool as 0 and 1 in a Uint8Array. */
export type TensorData = Float32Array | Float64Array | Int32Array | Uint8Array;

/** Called with a gradient during backward; may return another one to use instead. */
export type GradHook = (grad: Tensor) => Tensor | undefined;

/**
 * An n-dimensional array with automatic differentiation: a spec (type, shape, strides) over bytes on a device.
 * Views share their bytes. Made by {@link tensor}, {@link zeros}, {@link randn} and their kin, never by `new`.
 */
export class Tensor {
  private ownGrad: Tensor | null = null;
  requiresGrad = false;
  /** @internal The step of the graph that made this tensor; null for a leaf. */
  node: GradNode | null = null;
  /** @internal Which of the node's outputs this is. */
  outputIndex = 0;
  /** @internal The tensor whose bytes this one shows, when it is a view. */
  viewOf: Tensor | null = null;
  /** @internal */
  hooks: Set<GradHook> | null = null;

  /** @internal */
  constructor(
    readonly spec: Spec,
    /** @internal */ readonly storage: Storage,
    /** @internal First element, counted in elements from the start of the storage. */ readonly offset: number,
    readonly device: Device,
  ) {}

  /** The gradient that `backward()` accumulated here, or null. Only leaves and tensors with `retainGrad()` have one. */
  get grad(): Tensor | null {
    capturing()?.readsGrad(this, this.ownGrad);
    return this.ownGrad;
  }
  set grad(value: Tensor | null) {
    capturing()?.setsGrad(this, this.ownGrad);
    this.ownGrad = value;
  }

  get shape(): Shape {
    return this.spec.shape;
  }
  get dtype(): DType {
    return this.spec.dtype;
  }
  /** How many elements. PyTorch's `numel()`. */
  get size(): number {
    return this.spec.size;
  }
  /** How many dimensions. */
  get ndim(): number {
    return this.spec.shape.length;
  }
  /** Whether no recorded op made this tensor. */
  get isLeaf(): boolean {
    return this.node === null;
  }

  numel(): number {
    return this.spec.size;
  }
  dim(): number {
    return this.spec.shape.length;
  }
  /** The strides in elements. */
  stride(): readonly number[] {
    return this.spec.strides;
  }
  isContiguous(): boolean {
    return this.spec.contiguous;
  }
  /** The size of one dimension; `dim` may count from the end. */
  sizeAt(dim: number): number {
    return this.spec.shape[resolveDim('sizeAt', dim, this.ndim)] ?? 1;
  }

  /** The shape, checked to have `rank` dimensions: `const [batch, time] = ids.dims(2)`. */
  dims(rank: 1): [number];
  dims(rank: 2): [number, number];
  dims(rank: 3): [number, number, number];
  dims(rank: 4): [number, number, number, number];
  dims(rank: 5): [number, number, number, number, number];
  dims(rank: number): number[] {
    if (this.ndim !== rank) throw new LibError('shape', `dims: expected ${rank} dimensions, got shape ${formatShape(this.shape)}.`);
    return [...this.shape];
  }

  /** Marks a leaf as something to differentiate by (or not). Only floating-point tensors can be. */
  requiresGrad_(value = true): this {
    if (value && dtypes[this.dtype].kind !== 'float') {
      throw new LibError('dtype', `requiresGrad_: only floating-point tensors can require gradients, got ${this.dtype}.`);
    }
    if (!value && this.node !== null) {
      throw new LibError(
        'grad',
        'requiresGrad_: the flag of a tensor made by a recorded op cannot be turned off, got false.',
        'use detach().',
      );
    }
    this.requiresGrad = value;
    return this;
  }

  /** The same bytes outside the graph: no gradient flows through the result. */
  detach(): Tensor {
    const out = new Tensor(this.spec, this.storage, this.offset, this.device);
    out.viewOf = this.viewOf;
    return out;
  }

  /** Keeps `.grad` on this tensor although an op made it. */
  retainGrad(): this {
    if (!this.requiresGrad) throw new LibError('grad', 'retainGrad: the tensor must require grad, got requiresGrad = false.');
    if (this.node !== null) {
      this.registerHook((g) => {
        this.grad = this.grad === null ? g.clone() : this.grad.add(g);
        return undefined;
      });
    }
    return this;
  }

  /** Calls `hook` with this tensor's gradient in every backward pass. Returns a function that removes it. */
  registerHook(hook: GradHook): () => void {
    if (!this.requiresGrad) throw new LibError('grad', 'registerHook: the tensor must require grad, got requiresGrad = false.');
    const owner = this.node === null ? this : this.node;
    if (this.node === null) this.hooks ??= new Set();
    const hooks = this.node === null ? (this.hooks as Set<GradHook>) : this.node.hooksOf(this.outputIndex);
    hooks.add(hook);
    return () => void (owner && hooks.delete(hook));
  }

  /** The elements in row-major order, read at once. Throws on devices that cannot be waited for: use `await data()`. */
  toArray(): TensorData {
    checkReadable('toArray', this);
    const { device } = this;
    if (device.downloadNow === undefined) {
      throw new LibError(
        'device',
        `toArray: values of ${device.name} cannot be read at once, got a synchronous read.`,
        'use await tensor.data().',
      );
    }
    const dense = this.dense();
    return toData(dense, device.downloadNow(dense.storage, dense.offset * dtypes[this.dtype].bytes, dense.spec.bytes));
  }

  /** The elements in row-major order. */
  data(): Promise<TensorData> {
    checkReadable('data', this);
    return this.download();
  }

  /** The value of a tensor with one element. */
  item(): Promise<number> {
    checkReadable('item', this);
    return this.downloadItem();
  }

  /** Like {@link item}, read at once where the device allows it. */
  itemNow(): number {
    checkReadable('itemNow', this);
    this.checkOneElement('itemNow');
    return this.toArray()[0] ?? Number.NaN;
  }

  /** Nested arrays of numbers (a plain number for a scalar). */
  tolist(): NestedNumbers {
    return nest(this.toArray(), this.shape);
  }

  /** What JSON.stringify writes: {@link tolist}. */
  toJSON(): NestedNumbers {
    return this.tolist();
  }

  private checkOneElement(op: string): void {
    if (this.size !== 1) throw new LibError('shape', `${op}: the tensor must have one element, got shape ${formatShape(this.shape)}.`);
  }

  private async download(): Promise<TensorData> {
    const dense = this.dense();
    return toData(dense, await this.device.download(dense.storage, dense.offset * dtypes[this.dtype].bytes, dense.spec.bytes));
  }

  private async downloadItem(): Promise<number> {
    this.checkOneElement('item');
    return (await this.download())[0] ?? Number.NaN;
  }

  private dense(): Tensor {
    return this.spec.contiguous ? this : this.detach().contiguous();
  }

  /** Gives the bytes back now instead of when the garbage collector finds them. Never needed; the tensor and its views become invalid. */
  [Symbol.dispose](): void {
    if (!(this.storage instanceof SymbolicStorage)) this.device.release(this.storage);
  }
}
export interface Tensor extends Methods {}

export type NestedNumbers = number | readonly NestedNumbers[];

export const isTensor = (x: unknown): x is Tensor => x instanceof Tensor;

function toData({ dtype, size }: Tensor, bytes: ArrayBuffer): TensorData {
  const raw = typedArray(dtype, bytes, 0, size);
  if (raw instanceof Uint16Array) return Float32Array.from({ length: size }, (_, i) => readElement(dtype, raw, i));
  return raw as Exclude<TypedArray, Uint16Array>;
}

function nest(flat: TensorData, shape: Shape): NestedNumbers {
  let at = 0;
  const build = (d: number): NestedNumbers => {
    if (d === shape.length) return flat[at++] ?? Number.NaN;
    return Array.from({ length: shape[d] ?? 0 }, () => build(d + 1));
  };
  return build(0);
}
