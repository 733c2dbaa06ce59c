import { type DType, dtypes } from './dtype.js';
import { contiguousStrides, keyOf, type Shape, sizeOf } from './shape.js';

/**
 * Everything about a tensor but its bytes: element type, shape and strides (in elements).
 * Specs are interned: equal specs are one object, so caches key on `id` and comparisons are `===`.
 */
export interface Spec {
  readonly id: number;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly size: number;
  /** Row-major and dense. */
  readonly contiguous: boolean;
  /** Bytes of a dense tensor of this spec. */
  readonly bytes: number;
}

const table = new Map<string, Spec>();

/** The spec with this type and shape; dense unless strides are given. */
export function specOf(dtype: DType, shape: Shape, strides?: readonly number[]): Spec {
  const key = strides === undefined ? `${dtype}|${keyOf(shape)}` : `${dtype}|${keyOf(shape)}|${keyOf(strides)}`;
  const known = table.get(key);
  if (known !== undefined) return known;
  const dense = contiguousStrides(shape);
  const isDense = strides === undefined || shape.every((d, i) => d === 1 || strides[i] === dense[i]) || sizeOf(shape) === 0;
  const canonical = `${dtype}|${keyOf(shape)}|${keyOf(isDense ? dense : (strides ?? dense))}`;
  const spec = table.get(canonical) ?? makeSpec(dtype, [...shape], isDense ? dense : [...(strides ?? dense)], isDense);
  table.set(canonical, spec);
  table.set(key, spec);
  return spec;
}

function makeSpec(dtype: DType, shape: Shape, strides: readonly number[], contiguous: boolean): Spec {
  const size = sizeOf(shape);
  return { id: table.size, dtype, shape: Object.freeze(shape), strides, size, contiguous, bytes: size * dtypes[dtype].bytes };
}

/** The dense spec of the same shape with another element type. */
export const withDType = (spec: Spec, dtype: DType): Spec => specOf(dtype, spec.shape);
