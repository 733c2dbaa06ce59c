import { fileName } from '../io/fileName.js';
import type { HostArray } from '../io/hostArray.js';
import { readIdxHost } from './idx.js';
import { checkPair } from './idxFormat.js';
import type { HostDataset } from './worker.js';

/** Where the two files of a labelled set are. */
export interface IdxFiles {
  readonly images: string;
  readonly labels: string;
}

/** Images (batch, 1, height, width) and labels (batch,) of two IDX files, for a worker thread. */
export async function openIdx({ images, labels }: IdxFiles): Promise<HostDataset> {
  const [x, y] = await Promise.all([readIdxHost(images, { holds: 'images' }), readIdxHost(labels, { holds: 'labels' })]);
  checkPair(x, y, fileName(images), fileName(labels));
  return {
    length: x.shape[0] ?? 0,
    get: (i) => [row(x, i), { dtype: 'int32', shape: [], data: Int32Array.of(y.data[i] as number) }],
    getBatch(indices) {
      const pixels = (x.shape[1] ?? 0) * (x.shape[2] ?? 0);
      const data = new Uint8Array(indices.length * pixels);
      const source = x.data as Uint8Array;
      for (const [at, i] of indices.entries()) data.set(source.subarray(i * pixels, (i + 1) * pixels), at * pixels);
      const picked = Int32Array.from(indices, (i) => y.data[i] as number);
      return [
        { dtype: 'uint8', shape: [indices.length, 1, x.shape[1] ?? 0, x.shape[2] ?? 0], data },
        { dtype: 'int32', shape: [indices.length], data: picked },
      ];
    },
  };
}

function row({ dtype, shape, data }: HostArray, i: number): HostArray {
  const size = (shape[1] ?? 0) * (shape[2] ?? 0);
  return { dtype, shape: [1, shape[1] ?? 0, shape[2] ?? 0], data: data.subarray(i * size, (i + 1) * size) };
}
