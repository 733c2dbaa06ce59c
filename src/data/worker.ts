import { type CollateOptions, collateHost } from './collateHost.js';

/** A dataset as it lives in a worker thread: its items are numbers, typed arrays and `HostArray`s, never tensors. */
export interface HostDataset {
  readonly length: number;
  get(index: number): unknown;
  /** The items at `indices`, already in one piece; for datasets that can gather faster than item by item. */
  getBatch?(indices: Int32Array): unknown;
}

/** How a worker makes its dataset: an export of a module, called with options. */
export interface DatasetSource extends CollateOptions {
  readonly module: string;
  readonly export: string;
  readonly options: unknown;
}

export type Request = { readonly id: number; readonly open: DatasetSource } | { readonly id: number; readonly indices: Int32Array };
export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string } };

/** The worker's side: opens one dataset and then answers requests for batches. */
export function serve(reply: (message: Reply, transfer: ArrayBuffer[]) => void): (request: Request) => Promise<void> {
  let dataset: HostDataset | null = null;
  let options: CollateOptions = {};
  return async (request) => {
    const { id } = request;
    try {
      if ('open' in request) {
        options = request.open;
        dataset = await open(request.open);
        reply({ id, value: dataset.length }, []);
      } else if (dataset !== null) {
        const batch = await gather(dataset, request.indices, options);
        reply({ id, value: batch }, buffersOf(batch));
      }
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: unknown };
      reply({ id, error: { code: String(code ?? 'data'), message: String(message ?? error) } }, []);
    }
  };
}

async function open({ module, export: name, options }: DatasetSource): Promise<HostDataset> {
  const exports = (await import(module)) as Record<string, unknown>;
  const made = exports[name];
  const dataset = (typeof made === 'function' ? await made(options) : made) as HostDataset | undefined;
  if (typeof dataset?.get === 'function' && Number.isInteger(dataset.length)) return dataset;
  throw new Error(
    `WorkerDataset: '${name}' of ${module} must be a dataset with length and get(), or a function that makes one, got ${typeof made}.`,
  );
}

async function gather(dataset: HostDataset, indices: Int32Array, options: CollateOptions): Promise<unknown> {
  if (dataset.getBatch) return dataset.getBatch(indices);
  return collateHost(await Promise.all(Array.from(indices, (i) => dataset.get(i))), options);
}

/** The buffers of a batch, to be moved instead of copied. */
function buffersOf(value: unknown, found: Set<ArrayBuffer> = new Set()): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) {
    // A view of a larger buffer is copied: the rest of the buffer stays here.
    if (value.buffer instanceof ArrayBuffer && value.byteLength === value.buffer.byteLength) found.add(value.buffer);
  } else if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) buffersOf(part, found);
  }
  return [...found];
}
