// The package in headless Chromium: XOR and MNIST digits, in a page and in a module worker, with threads and without.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { bundleForBrowser, digitFiles, findChromium, serve } from '../support/browser.js';
import type { Report } from './training.js';

const executablePath = findChromium();
const args = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
];
const html = '<!doctype html><title>chainrule</title><link rel="icon" href="data:,"><script type="module" src="page.js"></script>';

describe('headless Chromium', { skip: executablePath === undefined && 'no Chromium found (set CHROMIUM or PATH)' }, () => {
  let browser: Browser;
  let server: Server;
  let origin: string;

  before(async () => {
    const bundle = await bundleForBrowser(['page.ts', 'worker.ts']);
    const files = new Map([...bundle].map(([name, { bytes }]) => [name, bytes]));
    files.set('index.html', new TextEncoder().encode(html));
    for (const [name, bytes] of digitFiles(2000, 1000)) files.set(`/mnist/${name}`, bytes);
    ({ origin, server } = await serve(files));
    browser = await chromium.launch({ executablePath: executablePath as string, args });
  });
  after(async () => {
    await browser?.close();
    server?.close();
  });

  for (const place of ['page', 'worker'] as const) {
    for (const isolated of [true, false]) {
      test(`trains in a ${place} ${isolated ? 'with' : 'without'} cross-origin isolation`, { timeout: 180_000 }, async (t) => {
        const context = await browser.newContext({ viewport: { width: 720, height: 240 } });
        const page = await context.newPage();
        const problems: string[] = [];
        page.on('pageerror', (error) => problems.push(error.message));
        page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
        await page.goto(`${origin}/${isolated ? 'isolated' : 'plain'}/index.html?in=${place}`);
        const report = (await page.evaluate('window.result')) as Report;
        await keepPicture(page, `${place}-${isolated ? 'isolated' : 'plain'}`);
        await context.close();
        t.diagnostic(JSON.stringify(report));
        assert.deepEqual(problems, []);
        assert.equal(report.isolated, isolated);
        checkEngine(report);
        assert.ok(report.xor.loss < 0.01, `XOR: loss ${report.xor.loss} after ${report.xor.steps} steps`);
        assert.equal(report.digits.examples, 2000);
        assert.ok(report.digits.accuracy > 0.85, `digits: accuracy ${report.digits.accuracy}`);
      });
    }
  }
});

function checkEngine({ engine, isolated, processors }: Report): void {
  const threads = Number(/^wasm (?:relaxed )?simd, (\d+) threads?/.exec(engine)?.[1]);
  assert.ok(threads >= 1, engine);
  if (!isolated) assert.equal(threads, 1, engine);
  else if (processors > 1) assert.ok(threads >= 2, `${engine} on ${processors} processors`);
}

/** For people to look at, in build/browser. */
async function keepPicture(page: { screenshot(options: { path: string }): Promise<unknown> }, name: string): Promise<void> {
  const folder = fileURLToPath(new URL('../../build/browser/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}${name}.png` });
}
