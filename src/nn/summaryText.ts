import type { Summary, SummaryRow } from './summary.js';

/** A summary as a table: the tree of layers, and what all of it comes to. */
export function formatSummary({ rows, ...total }: Omit<Summary, 'toString'>): string {
  const header = ['layer', 'output shape', 'parameters', 'MFLOPs'];
  const cells = [header, ...rows.map(cellsOf)];
  const widths = header.map((_, c) => Math.max(...cells.map((row) => row[c]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, c) => (c < 2 ? cell.padEnd(widths[c] ?? 0) : cell.padStart(widths[c] ?? 0)))
      .join('  ')
      .trimEnd();
  const rule = '-'.repeat(widths.reduce((a, b) => a + b + 2, -2));
  const frozen = total.parameters - total.trainable;
  return [
    line(header),
    rule,
    ...cells.slice(1).map(line),
    rule,
    `parameters: ${count(total.parameters)}${frozen > 0 ? `, ${count(frozen)} of them frozen` : ''} (${megabytes(total.parameterBytes)})`,
    `forward ${millions(total.forwardFlops)} MFLOPs, backward ${millions(total.backwardFlops)} MFLOPs`,
    `input ${megabytes(total.inputBytes)}, kept for backward ${megabytes(total.activationBytes)}`,
  ].join('\n');
}

function cellsOf({ path, type, depth, outputShapes, parameters, flops, calls }: SummaryRow): string[] {
  const name = path.split('.').slice(-1)[0] ?? '';
  const label = `${'  '.repeat(depth)}${type}${name === '' ? '' : ` (${name})`}${calls > 1 ? ` x${calls}` : ''}`;
  const shapes = outputShapes.map((s) => `(${s.join(', ')})`).join(' ');
  return [label, calls === 0 ? '-' : shapes, parameters === 0 ? '-' : count(parameters), flops === 0 ? '-' : millions(flops)];
}

const count = (n: number): string => n.toLocaleString('en-US');
const millions = (n: number): string => (n / 1e6).toLocaleString('en-US', { maximumFractionDigits: n < 1e7 ? 3 : 1 });
const megabytes = (n: number): string => `${(n / 1e6).toFixed(n < 1e5 ? 3 : 1)} MB`;
