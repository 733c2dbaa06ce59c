import type { Profile, ProfileRow } from './profile.js';

/** Rows beyond these are summed up in one line. */
const SHOWN = 24;
const LARGEST = 6;

/** A profile as a table for people. */
export function formatProfile({ device, ms, gflops, limits, rows, memory }: Omit<Profile, 'trace' | 'toString'>): string {
  const total = rows.reduce((n, r) => n + r.ms, 0);
  const shown = rows.slice(0, SHOWN);
  const rest = rows.slice(SHOWN);
  const cells = shown.map((r) => rowCells(r, total));
  if (rest.length > 0) {
    const restMs = rest.reduce((n, r) => n + r.ms, 0);
    const calls = rest.reduce((n, r) => n + r.calls, 0);
    cells.push([`${rest.length} more`, '', `${calls}`, time(restMs), percent(restMs / total), '', '', '']);
  }
  const header = ['kernel', 'shapes', 'calls', 'ms', 'time', 'GFLOP/s', 'GB/s', 'of limit'];
  const limit = limits.gflops > 0 ? `${limits.gflops.toFixed(0)} GFLOP/s, ` : '';
  return [
    `${device}: ${time(ms)} ms a run (${time(total)} ms kernel by kernel), ${gflops.toFixed(1)} GFLOP/s`,
    `limits measured now: ${limit}${limits.gbps.toFixed(1)} GB/s`,
    '',
    ...table([header, ...cells]),
    '',
    ...memoryLines(memory),
  ].join('\n');
}

function rowCells(r: ProfileRow, total: number): string[] {
  const rate = (work: number): string => (r.ms === 0 || work === 0 ? '' : ((work * r.calls) / r.ms / 1e6).toFixed(1));
  const share = r.shareOfLimit === 0 ? '' : percent(r.shareOfLimit);
  return [cut(r.name, 28), cut(r.shapes, 44), `${r.calls}`, time(r.ms), percent(r.ms / total), rate(r.flops), rate(r.bytes), share];
}

function memoryLines({ arena, fixed, arguments: given, peakStep, atPeak }: Profile['memory']): string[] {
  const lines = [
    `memory: ${bytes(arena)} of temporaries, ${bytes(fixed)} that stay (weights, state, gradients), ${bytes(given)} of arguments`,
  ];
  if (atPeak.length === 0) return lines;
  const largest = atPeak.slice(0, LARGEST).map((l) => `${cut(l.name, 28)} ${bytes(l.bytes)} (steps ${l.firstStep}-${l.lastStep})`);
  return [...lines, `at its peak, step ${peakStep}, the largest of ${atPeak.length}: ${largest.join(', ')}`];
}

/** The first two columns to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, c) => Math.max(...rows.map((row) => row[c]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, c) => (c < 2 ? cell.padEnd(widths[c] ?? 0) : cell.padStart(widths[c] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

const time = (ms: number): string => (ms >= 100 ? ms.toFixed(1) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(4));
const percent = (x: number): string => `${(100 * x).toFixed(x < 0.0995 ? 1 : 0)} %`;
const cut = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`);

/** 1.5 MB: thousands, as disks count. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  const at = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(n, 1)) / 3)));
  return `${(n / 1000 ** at).toFixed(at === 0 ? 0 : 1)} ${units[at]}`;
}
