export * from './advice.js';
// The entry `chainrule/train`: the training loop, metrics, callbacks, experiments and run folders.

export { loadRun, openRecorder, readEvents } from '#recorder';
export { type AccuracyOptions, accuracy, confusionMatrix, topK } from '../metrics/classification.js';
export { type Measured, type Metric, runningMean } from '../metrics/metric.js';
export {
  type Callback,
  checkpoint,
  type EarlyStoppingOptions,
  earlyStopping,
  lrLogging,
  type MonitorOptions,
  nanStop,
  plateau,
  type RunControl,
  type RunSnapshot,
} from './callbacks.js';
export { type ContinualOptions, type ContinualResult, type ContinualTask, continualLearning } from './continual.js';
export { type CrossValidation, type CrossValidationOptions, crossValidate, type PredictOptions, predict } from './crossValidate.js';
export { type DivergenceOptions, divergence } from './divergence.js';
export { type EvaluateOptions, type Evaluation, evaluate, type ForwardFn, type LossFn, type Outcome } from './evaluate.js';
export type {
  CheckpointEvent,
  EndEvent,
  EpochEvent,
  LoggedEvent,
  NoteEvent,
  Scores,
  StartEvent,
  StepEvent,
  TrainEvent,
  ValidationEvent,
} from './events.js';
export { type Experiment, type ExperimentData, type ExperimentOptions, experiment, withValues } from './experiment.js';
export {
  biasOnly,
  discriminativeRates,
  freezeBatchNorm,
  gradualUnfreezing,
  headOnly,
  type RateGroup,
  type UnfreezingOptions,
} from './fineTune.js';
export { type FitResult, fit } from './fit.js';
export { expectedImprovement, GaussianProcess, type Posterior } from './gaussianProcess.js';
export { withMode } from './modes.js';
export type { Batches, DataSource, FitOptions, RunLength, TrainOptimizer, TrainSchedule } from './options.js';
export { referencePreset } from './presets.js';
export { type DataWaiting, type ExperimentProfile, type ProfileExperimentOptions, profileExperiment } from './profileExperiment.js';
export type { Best, EpochRecord } from './progress.js';
export type { Recorder, RunConfig, SavedRun } from './recorder.js';
export { type ExperimentResult, type RunExperimentOptions, runExperiment } from './runExperiment.js';
export {
  type AdversarialLosses,
  type AdversarialOptions,
  adapt,
  adversarialTraining,
  type FewShotTask,
  type GreedyOptions,
  greedyPretraining,
  type InnerOptions,
  type MetaLearningOptions,
  metaLearning,
} from './runners.js';
export {
  type BiasVariance,
  type BiasVarianceOptions,
  biasVariance,
  fitScalingLaw,
  type Growth,
  type GrowthOptions,
  growModel,
  type ScalingLaw,
  type Sweep,
  type SweepOptions,
  type SweepPoint,
  scalingExtrapolation,
  sweep,
} from './scaling.js';
export {
  gridOf,
  type SearchDimension,
  type SearchExperimentOptions,
  type SearchOptions,
  type SearchPoint,
  type SearchResult,
  type SearchSpace,
  search,
  searchExperiment,
  type Trial,
} from './search.js';
export {
  comparePaired,
  type Estimate,
  estimate,
  overSeeds,
  type PairedComparison,
  type SeedOptions,
  studentCdf,
  studentQuantile,
  summarize,
} from './statistics.js';
export { type LearningCurve, learningCurve, type SuspiciousLabel, suspiciousLabels } from './suspicious.js';
export { TestLock, type TestLockOptions, type TestUse } from './testLock.js';
