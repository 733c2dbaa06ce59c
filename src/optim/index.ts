export { AdaBelief, type AdaBeliefOptions } from './adabelief.js';
export { Adadelta, type AdadeltaOptions } from './adadelta.js';
export { Adafactor, type AdafactorOptions } from './adafactor.js';
export { Adagrad, type AdagradOptions } from './adagrad.js';
export { Adam, type AdamOptions, AdamW } from './adam.js';
export { Adamax, type AdamaxOptions } from './adamax.js';
export { ASGD, type ASGDOptions } from './asgd.js';
export {
  AveragedModel,
  type AveragedModelOptions,
  type AverageFn,
  getEmaAvgFn,
  getEmaMultiAvgFn,
  getSwaAvgFn,
  getSwaMultiAvgFn,
  type MultiAverageFn,
  updateBn,
} from './averaging.js';
export * from './clip.js';
export { EWC, type FisherOptions, fisherDiagonal } from './ewc.js';
export { GradScaler, type GradScalerOptions, type GradScalerState } from './gradScaler.js';
export { HessianFree, type HessianFreeObjective, type HessianFreeOptions } from './hessianFree.js';
export { LAMB, type LAMBOptions, LARS, type LARSOptions } from './lamb.js';
export { LBFGS, type LBFGSOptions } from './lbfgs.js';
export { Lion, type LionOptions } from './lion.js';
export { Lookahead, type LookaheadOptions, type LookaheadState } from './lookahead.js';
export { Muon, type MuonOptions } from './muon.js';
export { NAdam, type NAdamOptions } from './nadam.js';
export {
  type Given,
  type Implementation,
  type NamedParameter,
  Optimizer,
  type OptimizerState,
  type ParamGroup,
  type Params,
} from './optimizer.js';
export * from './penalties.js';
export { type PlateauOptions, ReduceLROnPlateau } from './plateau.js';
export { RAdam, type RAdamOptions } from './radam.js';
export { lrRangeTest, type RangeTestOptions, type RangeTestResult } from './rangeTest.js';
export { RMSprop, type RMSpropOptions } from './rmsprop.js';
export { Rprop, type RpropOptions } from './rprop.js';
export { SAM, type SAMOptions } from './sam.js';
export { type Schedulable, Scheduler, Scheduler as LRScheduler, type SchedulerState, type ScheduleUnit } from './scheduler.js';
export {
  ConstantLR,
  type ConstantLROptions,
  CosineAnnealingLR,
  type CosineOptions,
  ExponentialLR,
  type GammaOptions,
  LambdaLR,
  LinearLR,
  type LinearLROptions,
  MultiplicativeLR,
  MultiStepLR,
  PolynomialLR,
  type PolynomialLROptions,
  StepLR,
  SWALR,
  type SWALROptions,
} from './schedules.js';
export * from './schedulesCombine.js';
export * from './schedulesCycle.js';
export { SGD, type SGDOptions } from './sgd.js';
export { SparseAdam, type SparseAdamOptions } from './sparseAdam.js';
export { fromTorchState, type TorchOptimizerState, toTorchState } from './torchState.js';
export { defineUpdate, runUpdate, type Update } from './update.js';
export * from './warmup.js';
