// The entry `chainrule/data`: datasets, samplers, loaders and files of data.
export { type Collated, type CollatedField, defaultCollate, type Field, type Padded, type PadOptions, padCollate } from './collate.js';
export type { CollateOptions } from './collateHost.js';
export {
  type AsyncDataset,
  ConcatDataset,
  type Dataset,
  MapDataset,
  mapBatches,
  type RandomSplitOptions,
  randomSplit,
  Subset,
  TensorDataset,
  type TupleDataset,
} from './dataset.js';
export { readIdx } from './idx.js';
export { decodeIdx, type IdxOptions } from './idxFormat.js';
export type { IdxFiles } from './idxSource.js';
export { DataLoader, type DataLoaderOptions, type LoaderState } from './loader.js';
export * from './mix.js';
export { type ImageDataset, type Mnist, type MnistOptions, mnist } from './mnist.js';
export * from './replay.js';
export {
  BatchSampler,
  balancedWeights,
  RandomSampler,
  type RandomSamplerOptions,
  type Sampler,
  SequentialSampler,
  WeightedRandomSampler,
  type WeightedRandomSamplerOptions,
} from './samplers.js';
export * from './synthetic.js';
export { compose, normalize, type Transform, toFloat } from './transforms.js';
export type { HostDataset } from './worker.js';
export { WorkerDataset, type WorkerDatasetOptions } from './workerDataset.js';
