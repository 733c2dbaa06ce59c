// Runs test/**/*.test.ts against dist/ with Node's own test runner.
//   node scripts/test.mjs [files ...] [--tiny] [--backend NAME] [--name REGEXP] [--slowest N]
// Files are given by any part of their path; those for CI (*.ci.test.ts) run only then. --tiny runs test/tiny.test.ts alone. The last line
// is `N passed, N failed`.
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { run } from 'node:test';
import { parseArgs } from 'node:util';
import { filesBelow, inRoot, root } from './build/files.mjs';
import { buildSignatures } from './build/signatures.mjs';
import { buildTypescript } from './build/typescript.mjs';
import { bundleTests, inGroups } from './test/bundle.mjs';
import { Report } from './test/report.mjs';

const MINUTE = 60_000;

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { tiny: { type: 'boolean' }, backend: { type: 'string' }, name: { type: 'string' }, slowest: { type: 'string' } },
    });
  } catch (error) {
    return stop(`${error.message.split('\n')[0]} Options: --tiny, --backend NAME, --name REGEXP, --slowest N.`);
  }
}

function stop(message) {
  console.error(`test: ${message}`);
  process.exit(2);
}

function testFiles(filters) {
  const all = filesBelow(inRoot('test'))
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => relative(root, file).replaceAll('\\', '/'));
  if (filters.length === 0) return all.filter((file) => !file.endsWith('.ci.test.ts'));
  const wanted = filters.map((filter) => filter.replace(/^\.\//, ''));
  const missing = wanted.find((filter) => !all.some((file) => file.includes(filter)));
  if (missing !== undefined) stop(`no test file has '${missing}' in its path.`);
  return all.filter((file) => wanted.some((filter) => file.includes(filter)));
}

/** Long files first: the last one to finish then leaves a processor idle for a short time only. */
const weights = ['pack', 'browser.test', 'cli', 'workloads', 'modelsTiny', 'capture', 'gradients', 'torch', 'backends', 'fused', 'modules'];
/** All others share this many processes. */
const SHARED = 8;
const byWeight = (a, b) => rank(a) - rank(b);
const rank = (file) => (weights.findIndex((word) => file.includes(word)) + weights.length + 1) % (weights.length + 1);

const { values, positionals } = options();
if (values.tiny && positionals.length > 0) stop('--tiny takes no file names.');
if (values.backend !== undefined) process.env.CHAINRULE_BACKEND = values.backend;
// Two files run at once: a thread each, where a test does not ask for more, is all that two processors have.
process.env.CHAINRULE_THREADS ??= '1';
process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --enable-source-maps --no-warnings`;

const report = new Report(root, { slowest: Number(values.slowest ?? 0) });
// The full run comes after `npm run build`; the tiny one also stands alone.
if (values.tiny && buildTypescript().failed) report.fail('type check', 'src/ has type errors, see above');
buildSignatures(); // dist/checked, which tests import, may be older than what tsc has written

const files = testFiles(values.tiny ? ['test/tiny.test.ts'] : positionals).sort(byWeight);
const bundles = await bundleTests(files);
const isLong = (bundle) => rank(bundles.get(bundle)) < weights.length;
const [long, short] = [[...bundles.keys()].filter(isLong), [...bundles.keys()].filter((bundle) => !isLong(bundle))];
const stream = run({
  files: [...long, ...inGroups(short, SHARED)],
  concurrency: Math.min(2, availableParallelism()),
  timeout: 20 * MINUTE,
  ...(values.name !== undefined && { testNamePatterns: [new RegExp(values.name)] }),
});
report.follow(stream, bundles);
stream.resume();
await new Promise((resolve, reject) => stream.on('end', resolve).on('error', reject));
process.exitCode = report.finish() ? 0 : 1;
