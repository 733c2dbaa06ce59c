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
} from './callbacks.js';
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
export { type FitResult, fit } from './fit.js';
export { withMode } from './modes.js';
export type { Batches, DataSource, FitOptions, RunLength, TrainOptimizer, TrainSchedule } from './options.js';
export { type DataWaiting, type ExperimentProfile, type ProfileExperimentOptions, profileExperiment } from './profileExperiment.js';
export type { Recorder, RunConfig, SavedRun } from './recorder.js';
export { type ExperimentResult, type RunExperimentOptions, runExperiment } from './runExperiment.js';
export type { Best, EpochRecord } from './trainer.js';
