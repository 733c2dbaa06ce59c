// The entry `chainrule/data`: datasets, samplers, loaders and files of data.
export { type Collated, type CollatedField, defaultCollate, type Field, padCollate, type Padded, type PadOptions } from './collate.js';
export type { CollateOptions } from './collateHost.js';
export {
  type AsyncDataset,
  ConcatDataset,
  type Dataset,
  MapDataset,
  mapBatches,
  randomSplit,
  type RandomSplitOptions,
  Subset,
  TensorDataset,
  type TupleDataset,
} from './dataset.js';
export { readIdx } from './idx.js';
export { decodeIdx, type IdxOptions } from './idxFormat.js';
export { DataLoader, type DataLoaderOptions, type LoaderState } from './loader.js';
export { type ImageDataset, type Mnist, mnist, type MnistOptions } from './mnist.js';
export {
  balancedWeights,
  BatchSampler,
  RandomSampler,
  type RandomSamplerOptions,
  type Sampler,
  SequentialSampler,
  WeightedRandomSampler,
  type WeightedRandomSamplerOptions,
} from './samplers.js';
export { compose, normalize, toFloat, type Transform } from './transforms.js';
export type { HostDataset } from './worker.js';
export { WorkerDataset, type WorkerDatasetOptions } from './workerDataset.js';
export type { IdxFiles } from './idxSource.js';
