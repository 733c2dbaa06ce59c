/** Element types. `float32` is the default; 16-bit floats are storage with float32 arithmetic; `int32` also stands for PyTorch's int64. */
export type DType = 'float32' | 'float64' | 'bfloat16' | 'float16' | 'int32' | 'uint8' | 'bool';

export type TypedArray = Float32Array | Float64Array | Int32Array | Uint8Array | Uint16Array;

interface DTypeRow {
  /** The number by which engines know the type. */
  readonly code: number;
  readonly bytes: number;
  readonly kind: 'float' | 'int' | 'bool';
  /** Place in the order of promotion: the higher one wins. */
  readonly rank: number;
}

/** The one table of element types. */
export const dtypes: Readonly<Record<DType, DTypeRow>> = {
  float32: { code: 0, bytes: 4, kind: 'float', rank: 5 },
  float64: { code: 1, bytes: 8, kind: 'float', rank: 6 },
  bfloat16: { code: 2, bytes: 2, kind: 'float', rank: 3 },
  float16: { code: 3, bytes: 2, kind: 'float', rank: 4 },
  int32: { code: 4, bytes: 4, kind: 'int', rank: 2 },
  uint8: { code: 5, bytes: 1, kind: 'int', rank: 1 },
  bool: { code: 6, bytes: 1, kind: 'bool', rank: 0 },
};

export const isFloat = (dtype: DType): boolean => dtypes[dtype].kind === 'float';

/** PyTorch's promotion of two tensor types; the two 16-bit floats meet in float32. */
export function promote(a: DType, b: DType): DType {
  if (a === b) return a;
  if ((a === 'bfloat16' && b === 'float16') || (a === 'float16' && b === 'bfloat16')) return 'float32';
  return dtypes[a].rank >= dtypes[b].rank ? a : b;
}

/** PyTorch's promotion of a tensor type with a JavaScript number: only a higher *category* of number changes the type. */
export function promoteNumber(a: DType, value: number | boolean): DType {
  if (typeof value === 'boolean' || isFloat(a)) return a;
  if (!Number.isInteger(value)) return 'float32';
  return a === 'bool' ? 'int32' : a;
}

/** The type that arithmetic runs in: storage types widen, small integers count as int32. */
export type ComputeType = 'float32' | 'float64' | 'int32';

export function computeType(dtype: DType): ComputeType {
  if (dtype === 'float64') return 'float64';
  return isFloat(dtype) ? 'float32' : 'int32';
}

/** A typed array over raw bytes; 16-bit floats show their bits as Uint16Array. */
export function typedArray(dtype: DType, buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArray {
  switch (dtype) {
    case 'float32':
      return new Float32Array(buffer, byteOffset, length);
    case 'float64':
      return new Float64Array(buffer, byteOffset, length);
    case 'bfloat16':
    case 'float16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'int32':
      return new Int32Array(buffer, byteOffset, length);
    case 'uint8':
    case 'bool':
      return new Uint8Array(buffer, byteOffset, length);
  }
}

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** Bits of the bfloat16 nearest to `x`, ties to even. */
export function toBfloat16(x: number): number {
  f32[0] = x;
  const bits = u32[0] ?? 0;
  if (Number.isNaN(x)) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function fromBfloat16(bits: number): number {
  u32[0] = bits << 16;
  return f32[0] ?? 0;
}

/** Bits of the IEEE half nearest to `x`, ties to even; beyond 65504 it is infinite. */
export function toFloat16(x: number): number {
  f32[0] = x;
  const bits = u32[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = Math.abs(f32[0] ?? 0);
  if (Number.isNaN(magnitude)) return sign | 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundEven(magnitude * 2 ** 24);
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const fraction = bits & 0x7fffff;
  return sign | ((exponent << 10) + roundEven(fraction / 8192));
}

export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Round to the nearest integer, halves to the even neighbour (IEEE, and PyTorch's `round`). */
export function roundEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

/** Reads element `i` of raw storage as a number. */
export function readElement(dtype: DType, array: TypedArray, i: number): number {
  const v = array[i] ?? Number.NaN;
  if (dtype === 'bfloat16') return fromBfloat16(v);
  return dtype === 'float16' ? fromFloat16(v) : v;
}

/** Writes a number into raw storage as `dtype` would hold it; floats going to integers are truncated, as in C. */
export function writeElement(dtype: DType, array: TypedArray, i: number, value: number): void {
  if (dtype === 'bfloat16') array[i] = toBfloat16(value);
  else if (dtype === 'float16') array[i] = toFloat16(value);
  else if (dtype === 'bool') array[i] = value !== 0 ? 1 : 0;
  else array[i] = value;
}
