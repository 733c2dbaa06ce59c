// Every architecture at its tiny size learns its task: the loss on data drawn apart falls by half at least.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tinyTasks } from '../../dist/entries/models.js';

for (const task of tinyTasks) {
  test(`models: ${task.id}, ${task.name}: the loss falls by half`, () => {
    const { before, after } = task.run();
    assert.ok(Number.isFinite(before) && after <= before / 2, `${before} before, ${after} after`);
  });
}
