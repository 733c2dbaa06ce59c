import asciichart from 'asciichart';
import type { StepEvent, TrainEvent } from '../train/events.js';
import type { EpochRecord } from '../train/progress.js';
import type { Style } from './style.js';

/** Rows are true classes, columns what the model took them for; each row ends with the share that was right. */
export function drawConfusion(table: readonly (readonly number[])[], classes: readonly string[] | undefined, { bold, dim }: Style): string {
  const names = table.map((_, i) => classes?.[i] ?? `${i}`);
  const width = Math.max(5, ...table.flat().map((n) => `${n}`.length + 1), ...names.map((n) => n.length + 1));
  const cell = (text: string): string => text.padStart(width);
  const head = cell('') + names.map(cell).join('') + cell('right').padStart(width + 4);
  const rows = table.map((row, i) => {
    const total = row.reduce((a, b) => a + b, 0);
    const cells = row.map((n, j) => (i === j ? bold(cell(`${n}`)) : n === 0 ? dim(cell('.')) : cell(`${n}`)));
    return `${cell(names[i] ?? '')}${cells.join('')}${`${((100 * (row[i] ?? 0)) / Math.max(total, 1)).toFixed(1)} %`.padStart(width + 4)}`;
  });
  return [dim(head), ...rows].join('\n');
}

const WIDTH = 60;

/** How values become heights, and heights labels. */
interface Scale {
  place(value: number): number;
  label(height: number): string;
}
/** Equal steps for each factor of ten: losses fall fast at first. */
const decades: Scale = {
  place: (loss) => Math.log10(Math.min(Math.max(Number.isFinite(loss) ? loss : 1e6, 1e-6), 1e6)),
  label: (height) => (10 ** height).toPrecision(3),
};
/** Equal steps for 90 %, 99 %, 99.9 %. */
const nines: Scale = {
  place: (share) => -Math.log10(Math.max(1 - (Number.isFinite(share) ? share : 0), 1e-4)),
  label: (height) => `${(100 * (1 - 10 ** -height)).toFixed(2)} %`,
};

/** The loss (and accuracy) over the steps of a run, with validation drawn level over each epoch. */
export class Curves {
  private readonly steps: StepEvent[] = [];

  handle(event: TrainEvent): void {
    if (event.type === 'step') this.steps.push(event);
  }

  draw(history: readonly EpochRecord[], style: Style): string {
    if (this.steps.length < 2) return '';
    const charts = [this.chart('loss', (s) => s.loss, decades, history, style)];
    if (this.steps.some((s) => 'accuracy' in s.metrics)) {
      charts.push(this.chart('accuracy', (s) => s.metrics.accuracy ?? Number.NaN, nines, history, style));
    }
    return charts.join('\n\n');
  }

  private chart(
    name: string,
    of: (step: StepEvent) => number,
    scale: Scale,
    history: readonly EpochRecord[],
    { bold, dim, color }: Style,
  ): string {
    const train = this.columns(of);
    const validation = this.validationColumns(name, history, train.length);
    // What comes last is drawn on top: the curve over the level lines.
    const series = [...(validation === null ? [] : [validation]), train].map((values) => values.map(scale.place));
    const colors = color ? { colors: validation === null ? [asciichart.blue] : [asciichart.green, asciichart.blue] } : {};
    const drawn = asciichart.plot(series, { height: 9, format: (y: number) => scale.label(y).padStart(9), ...colors });
    const names =
      validation === null ? 'training' : `training${color ? ' (blue)' : ''}, validation${color ? ' (green)' : ' (level lines)'}`;
    return `${bold(name)}  ${dim(`${names}, steps ${this.steps[0]?.step}..${this.steps.at(-1)?.step}`)}\n${drawn}`;
  }

  /** Means over equal parts of the run. */
  private columns(of: (step: StepEvent) => number): number[] {
    const n = Math.min(WIDTH, this.steps.length);
    return Array.from({ length: n }, (_, i) => {
      const part = this.steps.slice(Math.floor((i * this.steps.length) / n), Math.floor(((i + 1) * this.steps.length) / n));
      return part.reduce((sum, s) => sum + of(s), 0) / part.length;
    });
  }

  private validationColumns(name: string, history: readonly EpochRecord[], n: number): number[] | null {
    const seen = history.filter((h) => h.validation?.[name] !== undefined);
    if (seen.length === 0) return null;
    const first = (this.steps[0]?.step ?? 1) - 1;
    const span = (this.steps.at(-1)?.step ?? 1) - first;
    return Array.from({ length: n }, (_, i) => {
      const step = first + ((i + 1) * span) / n;
      const epoch = seen.find((h) => h.step >= step) ?? seen.at(-1);
      return epoch?.validation?.[name] ?? 0;
    });
  }
}
