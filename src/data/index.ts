// The entry `chainrule/data`: datasets, samplers, loaders and files of data.

export * from './augment.js';
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
  StackDataset,
  type Stacked,
  Subset,
  TensorDataset,
  type TupleDataset,
} from './dataset.js';
export { Characters, type CsvOptions, CsvTable, type FileSource, parseCsv, readCsv, readImage, readText } from './files.js';
export { readIdx } from './idx.js';
export { decodeIdx, type IdxOptions } from './idxFormat.js';
export type { IdxFiles } from './idxSource.js';
export {
  type ClassBalancedOptions,
  ClassBalancedSampler,
  type ClassWeightOptions,
  classCounts,
  classWeights,
  type LabelNoiseOptions,
  labelNoise,
  type NoisyLabels,
  oversample,
  type ResampleOptions,
  undersample,
} from './imbalance.js';
export { DataLoader, type DataLoaderOptions, type LoaderState } from './loader.js';
export * from './mix.js';
export { type ImageDataset, type Mnist, type MnistOptions, mnist } from './mnist.js';
export { decodeNetpbm } from './netpbm.js';
export { decodePng } from './png.js';
export * from './replay.js';
export {
  BatchSampler,
  balancedWeights,
  DistributedSampler,
  type DistributedSamplerOptions,
  RandomSampler,
  type RandomSamplerOptions,
  type Sampler,
  SequentialSampler,
  SubsetRandomSampler,
  WeightedRandomSampler,
  type WeightedRandomSamplerOptions,
} from './samplers.js';
export {
  checkLeaks,
  type DivideOptions,
  type Fold,
  findLeaks,
  type KFoldOptions,
  kFold,
  type Leak,
  type PerItem,
  type Split,
  type SplitIndices,
  type SplitOptions,
  splitDataset,
  splitIndices,
} from './splits.js';
export { conditioning, type StandardizeOptions, Standardizer } from './standardize.js';
export * from './synthetic.js';
export { compose, normalize, type Transform, toFloat } from './transforms.js';
export type { HostDataset } from './worker.js';
export { WorkerDataset, type WorkerDatasetOptions } from './workerDataset.js';
