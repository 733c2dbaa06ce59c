// The programs of README.md are as short as it says. packaging/pack.test.ts runs them exactly as they stand there, and type-checks them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineCount, readmePrograms } from './support/readme.js';

test('the first program has at most 40 lines, the second at most 15', () => {
  const programs = readmePrograms();
  assert.ok(lineCount(programs.training) <= 40, `${lineCount(programs.training)} lines`);
  assert.ok(lineCount(programs.fit) <= 15, `${lineCount(programs.fit)} lines`);
  for (const needed of ['extends Module', 'DataLoader', 'AdamW', '.backward()']) assert.ok(programs.training.includes(needed), needed);
  assert.ok(programs.fit.includes('fit('));
});
