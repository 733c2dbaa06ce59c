import { matchNames } from '../io/names.js';
import type { Metric } from '../metrics/metric.js';
import { detectAnomaly } from '../nn/anomaly.js';
import type { AnyModule } from '../nn/module.js';
import type { GradScaler, GradScalerState } from '../optim/gradScaler.js';
import type { OptimizerState } from '../optim/optimizer.js';
import type { SchedulerState } from '../optim/scheduler.js';
import { noGrad } from '../tensor/autograd.js';
import { getRandomState, type RandomState, setRandomState } from '../tensor/random.js';
import type { Tensor, TensorData } from '../tensor/tensor.js';
import type { Callback, RunControl, RunSnapshot } from './callbacks.js';
import { CompiledPart, type CompileMode } from './compiled.js';
import { type BatchValues, type Evaluation, evaluateWith, evaluationStep, type ForwardFn, type LossFn, Tally } from './evaluate.js';
import type { EpochEvent, Scores, StepEvent, TrainEvent, ValidationEvent } from './events.js';
import { withMode } from './modes.js';
import type { Batches, Precision, TrainOptimizer, TrainSchedule } from './options.js';
import { pause } from './pause.js';
import { beginning, countStep, type Progress } from './progress.js';
import { ReadQueue } from './readQueue.js';
import type { Recorder, SavedRun } from './recorder.js';
import { putBack, takeSnapshot, withRates } from './snapshot.js';
import { finishStep, type StepValues, trainStep } from './trainStep.js';

interface SavedState {
  readonly version: 1;
  readonly model: ReadonlyMap<string, Tensor>;
  readonly optimizer: OptimizerState;
  readonly schedule: SchedulerState | null;
  readonly scaler?: GradScalerState | null;
  readonly callbacks: Readonly<Record<string, unknown>>;
  readonly random: RandomState;
  readonly progress: Progress;
}

/** A run with everything decided. */
export interface Setup<B> {
  readonly model: AnyModule;
  readonly train: Batches<B>;
  readonly validation: Batches<B> | null;
  readonly loss: LossFn;
  readonly forward: ForwardFn<B>;
  readonly optimizer: TrainOptimizer;
  readonly schedule: TrainSchedule | null;
  readonly scheduleEvery: 'step' | 'epoch';
  readonly metrics: readonly Metric[];
  readonly epochs: number;
  readonly clipGradNorm: number | null;
  readonly accumulate: number;
  readonly callbacks: readonly Callback[];
  readonly monitor: string;
  readonly evaluateTrain: boolean;
  readonly restoreBest: boolean;
  readonly compile: CompileMode;
  readonly precision: Precision;
  /** float16: scales losses so that their gradients do not vanish. */
  readonly scaler: GradScaler | null;
  readonly detectAnomaly: boolean;
  readonly signal: AbortSignal | null;
  readonly onEvent: (event: TrainEvent) => void;
  readonly onEvaluate: (done: number) => void;
}

/** Milliseconds between checkpoints at the ends of short epochs. */
const SAVE_EVERY = 1000;

/** A share of an epoch's time that is worth a word. */
const LONG_WAIT = 0.2;

/** The training loop and its state. */
export class Trainer<B> implements RunControl {
  readonly model: AnyModule;
  readonly optimizer: TrainOptimizer;
  progress: Progress = beginning();
  stopped: string | null = null;
  recorder: Recorder | null = null;
  private keep = true;
  private wantsCheckpoint = false;
  /** Whether steps were taken since the last checkpoint. */
  private unsaved = false;
  private lastSave = Number.NEGATIVE_INFINITY;
  /** Writes the best weights; they reach the disk with the next checkpoint, as epochs can be very short. */
  private unsavedBest: (() => Promise<void>) | null = null;
  private bestWeights: ReadonlyMap<string, Tensor> | null = null;
  private readonly stepMetrics: readonly Metric[];
  private readonly trainStep: CompiledPart<[group: readonly B[]], StepValues>;
  private readonly evaluationStep: CompiledPart<[batch: B], BatchValues>;
  /** What of a step must run outside of compiled programs. */
  private readonly finish: (() => Tensor | null) | null;
  private readonly queue = new ReadQueue();
  private tally: Tally;
  private epochStarted = 0;
  private epochExamples = 0;
  private dataSeconds = 0;
  private readonly started = performance.now();

  constructor(private readonly setup: Setup<B>) {
    this.model = setup.model;
    this.optimizer = setup.optimizer;
    this.stepMetrics = setup.metrics.filter((m) => m.evaluationOnly !== true);
    this.tally = new Tally(this.stepMetrics);
    const note = (text: string): void => this.note(text);
    this.trainStep = new CompiledPart('training step', trainStep({ ...setup, metrics: this.stepMetrics }), setup.compile, note);
    this.finish = finishStep(setup);
    this.evaluationStep = new CompiledPart('validation step', evaluationStep(setup.model, setup), setup.compile, note);
  }

  stop(reason: string, { keep = true }: { readonly keep?: boolean } = {}): void {
    this.stopped ??= reason;
    this.keep &&= keep;
  }
  checkpoint(): void {
    this.wantsCheckpoint = true;
  }
  get step(): number {
    return this.progress.step;
  }
  snapshot(): RunSnapshot {
    return takeSnapshot(this.model, this.optimizer, this.progress.step);
  }
  restore(snapshot: RunSnapshot, { lrFactor = 1 }: { readonly lrFactor?: number } = {}): void {
    putBack(snapshot, this.model, this.optimizer);
    this.progress.lrScale = (this.progress.lrScale ?? 1) * lrFactor;
  }
  note(text: string, level: 'info' | 'warning' = 'info'): void {
    this.emit({ type: 'note', level, text, epoch: this.progress.epoch, step: this.progress.step });
  }

  /** Trains up to the last epoch or until something stops it. */
  async run(): Promise<void> {
    for (const c of this.setup.callbacks) await c.onStart?.(this);
    await withMode(this.model, true, async () => {
      while (this.stopped === null && this.progress.epoch < this.setup.epochs) {
        await this.epoch();
        if (this.setup.signal?.aborted) this.stop('interrupted');
      }
    });
    if (this.unsaved && this.keep) await this.saveLast();
    if (this.stopped !== 'interrupted' && this.setup.restoreBest && this.bestWeights !== null) this.model.loadStateDict(this.bestWeights);
    for (const c of this.setup.callbacks) await c.onEnd?.(this);
    const { epoch, step } = this.progress;
    this.emit({ type: 'end', stopped: this.stopped ?? 'finished', epoch, step, seconds: this.seconds() });
  }

  /** The first event of a run. */
  announce(seed: number, resumed: boolean, engine: string): void {
    const { train, epochs } = this.setup;
    const parameters = this.model.parameters().reduce((n, p) => n + p.size, 0);
    const { epoch, step } = this.progress;
    this.emit({ type: 'start', epochs, batches: train.length, batchSize: train.batchSize, parameters, seed, engine, resumed, epoch, step });
  }

  private emit(event: TrainEvent): void {
    this.recorder?.event(event);
    this.setup.onEvent(event);
  }
  private seconds(): number {
    return (performance.now() - this.started) / 1000;
  }

  private async epoch(): Promise<void> {
    const { train, accumulate } = this.setup;
    const { progress } = this;
    this.epochStarted = performance.now();
    this.epochExamples = 0;
    this.tally = new Tally(this.stepMetrics);
    Object.assign(this.tally, structuredClone(progress.tally));
    let group: B[] = [];
    this.dataSeconds = 0;
    for await (const batch of this.timed(train.batchesOf(progress.epoch, progress.batch))) {
      group.push(batch);
      if (group.length < accumulate) continue;
      await this.stepOn(group);
      group = [];
      if (this.stopped !== null) break;
    }
    if (group.length > 0 && this.stopped === null) await this.stepOn(group);
    await this.queue.drain();
    // A stop between the last step and here still leaves a whole epoch.
    if (progress.batch >= train.length && this.keep) await this.endEpoch();
  }

  /** Batches as they come, with the time that the loop waits for them. */
  private async *timed(batches: AsyncIterable<B>): AsyncIterable<B> {
    let asked = performance.now();
    for await (const batch of batches) {
      this.dataSeconds += (performance.now() - asked) / 1000;
      yield batch;
      asked = performance.now();
    }
  }

  /** One step of the optimizer and of the schedule, and what is told of it. */
  private async stepOn(group: readonly B[]): Promise<void> {
    const { optimizer } = this.setup;
    const { lrScale = 1 } = this.progress;
    const lr = optimizer.paramGroups.map((g) => g.lr * lrScale);
    const { parts, norm } = withRates(optimizer, lrScale, () => this.runStep(group));
    this.stepSchedule('step');
    this.unsaved = true;
    countStep(this.progress, group);
    await this.report(parts, norm, lr);
    if (this.wantsCheckpoint && this.keep) await this.saveLast();
    await pause();
    if (this.setup.signal?.aborted) this.stop('interrupted');
  }

  private stepSchedule(after: 'step' | 'epoch'): void {
    const { schedule, scheduleEvery } = this.setup;
    if (scheduleEvery !== after) return;
    schedule?.step();
    if (schedule?.restarted) this.note('the learning rate begins anew: the loss will rise for a while');
  }

  /** A step, with what of it must run outside of compiled programs. */
  private runStep(group: readonly B[]): StepValues {
    const run = (): StepValues => this.trainStep.run(group);
    const { parts, norm } = this.setup.detectAnomaly ? detectAnomaly(run, { model: this.model, step: this.progress.step + 1 }) : run();
    return { parts, norm: this.finish?.() ?? norm };
  }

  /** Reads losses and metrics and tells everybody, at once or a few steps later. */
  private async report(parts: readonly BatchValues[], norm: Tensor | null, lr: readonly number[]): Promise<void> {
    const { epoch, batch, step, samples = 0, tokens = 0 } = this.progress;
    const width = this.stepMetrics.length + 1;
    const tensors = [...parts.flatMap((p) => p.values), ...(norm === null ? [] : [norm])];
    await this.queue.push(tensors, (values) => {
      const group = new Tally(this.stepMetrics);
      parts.forEach(({ shapes }, i) => {
        const [value, ...measured] = values.slice(i * width, (i + 1) * width) as TensorData[];
        for (const tally of [group, this.tally]) tally.add(value?.[0] ?? Number.NaN, measured, shapes);
      });
      const { loss = Number.NaN, ...metrics } = group.scores();
      this.epochExamples += group.examples;
      const gradNorm = norm === null ? {} : { gradNorm: values.at(-1)?.[0] ?? Number.NaN };
      const seconds = this.seconds();
      const { length: batches } = this.setup.train;
      const event: StepEvent = {
        type: 'step',
        epoch,
        batch,
        batches,
        step,
        examples: group.examples,
        samples,
        ...(tokens > 0 && { tokens }),
        loss,
        metrics,
        lr,
        ...gradNorm,
        seconds,
      };
      this.emit(event);
      for (const c of this.setup.callbacks) c.onStep?.(event, this);
    });
  }

  private async endEpoch(): Promise<void> {
    const { train, callbacks, evaluateTrain } = this.setup;
    const { progress } = this;
    const { epoch, step } = progress;
    const seconds = (performance.now() - this.epochStarted) / 1000;
    const scores = evaluateTrain ? (await this.evaluate(train)).scores : this.tally.scores();
    const examplesPerSecond = this.epochExamples / seconds;
    const { dataSeconds } = this;
    const all = seconds + progress.epochSeconds;
    const event: EpochEvent = { type: 'epoch', epoch, step, train: scores, seconds: all, dataSeconds, examplesPerSecond };
    this.emit(event);
    if (dataSeconds > LONG_WAIT * seconds && seconds > 1) {
      const share = Math.round((100 * dataSeconds) / seconds);
      this.note(`training waited for its data ${share} % of the time: load it in workers, or prepare tensors before training`);
    }
    const validation = await this.validate();
    const lr = this.optimizer.paramGroups.map((g) => g.lr);
    progress.history.push({ epoch, step, train: scores, validation: validation?.scores ?? null, lr, seconds: event.seconds });
    await this.keepBest(validation?.scores ?? (evaluateTrain ? scores : null));
    this.stepSchedule('epoch');
    for (const c of callbacks) await c.onEpoch?.(event, validation, this);
    progress.epoch++;
    progress.batch = 0;
    progress.epochSeconds = 0;
    progress.tally = { sums: {}, examples: 0 };
    this.tally = new Tally(this.stepMetrics);
    if (this.keep && (progress.epoch >= this.setup.epochs || performance.now() - this.lastSave > SAVE_EVERY)) await this.saveLast();
  }

  private evaluate(data: Batches<B>): Promise<Evaluation> {
    const { metrics, onEvaluate } = this.setup;
    return evaluateWith((batch) => this.evaluationStep.run(batch), this.model, data, { metrics, onBatch: onEvaluate });
  }

  private async validate(): Promise<ValidationEvent | null> {
    const { validation } = this.setup;
    if (validation === null) return null;
    const { epoch, step } = this.progress;
    const event: ValidationEvent = { type: 'validation', epoch, step, ...(await this.evaluate(validation)) };
    this.emit(event);
    return event;
  }

  private async keepBest(scores: Scores | null): Promise<void> {
    const { monitor, metrics } = this.setup;
    const { epoch, step, best } = this.progress;
    const higher = metrics.find((m) => m.name === monitor)?.better === 'higher';
    const value = scores?.[monitor] ?? Number.NaN;
    const better = best === null || (higher ? value > best.value : value < best.value);
    if (scores !== null && (!better || Number.isNaN(value))) return;
    if (scores !== null) this.progress.best = { monitor, value, epoch, step };
    // Without anything to judge by, the latest weights are the best ones.
    const weights = this.model.stateDict();
    this.bestWeights = scores === null ? null : noGrad(() => new Map([...weights].map(([name, t]) => [name, t.detach().clone()])));
    this.unsavedBest = async () => {
      const facts: Readonly<Record<string, string>> = scores === null ? {} : { monitor, value: `${value}` };
      await this.recorder?.best(this.bestWeights ?? weights, { epoch: `${epoch}`, step: `${step}`, ...facts });
      this.emit({ type: 'checkpoint', kind: 'best', epoch, step, ...(scores === null ? {} : { value }) });
    };
  }

  /** The state of everything, from which a run goes on exactly. */
  state(): SavedState {
    const { callbacks, schedule } = this.setup;
    const { progress } = this;
    const started = progress.batch === 0 ? 0 : (performance.now() - this.epochStarted) / 1000;
    return {
      version: 1,
      model: this.model.stateDict(),
      optimizer: this.optimizer.stateDict(),
      schedule: schedule?.stateDict() ?? null,
      scaler: this.setup.scaler?.stateDict() ?? null,
      callbacks: Object.fromEntries(callbacks.flatMap((c) => (c.stateDict ? [[c.name, c.stateDict()]] : []))),
      random: getRandomState(),
      progress: {
        ...progress,
        epochSeconds: progress.epochSeconds + started,
        tally: { sums: this.tally.sums, examples: this.tally.examples },
      },
    };
  }

  /** Takes up an earlier run. */
  resume({ state, best }: SavedRun): void {
    const saved = state as SavedState;
    this.model.loadStateDict(saved.model);
    this.optimizer.loadStateDict(saved.optimizer);
    if (saved.schedule !== null) this.setup.schedule?.loadStateDict(saved.schedule);
    if (saved.scaler) this.setup.scaler?.loadStateDict(saved.scaler);
    for (const c of this.setup.callbacks) {
      if (c.name in saved.callbacks) c.loadStateDict?.(saved.callbacks[c.name] as never);
    }
    this.progress = saved.progress;
    const names = [...this.model.stateDict().keys()];
    this.bestWeights = saved.progress.best === null || best === null ? null : matchNames(best, names);
    setRandomState(saved.random);
  }

  private async saveLast(): Promise<void> {
    this.wantsCheckpoint = false;
    this.unsaved = false;
    this.lastSave = performance.now();
    if (this.recorder === null) return;
    await this.queue.drain();
    await this.unsavedBest?.();
    this.unsavedBest = null;
    await this.recorder.last(this.state());
    this.emit({ type: 'checkpoint', kind: 'last', epoch: this.progress.epoch, step: this.progress.step });
  }
}
