import type { Tensor } from '../tensor/tensor.js';
import type { TrainEvent } from './events.js';

/** Keeps what a run leaves behind. The one of Node writes a run folder; a page may give one that fills a database. */
export interface Recorder {
  /** Where the run is kept, for people; null when nowhere. */
  readonly folder: string | null;
  event(event: TrainEvent): void;
  /** Weights that are the best so far. */
  best(weights: ReadonlyMap<string, Tensor>, facts: Readonly<Record<string, string>>): Promise<void>;
  /** Everything that is needed to go on from here. */
  last(state: unknown): Promise<void>;
  /** The run is over, or an error ended it. */
  close(): Promise<void>;
}

/** What a run was asked to do, in plain data. */
export type RunConfig = Readonly<Record<string, unknown>>;

/** An earlier run's state, to go on from. */
export interface SavedRun {
  readonly state: unknown;
  /** The best weights, by name; null when there are none yet. */
  readonly best: ReadonlyMap<string, Tensor> | null;
  readonly config: RunConfig;
}
