import { type DType, isFloat, type TypedArray, typedArray, writeElement } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { checkShape, formatShape, type Shape, sizeOf } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { capturing } from './capturing.js';
import { type Device, defaultDevice } from './device.js';
import { fill } from './make.js';
import { isTensor, Tensor } from './tensor.js';

export interface TensorOptions {
  /** Element type. Default: {@link getDefaultDtype}. */
  readonly dtype?: DType;
  /** Where the bytes live. Default: {@link defaultDevice}. */
  readonly device?: Device;
  /** Mark the new tensor as something to differentiate by. Default false. */
  readonly requiresGrad?: boolean;
}

export interface DataOptions extends TensorOptions {
  /** The shape of flat data; one size may not be left open. Default: the nesting of the data. */
  readonly shape?: Shape;
}

/** Numbers or booleans, nested to any depth, or flat in a typed array. */
export type NestedData = number | boolean | Float32Array | Float64Array | Int32Array | Uint8Array | readonly NestedData[];

let fallback: DType = 'float32';
/** The type of new tensors when none is asked for. */
export function getDefaultDtype(): DType {
  return fallback;
}
/** Sets {@link getDefaultDtype}: a floating type. */
export function setDefaultDtype(dtype: DType): void {
  if (!isFloat(dtype)) throw new LibError('dtype', `setDefaultDtype: the default must be a floating type, got ${dtype}.`);
  fallback = dtype;
}

/**
 * A tensor from JavaScript data. Numbers get the default type, booleans `bool`, typed arrays their own type.
 * @example tensor([[1, 2], [3, 4]]) // shape (2, 2)
 */
export function tensor(data: NestedData, options: DataOptions = {}): Tensor {
  const { values, shape: nesting, dtype: natural } = flatten(data);
  const shape = options.shape ?? nesting;
  checkShape('tensor', shape);
  if (sizeOf(shape) !== values.length) {
    throw new LibError('shape', `tensor: the data must fill the shape, got ${values.length} values for ${formatShape(shape)}.`);
  }
  const dtype = options.dtype ?? natural;
  return finished(upload(values, specOf(dtype, shape), options.device ?? defaultDevice()), options);
}

/** Writes numbers into a new tensor. */
function upload(values: ArrayLike<number>, spec: Spec, device: Device): Tensor {
  const storage = device.allocate(spec.bytes);
  const bytes = new ArrayBuffer(spec.bytes);
  const array = typedArray(spec.dtype, bytes, 0, spec.size);
  if (isOwnType(spec.dtype, values)) array.set(values);
  else for (let i = 0; i < spec.size; i++) writeElement(spec.dtype, array, i, values[i] ?? 0);
  if (spec.bytes > 0) device.upload(storage, 0, new Uint8Array(bytes));
  return new Tensor(spec, storage, 0, device);
}

const isOwnType = (dtype: DType, values: ArrayLike<number>): values is TypedArray =>
  dtype !== 'bool' && ArrayBuffer.isView(values) && naturalType(values as TypedArray) === dtype;

function naturalType(array: TypedArray): DType {
  if (array instanceof Float32Array) return 'float32';
  if (array instanceof Float64Array) return 'float64';
  return array instanceof Int32Array ? 'int32' : 'uint8';
}

interface Flat {
  readonly values: ArrayLike<number>;
  readonly shape: Shape;
  readonly dtype: DType;
}

function flatten(data: NestedData): Flat {
  if (ArrayBuffer.isView(data)) {
    const array = data as TypedArray;
    return { values: array, shape: [array.length], dtype: naturalType(array) };
  }
  const shape: number[] = [];
  for (let level: NestedData | undefined = data; isList(level); level = level[0]) shape.push(level.length);
  const values: number[] = [];
  let booleans = 0;
  const walk = (level: NestedData, depth: number, place: string): void => {
    if (isList(level)) {
      if (level.length !== shape[depth]) throw ragged(place, `${level.length} elements`, shape, depth);
      for (let i = 0; i < level.length; i++) walk(level[i] as NestedData, depth + 1, `${place}[${i}]`);
      return;
    }
    if (depth !== shape.length) throw ragged(place, 'a number', shape, depth);
    if (typeof level !== 'number' && typeof level !== 'boolean') {
      throw new LibError('data', `tensor: elements must be numbers or booleans, got ${typeof level} at ${place}.`);
    }
    if (typeof level === 'boolean') booleans++;
    values.push(Number(level));
  };
  walk(data, 0, 'data');
  return { values, shape, dtype: booleans > 0 && booleans === values.length ? 'bool' : fallback };
}

const isList = (x: unknown): x is ArrayLike<NestedData> => Array.isArray(x) || ArrayBuffer.isView(x);

function ragged(place: string, found: string, shape: Shape, depth: number): LibError {
  const expected = depth < shape.length ? `${shape[depth]} elements` : 'a number';
  return new LibError(
    'shape',
    `tensor: nested arrays must be rectangular, got ${found} at ${place}, where its neighbours have ${expected}.`,
  );
}

/** A tensor as it is, or of another type or device where that is asked for; other data as {@link tensor} takes it (torch.as_tensor). */
export function asTensor(data: Tensor | NestedData, options: TensorOptions = {}): Tensor {
  return isTensor(data) ? data.to(options) : tensor(data, options);
}

function finished(t: Tensor, { requiresGrad = false }: TensorOptions): Tensor {
  return requiresGrad ? t.requiresGrad_() : t;
}

function filled(name: string, shape: Shape, value: number, options: TensorOptions): Tensor {
  checkShape(name, shape);
  const { dtype = fallback, device = defaultDevice() } = options;
  return finished(fill(name, specOf(dtype, shape), value, device), options);
}

/** A tensor of zeros. */
export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return filled('zeros', shape, 0, options);
}
/** A tensor of ones. */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return filled('ones', shape, 1, options);
}
/** A tensor with one value everywhere, of the default type unless said. */
export function full(shape: Shape, value: number | boolean, options: TensorOptions = {}): Tensor {
  return filled('full', shape, Number(value), typeof value === 'boolean' ? { dtype: 'bool', ...options } : options);
}
/** A tensor whose bytes are whatever was there. */
export function empty(shape: Shape, options: TensorOptions = {}): Tensor {
  checkShape('empty', shape);
  const { dtype = fallback, device = defaultDevice() } = options;
  const spec = specOf(dtype, shape);
  return finished(new Tensor(spec, capturing()?.allocate(spec.bytes) ?? device.allocate(spec.bytes), 0, device), options);
}

/** A tensor whose bytes are whatever was there, under given strides (in elements). */
export function emptyStrided(size: Shape, stride: readonly number[], options: TensorOptions = {}): Tensor {
  checkShape('emptyStrided', size);
  if (stride.length !== size.length || !stride.every((s) => Number.isInteger(s) && s >= 0)) {
    throw new LibError('value', `emptyStrided: there must be a stride of at least 0 for each size, got [${stride.join(', ')}].`);
  }
  const reach = sizeOf(size) === 0 ? 0 : size.reduce((sum, d, i) => sum + (d - 1) * (stride[i] ?? 0), 1);
  const { requiresGrad = false, ...rest } = options;
  const view = empty([reach], rest).asStrided(size, stride).detach();
  return finished(view, { requiresGrad });
}
/** A tensor whose bytes are whatever was there, dense in the order that `physicalLayout` puts its dims in. */
export function emptyPermuted(size: Shape, physicalLayout: readonly number[], options: TensorOptions = {}): Tensor {
  const places = size.map((_, d) => physicalLayout.indexOf(d));
  if (physicalLayout.length !== size.length || places.includes(-1))
    throw new LibError(
      'index',
      `emptyPermuted: the layout must name each dim once, got [${physicalLayout.join(', ')}] for ${formatShape(size)}.`,
    );
  const { requiresGrad = false, ...rest } = options;
  const base = empty(
    physicalLayout.map((d) => size[d] ?? 1),
    rest,
  );
  return finished(base.permute(places).detach(), { requiresGrad });
}
/** A tensor of no dims. */
export function scalarTensor(value: number | boolean, options: TensorOptions = {}): Tensor {
  return full([], value, { dtype: fallback, ...options });
}

const like = (x: Tensor, options: TensorOptions): TensorOptions => ({ dtype: x.dtype, device: x.device, ...options });
/** Zeros with the shape, type and device of `x`. */
export function zerosLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return filled('zerosLike', x.shape, 0, like(x, options));
}
/** Ones with the shape, type and device of `x`. */
export function onesLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return filled('onesLike', x.shape, 1, like(x, options));
}
/** One value with the shape, type and device of `x`. */
export function fullLike(x: Tensor, value: number, options: TensorOptions = {}): Tensor {
  return filled('fullLike', x.shape, value, like(x, options));
}
/** Unset bytes with the shape, type and device of `x`. */
export function emptyLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return empty(x.shape, like(x, options));
}

function computed(op: string, shape: Shape, options: TensorOptions, value: (i: number) => number): Tensor {
  checkShape(op, shape);
  const { dtype = fallback, device = defaultDevice() } = options;
  const values = new Float64Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = value(i);
  return finished(upload(values, specOf(dtype, shape), device), options);
}

/**
 * Numbers from `start` (default 0) up to, not including, `end`, `step` (default 1) apart. All integers: int32, else the default type.
 * @example arange(4) // [0, 1, 2, 3]
 */
export function arange(end: number, options?: TensorOptions): Tensor;
export function arange(start: number, end: number, options?: TensorOptions & { readonly step?: number }): Tensor;
export function arange(first: number, second?: number | TensorOptions, third: TensorOptions & { readonly step?: number } = {}): Tensor {
  const [start, end] = typeof second === 'number' ? [first, second] : [0, first];
  const { step = 1, ...options } = typeof second === 'object' ? { step: 1, ...second } : third;
  if (step === 0 || (end - start) * step < 0 || !Number.isFinite(end - start)) {
    throw new LibError('value', `arange: the step must lead from start to end, got ${start} to ${end} by ${step}.`);
  }
  const natural = [start, end, step].every(Number.isInteger) ? 'int32' : fallback;
  return computed('arange', [Math.ceil((end - start) / step)], { dtype: natural, ...options }, (i) => start + i * step);
}
/** A number, or that of a tensor of one element, read now. */
const numberIn = (x: number | Tensor): number => (isTensor(x) ? x.itemNow() : x);
/** Both ends, which integer types cut to integers first. */
function endsOf(first: number | Tensor, last: number | Tensor, { dtype = fallback }: TensorOptions): [start: number, end: number] {
  const [start, end] = [numberIn(first), numberIn(last)];
  return isFloat(dtype) ? [start, end] : [Math.trunc(start), Math.trunc(end)];
}
/** `steps` numbers from `start` to `end` (numbers, or tensors of one element), both included, evenly apart. */
export function linspace(first: number | Tensor, last: number | Tensor, steps: number, options: TensorOptions = {}): Tensor {
  const [start, end] = endsOf(first, last, options);
  const step = (end - start) / Math.max(steps - 1, 1);
  // From the nearer end, so that both ends are exact.
  return computed('linspace', [steps], options, (i) => (2 * i < steps ? start + i * step : end - (steps - 1 - i) * step));
}
/** `steps` numbers from base^start to base^end, with exponents evenly apart. */
export function logspace(
  first: number | Tensor,
  last: number | Tensor,
  steps: number,
  options: TensorOptions & { readonly base?: number } = {},
): Tensor {
  const { base = 10, ...rest } = options;
  const [start, end] = endsOf(first, last, rest);
  const step = (end - start) / Math.max(steps - 1, 1);
  return computed('logspace', [steps], rest, (i) => base ** (2 * i < steps ? start + i * step : end - (steps - 1 - i) * step));
}
/** Ones on the diagonal, zeros elsewhere; square unless `columns` is given. */
export function eye(rows: number, options?: TensorOptions): Tensor;
export function eye(rows: number, columns?: number, options?: TensorOptions): Tensor;
export function eye(rows: number, second: number | TensorOptions = rows, third: TensorOptions = {}): Tensor {
  const [columns, options] = typeof second === 'number' ? [second, third] : [rows, second];
  return computed('eye', [rows, columns], options, (i) => Number(Math.floor(i / columns) === i % columns));
}
export interface TriangleIndicesOptions extends TensorOptions {
  /** 0 is the main diagonal, positive ones are above it. Default 0. */
  readonly offset?: number;
}
/** The row and column indices of a matrix's lower triangle, (2, count) in int32. */
export function trilIndices(rows: number, columns: number, { offset = 0, ...rest }: TriangleIndicesOptions = {}): Tensor {
  return triangle(rows, columns, rest, (i, j) => j - i <= offset);
}
/** The row and column indices of a matrix's upper triangle, (2, count) in int32. */
export function triuIndices(rows: number, columns: number, { offset = 0, ...rest }: TriangleIndicesOptions = {}): Tensor {
  return triangle(rows, columns, rest, (i, j) => j - i >= offset);
}
function triangle(rows: number, columns: number, options: TensorOptions, inside: (i: number, j: number) => boolean): Tensor {
  const found: [number, number][] = [];
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) if (inside(i, j)) found.push([i, j]);
  return tensor([...found.map(([i]) => i), ...found.map(([, j]) => j)], { shape: [2, found.length], dtype: 'int32', ...options });
}

/** Coordinate grids of 1-D tensors: outputs[k] varies along dim k alone. With 'xy' the first two dims are swapped. */
export function meshgrid(tensors: readonly Tensor[], { indexing = 'ij' }: { readonly indexing?: 'ij' | 'xy' } = {}): Tensor[] {
  const axes = indexing === 'xy' && tensors.length > 1 ? [tensors[1] as Tensor, tensors[0] as Tensor, ...tensors.slice(2)] : tensors;
  const shape = axes.map((t) => t.size);
  const grids = axes.map((t, k) => t.reshape(shape.map((_, i) => (i === k ? t.size : 1))).expand(shape));
  if (indexing === 'ij' || tensors.length < 2) return grids;
  return [grids[1] as Tensor, grids[0] as Tensor, ...grids.slice(2)];
}
