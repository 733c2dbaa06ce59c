export * from './activation.js';
export { type ActivationFacts, activationFacts, type KnownActivation, knownActivations } from './activationFacts.js';
export { type Anomaly, AnomalyError, type AnomalyOptions, detectAnomaly, type InputFacts } from './anomaly.js';
export * from './attention.js';
export * from './bptt.js';
export * from './checkpointBlocks.js';
export * from './containers.js';
export * from './conv.js';
export * from './ctc.js';
export * from './distance.js';
export * from './dropout.js';
export * from './embedding.js';
export * from './embeddingBag.js';
export * from './experts.js';
export {
  FeedForward,
  type FeedForwardActivation,
  type FeedForwardOptions,
  GatedFeedForward,
  type GatedFeedForwardOptions,
  GeGLU,
  ReGLU,
  SwiGLU,
} from './feedForward.js';
export { functionalCall, replaceAllBatchNormModules_, stackModuleState } from './functionalCall.js';
export * from './gradientCheck.js';
export * from './heads.js';
export type { BackwardHook, ForwardHook, ForwardPreHook } from './hooks.js';
export * as init from './initAll.js';
export * from './largeVocabulary.js';
export * from './lazy.js';
export { Identity, Linear, type LinearOptions } from './linear.js';
export * from './lora.js';
export * from './loss.js';
export * from './lossCheck.js';
export * from './lossHelpers.js';
export * from './lossPairing.js';
export * from './module.js';
export * from './monteCarlo.js';
export * from './norm.js';
export * from './normPlacement.js';
export { Orthogonal, type OrthogonalMap, type OrthogonalOptions, orthogonal } from './orthogonal.js';
export {
  type Lengths,
  PackedSequence,
  type PackOptions,
  type PadOptions,
  type PadPackedOptions,
  packPaddedSequence,
  packSequence,
  padPackedSequence,
  padSequence,
  unpackSequence,
  unpadSequence,
} from './packed.js';
export * from './padding.js';
export * from './parametrize.js';
export * from './patch.js';
export * from './pool.js';
export * from './poolMore.js';
export * from './positions.js';
export * as prune from './prune.js';
export * from './recurrent.js';
export * from './recurrentCells.js';
export * from './resample.js';
export * from './residual.js';
export { type ScaleInvariance, scaleInvariance } from './scaleInvariance.js';
export * from './shape.js';
export { SparseRows } from './sparseRows.js';
export { type Summary, type SummaryOptions, type SummaryRow, summary } from './summary.js';
export * from './surrogate.js';
export {
  type BatchStatistics,
  combineStatistics,
  reestimateStatistics,
  statisticsOf,
  syncBatchNorm,
} from './syncNorm.js';
export * from './transformer.js';
export * from './transformerBlock.js';
export {
  type DecoderMasks,
  type EncoderMasks,
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type TransformerLayerOptions,
} from './transformerLayers.js';
export * from './tripletMining.js';
export * from './units.js';
export * from './utils.js';
