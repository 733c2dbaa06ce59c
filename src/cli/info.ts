import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { CpuBackend } from '../backends/cpu/backend.js';
import { engine } from '../index.js';

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** `chainrule info`: what a bug report needs. */
export function info(): void {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  const { backend, reason } = engine();
  const rows: [string, string][] = [
    ['chainrule', version],
    ['node', `${process.versions.node} (V8 ${process.versions.v8})`],
    ['platform', `${process.platform} ${process.arch}`],
    ['engine', `${backend.describe()}${reason === undefined ? '' : ` (${reason})`}`],
  ];
  if (backend instanceof CpuBackend) {
    const { isa, isas, threads, memory } = backend.engineInfo();
    rows.push(['instructions', `${isa} (of ${isas.join(', ')})`], ['threads', `${threads}`]);
    if (memory !== undefined) rows.push(['engine memory', gigabytes(memory)]);
  }
  rows.push(
    ['processors', `${availableParallelism()} (${cpus()[0]?.model.trim() ?? 'unknown'})`],
    ['memory', `${gigabytes(totalmem())}, ${gigabytes(freemem())} free`],
  );
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(14)} ${value}\n`);
}
