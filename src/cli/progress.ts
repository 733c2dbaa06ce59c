import { SingleBar } from 'cli-progress';
import type { EpochEvent, Scores, StepEvent, TrainEvent, ValidationEvent } from '../train/events.js';
import { count, duration, percent, type Style } from './style.js';

/** A share of right answers reads as percent, everything else as a number. */
export function formatScore(name: string, value: number): string {
  return /accuracy|^top\d/.test(name) ? `${name} ${percent(value)}` : `${name} ${value.toPrecision(4)}`;
}
const formatScores = (scores: Scores): string =>
  Object.entries(scores)
    .map(([name, value]) => formatScore(name, value))
    .join('  ');

export interface ProgressOptions {
  readonly style: Style;
  readonly out: NodeJS.WriteStream;
  readonly epochs: number;
}

/** Shows events as a live bar, or as plain lines where the output is no terminal. */
export class Progress {
  private readonly bar: SingleBar | null;
  private recent: { loss: number; accuracy: number; since: number } | null = null;
  private rate = 0;
  private lastStep = { seconds: 0, examples: 0 };
  /** The time before the next step is not training: it belongs to validation. */
  private fresh = true;
  private lastLine = 0;
  private running = false;
  private silent = false;

  constructor(private readonly options: ProgressOptions) {
    const format = '{phase}  {bar}  {facts}';
    this.bar = options.out.isTTY
      ? new SingleBar({ format, stream: options.out, hideCursor: true, clearOnComplete: true, barsize: 20, fps: 10, gracefulExit: false })
      : null;
  }

  handle(event: TrainEvent): void {
    if (event.type === 'start' && event.resumed) this.line(`resumed at step ${event.step} of epoch ${event.epoch + 1}`);
    else if (event.type === 'step') this.step(event);
    else if (event.type === 'epoch') this.epoch(event);
    else if (event.type === 'validation') this.validation(event);
    else if (event.type === 'note') this.line(event.level === 'warning' ? this.options.style.yellow(`warning: ${event.text}`) : event.text);
    else if (event.type === 'end') this.stop();
  }

  /** How far a validation pass is. */
  evaluating(done: number): void {
    if (this.bar === null) return;
    if (!this.running) this.start(100, 'evaluating');
    this.bar.update(Math.round(done * 100), { facts: `${Math.round(done * 100)} %` });
    if (done >= 1) this.stop();
  }

  /** A line of its own, whatever the bar is doing. */
  line(text: string): void {
    this.stop();
    this.options.out.write(`${text}\n`);
  }

  stop(): void {
    if (this.running) this.bar?.stop();
    this.running = false;
  }

  private start(total: number, phase: string): void {
    this.bar?.start(total, 0, { phase, facts: '' });
    this.running = true;
  }

  private step(event: StepEvent): void {
    const { bar } = this;
    this.measureRate(event);
    const phase = this.head(event.epoch);
    const left = `${count(this.rate)} examples/s  ${duration(this.secondsLeft(event))} left`;
    const facts = `${event.batch}/${event.batches}  ${this.average(event)}  ${left}`;
    if (bar === null) this.plain(`${phase}  ${facts}`);
    else {
      if (!this.running) this.start(event.batches, phase);
      bar.update(event.batch, { facts });
    }
  }

  /** Loss and accuracy, averaged over the latest fifty steps or so. */
  private average({ loss, metrics, step, batch }: StepEvent): string {
    if (batch === 1 || this.recent === null) this.recent = { loss: 0, accuracy: 0, since: step - 1 };
    const { recent } = this;
    const share = Math.max(0.02, 1 / (step - recent.since));
    recent.loss += share * (loss - recent.loss);
    recent.accuracy += share * ((metrics.accuracy ?? Number.NaN) - recent.accuracy);
    return `loss ${recent.loss.toFixed(4)}${Number.isNaN(recent.accuracy) ? '' : `  accuracy ${percent(recent.accuracy)}`}`;
  }

  /** Without a terminal: a line every five seconds. */
  private plain(text: string): void {
    const now = performance.now();
    if (this.lastLine === 0) this.lastLine = now;
    if (now - this.lastLine < 5000) return;
    this.lastLine = now;
    this.line(text);
  }

  private measureRate({ seconds, examples }: StepEvent): void {
    if (this.fresh) this.lastStep = { seconds, examples: 0 };
    else this.lastStep.examples += examples;
    this.fresh = false;
    const passed = seconds - this.lastStep.seconds;
    if (passed < 0.2) return;
    const now = this.lastStep.examples / passed;
    this.rate = this.rate === 0 ? now : 0.7 * this.rate + 0.3 * now;
    this.lastStep = { seconds, examples: 0 };
  }

  private secondsLeft({ epoch, batch, batches, examples }: StepEvent): number {
    const left = (this.options.epochs - epoch) * batches - batch;
    return this.rate === 0 ? Number.NaN : (left * examples) / this.rate;
  }

  private epoch({ epoch, train, seconds, examplesPerSecond }: EpochEvent): void {
    this.fresh = true;
    this.silent = this.isSilent(epoch, seconds);
    if (!this.silent)
      this.line(`${this.head(epoch)}  train       ${formatScores(train)}  ${duration(seconds)}  ${count(examplesPerSecond)} examples/s`);
  }

  /** Of hundreds of short epochs, some twenty are shown. */
  private isSilent(epoch: number, seconds: number): boolean {
    const { epochs } = this.options;
    return seconds < 1 && epoch + 1 < epochs && epoch % Math.ceil(epochs / 20) !== 0;
  }

  private head(epoch: number): string {
    return `epoch ${epoch + 1}/${this.options.epochs}`;
  }

  private validation({ epoch, scores, seconds }: ValidationEvent): void {
    if (this.silent) return;
    this.line(this.options.style.bold(`${this.head(epoch)}  validation  ${formatScores(scores)}  ${duration(seconds)}`));
  }
}
