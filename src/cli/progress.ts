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
  private smooth: { loss: number; accuracy: number } | null = null;
  private rate = 0;
  private lastStep = { seconds: 0, examples: 0 };
  /** The time before the next step is not training: it belongs to validation. */
  private fresh = true;
  private lastLine = 0;
  private running = false;
  private silent = false;

  constructor(private readonly options: ProgressOptions) {
    const format = `epoch {epoch}  {bar}  {value}/{total}  {facts}  {rate} examples/s  {left} left`;
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
    if (!this.running) this.start(100, 'validation');
    this.bar.update(Math.round(done * 100), { epoch: 'validation', facts: '', rate: count(this.rate), left: '…' });
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

  private start(total: number, epoch: string): void {
    this.bar?.start(total, 0, { epoch, facts: '', rate: '…', left: '…' });
    this.running = true;
  }

  private step(event: StepEvent): void {
    const accuracy = event.metrics['accuracy'] ?? Number.NaN;
    const keep = this.smooth === null || event.batch === 1 ? 0 : 0.98;
    const before = this.smooth ?? { loss: 0, accuracy: 0 };
    this.smooth = { loss: keep * before.loss + (1 - keep) * event.loss, accuracy: keep * before.accuracy + (1 - keep) * accuracy };
    this.measureRate(event);
    const { bar } = this;
    const payload = {
      epoch: `${event.epoch + 1}/${this.options.epochs}`,
      facts: `loss ${this.smooth.loss.toFixed(4)}${Number.isNaN(accuracy) ? '' : `  accuracy ${percent(this.smooth.accuracy)}`}`,
      rate: count(this.rate),
      left: duration(this.secondsLeft(event)),
    };
    if (bar === null) return this.plain(event, payload);
    if (!this.running) this.start(event.batches, payload.epoch);
    bar.update(event.batch, payload);
  }

  /** Without a terminal: a line every five seconds. */
  private plain({ batch, batches }: StepEvent, { epoch, facts, rate, left }: Readonly<Record<string, string>>): void {
    const now = performance.now();
    if (this.lastLine === 0) this.lastLine = now;
    if (now - this.lastLine < 5000) return;
    this.lastLine = now;
    this.line(`epoch ${epoch}  batch ${batch}/${batches}  ${facts}  ${rate} examples/s  ${left} left`);
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
    if (!this.silent) this.line(`epoch ${epoch + 1}/${this.options.epochs}  train       ${formatScores(train)}  ${duration(seconds)}  ${count(examplesPerSecond)} examples/s`);
  }

  /** Of hundreds of short epochs, some twenty are shown. */
  private isSilent(epoch: number, seconds: number): boolean {
    const { epochs } = this.options;
    return seconds < 1 && epoch + 1 < epochs && epoch % Math.ceil(epochs / 20) !== 0;
  }

  private validation({ epoch, scores, seconds }: ValidationEvent): void {
    if (this.silent) return;
    this.line(this.options.style.bold(`epoch ${epoch + 1}/${this.options.epochs}  validation  ${formatScores(scores)}  ${duration(seconds)}`));
  }
}
