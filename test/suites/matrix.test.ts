// The support matrix: every row on every backend. Printed, and a hole is a failure.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Tensor, withDevice } from '../../dist/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { callOf, sampleGradients, samplesOf } from '../../dist/testing/properties.js';
import { tensorsIn } from '../../dist/testing/samples.js';
import { everyBackend } from '../support/backends.js';
import { ops } from '../support/table.js';

const here = everyBackend.filter(({ backend }) => backend !== null);

/** What keeps a row from running on a backend; null when nothing does. */
function holeOf(op: (typeof ops)[number], device: Backend): string | null {
  try {
    withDevice(device, () => {
      for (const args of samplesOf(op.row)) for (const y of tensorsIn(callOf(op)(...args))) (y as Tensor).toArray();
      if (op.row.differentiable) sampleGradients(op, 'float32');
    });
    return null;
  } catch (error) {
    return (error as Error).message.split('\n')[0] ?? 'failed';
  }
}

const matrix = ops.map((op) => ({ op, holes: here.map(({ backend }) => holeOf(op, backend as Backend)) }));

function print(): void {
  const absent = everyBackend.filter(({ backend }) => backend === null);
  console.log(`\nSupport matrix: ${ops.length} rows × ${here.map(({ name }) => name).join(', ')} (g: with gradients)`);
  for (const { name, why } of absent) console.log(`  not here: ${name} (${why})`);
  const cells = matrix.map(({ op, holes }) => {
    const marks = holes.map((hole) => (hole !== null ? '-' : op.row.differentiable ? 'g' : '+')).join(' ');
    return `${op.row.name.padEnd(28)} ${marks}`;
  });
  const third = Math.ceil(cells.length / 3);
  for (let i = 0; i < third; i++)
    console.log(`  ${[cells[i], cells[i + third], cells[i + 2 * third]].map((c) => (c ?? '').padEnd(40)).join('')}`.trimEnd());
}

print();

here.forEach(({ name }, k) => {
  test(`${name} runs every row`, () => {
    const holes = matrix.flatMap(({ op, holes }) => (holes[k] === null ? [] : [`${op.row.name}: ${holes[k]}`]));
    assert.deepEqual(holes, []);
  });
});
