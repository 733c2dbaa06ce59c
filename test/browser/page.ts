// The page's script: trains here, or in a module worker when the address says so, and shows what came out.
import type { Report } from './training.js';

/** The engine starts where it is imported: a page that leaves the work to its worker starts none. */
async function inPage(): Promise<Report> {
  const { trainBoth } = await import('./training.js');
  return trainBoth();
}

function inWorker(): Promise<Report> {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Report | string>) => (typeof data === 'string' ? reject(new Error(data)) : resolve(data));
    worker.onerror = ({ message }) => reject(new Error(message));
  });
}

function show({ engine, isolated, xor, digits }: Report): void {
  const rows = [
    ['engine', engine],
    ['cross-origin isolated', isolated ? 'yes' : 'no'],
    ['XOR', `loss ${xor.loss.toFixed(4)} after ${xor.steps} steps, ${xor.milliseconds.toFixed(0)} ms`],
    ['digits', `${(100 * digits.accuracy).toFixed(1)} % after ${digits.examples} digits, ${digits.milliseconds.toFixed(0)} ms`],
  ];
  const table = document.body.appendChild(document.createElement('table'));
  for (const cells of rows) {
    const row = table.insertRow();
    for (const cell of cells) row.insertCell().textContent = cell;
  }
}

const result = (new URLSearchParams(location.search).get('in') === 'worker' ? inWorker() : inPage()).then((report) => {
  show(report);
  return report;
});
result.catch((error: unknown) => {
  document.body.textContent = String(error);
});
Object.assign(window, { result });
