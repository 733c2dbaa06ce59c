// What the scripts that compare with PyTorch share: plain data from fixtures/opdb.py and fixtures/moddb.py as tensors and numbers.
const { isTensor, tensor } = await import('../dist/index.js');

export const camel = (s) => s.replace(/_+$/, '').replace(/(?<=.)_(\w)/g, (_, c) => c.toUpperCase());

export function decode(v, leaves) {
  if (Array.isArray(v)) return v.map((e) => decode(e, leaves));
  if (v === null || typeof v !== 'object') return v;
  if (v.tensor) {
    const t = tensor(numbers(v), { shape: v.shape, dtype: v.tensor });
    leaves.push(t);
    return t;
  }
  if (v.number) return { nan: Number.NaN, inf: Number.POSITIVE_INFINITY, '-inf': Number.NEGATIVE_INFINITY }[v.number] ?? Number(v.number);
  if (v.dtype) return { int64: 'int32', int16: 'int32', long: 'int32' }[v.dtype] ?? v.dtype;
  if (v.map)
    return Object.fromEntries(
      Object.entries(v.map).flatMap(([k, e]) =>
        e === null || e?.ignored || ['device', 'memory_format'].includes(k) ? [] : [renamed(camel(k.replace(/^_/, '')), decode(e, leaves))],
      ),
    );
  return v.ignored ? undefined : v;
}

const renamed = (key, v) => (key === 'unbiased' ? ['correction', Number(v)] : [key, v]);

export function numbers({ tensor: kind, data }) {
  const { buffer, byteOffset, byteLength } = Buffer.from(data, 'base64');
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
  return kind === 'float64' ? new Float64Array(bytes) : kind.includes('float') ? new Float32Array(bytes) : new Int32Array(bytes);
}

export const leavesOf = (v) =>
  isTensor(v) || v === null || typeof v !== 'object' || ArrayBuffer.isView(v) ? [v] : Object.values(v).flatMap(leavesOf);

/** PyTorch's int64 is our int32. */
export const kindOf = (dtype) => (dtype === 'int32' || dtype === 'uint8' || dtype.startsWith('int') ? 'int' : dtype);
