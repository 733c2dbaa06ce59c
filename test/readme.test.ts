// The programs of README.md run exactly as they stand there, and are as short as it says.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { lineCount, readmePrograms, transpile } from './support/readme.js';

const programs = readmePrograms();
const root = fileURLToPath(new URL('../', import.meta.url));

/** Runs a program inside this package, where `chainrule` means the package itself. Gives what it printed. */
async function run(name: string, program: string): Promise<{ readonly output: string; readonly seconds: number }> {
  mkdirSync(join(root, 'build'), { recursive: true });
  const folder = mkdtempSync(join(root, 'build', 'readme-'));
  try {
    const file = join(folder, `${name}.mjs`);
    writeFileSync(file, await transpile(program));
    const started = performance.now();
    const output = await new Promise<string>((resolve, reject) => {
      const child = spawn(process.execPath, [file], { cwd: folder });
      let text = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (text += data.toString()));
      child.on('error', reject);
      child.on('close', (status) => (status === 0 ? resolve(text) : reject(new Error(`${name} ended with status ${status}\n${text}`))));
    });
    return { output, seconds: (performance.now() - started) / 1000 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the first program has at most 40 lines, the second at most 15', () => {
  assert.ok(lineCount(programs.training) <= 40, `${lineCount(programs.training)} lines`);
  assert.ok(lineCount(programs.fit) <= 15, `${lineCount(programs.fit)} lines`);
  for (const needed of ['extends Module', 'DataLoader', 'AdamW', '.backward()']) assert.ok(programs.training.includes(needed), needed);
  assert.ok(programs.fit.includes('fit('));
});

/** All of MNIST would take the reference engine hours. */
const skip = process.env.CHAINRULE_BACKEND === 'reference' && 'too much work for the reference engine';

test('the training script learns MNIST', { skip }, async (t) => {
  const { output, seconds } = await run('training', programs.training);
  const accuracy = Number(/test accuracy ([\d.]+) %/.exec(output)?.[1]);
  t.diagnostic(`${seconds.toFixed(1)} s, ${output.trim().split('\n').at(-1)}`);
  assert.ok(accuracy > 95, output);
});

test('the script with fit() learns MNIST', { skip }, async (t) => {
  const { output, seconds } = await run('fit', programs.fit);
  const accuracy = Number(/accuracy: ([\d.]+)/.exec(output.trim().split('\n').slice(-1).join())?.[1]);
  t.diagnostic(`${seconds.toFixed(1)} s, accuracy ${accuracy}`);
  assert.ok(accuracy > 0.94, output);
});
