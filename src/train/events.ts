/** Values of a pass over data: `loss` and one entry for each metric that is a number. */
export type Scores = Readonly<Record<string, number>>;

/** A run begins or, with `resumed`, goes on. */
export interface StartEvent {
  readonly type: 'start';
  readonly epochs: number;
  readonly batches: number;
  readonly batchSize: number;
  readonly parameters: number;
  readonly seed: number;
  readonly engine: string;
  readonly resumed: boolean;
  readonly epoch: number;
  readonly step: number;
}

/** One step of the optimizer. `loss` and `metrics` are those of its batch (of all its batches, when accumulating). */
export interface StepEvent {
  readonly type: 'step';
  /** Counted from 0, as batches are. */
  readonly epoch: number;
  /** How many batches of the epoch are done. */
  readonly batch: number;
  readonly batches: number;
  /** Steps of the optimizer so far, this one included. */
  readonly step: number;
  /** Of this step. */
  readonly examples: number;
  /** Examples of the run so far, each as often as it was seen; kept when a run is resumed. */
  readonly samples: number;
  /** Token ids of the run so far; only where batches hold them: integers of shape (batch, time). */
  readonly tokens?: number;
  readonly loss: number;
  readonly metrics: Scores;
  readonly lr: readonly number[];
  /** Before clipping; only known when gradients are clipped. */
  readonly gradNorm?: number;
  /** Since the run (or its resumption) began. */
  readonly seconds: number;
}

/** The end of an epoch, before validation. `train` holds sample-weighted means over the epoch. */
export interface EpochEvent {
  readonly type: 'epoch';
  readonly epoch: number;
  readonly step: number;
  readonly train: Scores;
  readonly seconds: number;
  /** Of them, spent waiting for batches. */
  readonly dataSeconds: number;
  readonly examplesPerSecond: number;
}

/** A pass over validation or test data in evaluation mode. */
export interface ValidationEvent {
  readonly type: 'validation' | 'test';
  readonly epoch: number;
  readonly step: number;
  readonly scores: Scores;
  /** Metrics that are tables: confusion matrices, rows true, columns predicted. */
  readonly tables: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly examples: number;
  readonly seconds: number;
}

export interface CheckpointEvent {
  readonly type: 'checkpoint';
  readonly kind: 'best' | 'last';
  readonly epoch: number;
  readonly step: number;
  /** For the best: the monitored value. */
  readonly value?: number;
}

/** Something worth telling: a learning rate that was cut, a stop and why. */
export interface NoteEvent {
  readonly type: 'note';
  readonly level: 'info' | 'warning';
  readonly text: string;
  readonly epoch: number;
  readonly step: number;
}

export interface EndEvent {
  readonly type: 'end';
  /** 'finished', 'interrupted', or the reason that a callback gave. */
  readonly stopped: string;
  readonly epoch: number;
  readonly step: number;
  readonly seconds: number;
}

/** What happens in a run, in order. The run log holds one of these a line, with `time` in milliseconds since 1970 added. */
export type TrainEvent = StartEvent | StepEvent | EpochEvent | ValidationEvent | CheckpointEvent | NoteEvent | EndEvent;

export type LoggedEvent = TrainEvent & { readonly time: number };
