import { relative } from 'node:path';

/**
 * Turns the events of node:test into one line a file, the failures in full, and a last line with the counts. What a file printed is
 * shown when one of its tests fails. `slowest` tests are named with their times.
 */
export class Report {
  constructor(root, { slowest = 0 } = {}) {
    this.root = root;
    this.slowest = slowest;
    this.times = [];
    this.printed = new Map();
    this.files = new Map();
    this.failures = [];
    this.skips = new Map();
    this.started = performance.now();
  }

  /** A failure that is no test's. */
  fail(name, message) {
    this.failures.push({ name, message });
  }

  follow(stream, sources) {
    // Source maps may have told the runner the original file already.
    const fileOf = ({ file = '', name }) => sources.get(file) ?? sources.get(name) ?? relative(this.root, file.replace(/^file:\/\//, ''));
    stream.on('test:pass', (event) => this.count(event, fileOf(event), sources.has(event.name)));
    stream.on('test:fail', (event) => this.count(event, fileOf(event), sources.has(event.name)));
    for (const kind of ['test:stdout', 'test:stderr']) stream.on(kind, (event) => this.keep(fileOf(event), event.message));
  }

  keep(file, message) {
    this.printed.set(file, [...(this.printed.get(file) ?? []), message]);
  }

  /** `whole`: the event is about a file, which is a test of its own only when it could not run to its end. */
  count({ name, details, skip, todo, nesting }, file, whole) {
    const tally = this.tallyOf(file);
    const error = details.error;
    if (error !== undefined && !todo) {
      if (error.failureType === 'subtestsFailed') return; // told by the subtests
      tally.failed++;
      this.failures.push({ name: whole ? file : `${file}: ${name}`, message: this.explain(error) });
    } else if (!whole && details.type !== 'suite') {
      if (skip !== undefined || todo !== undefined) {
        const reason = [skip, todo].find((said) => typeof said === 'string') ?? 'no reason given';
        if (/does not match pattern/.test(reason)) return; // left out by --name
        tally.skipped++;
        this.skips.set(reason, (this.skips.get(reason) ?? 0) + 1);
      } else tally.passed++;
    }
    if (!whole && details.type !== 'suite') this.times.push({ name: `${file}: ${name}`, milliseconds: details.duration_ms ?? 0 });
    if (nesting === 0) tally.milliseconds += details.duration_ms ?? 0;
  }

  tallyOf(file) {
    let tally = this.files.get(file);
    tally ??= { passed: 0, failed: 0, skipped: 0, milliseconds: 0 };
    this.files.set(file, tally);
    return tally;
  }

  /** The message, and the places in our own files that lead to it. */
  explain(error) {
    const cause = error.cause instanceof Error || typeof error.cause === 'string' ? error.cause : error;
    if (typeof cause === 'string')
      return error.exitCode === undefined ? cause : `the process ended with ${error.signal ?? `exit code ${error.exitCode}`}`;
    const places = (cause.stack ?? '')
      .split('\n')
      .filter((line) => /^\s+at /.test(line) && line.includes(this.root) && !line.includes('node_modules'))
      .slice(0, 5)
      .map((line) => line.replaceAll(`file://${this.root}`, '').replaceAll(this.root, ''));
    return [cause.message, ...places].join('\n');
  }

  /** Prints the rest; true when nothing failed. */
  finish() {
    const total = { passed: 0, failed: 0, skipped: 0 };
    for (const [file, { passed, failed, skipped, milliseconds }] of [...this.files].sort()) {
      total.passed += passed;
      total.failed += failed;
      total.skipped += skipped;
      const time = `${(milliseconds / 1000).toFixed(1)} s`.padStart(8);
      console.log(`${failed > 0 ? '✖' : '✔'} ${file.padEnd(36)} ${time}  ${counts(passed, failed, skipped)}`);
    }
    for (const [reason, count] of this.skips) console.log(`- ${count} skipped: ${reason}`);
    for (const { name, milliseconds } of this.times.sort((a, b) => b.milliseconds - a.milliseconds).slice(0, this.slowest))
      console.log(`${Math.round(milliseconds)} ms`.padStart(10), name);
    for (const [file, messages] of this.printed)
      if (this.files.get(file)?.failed > 0) console.log(`\n${file} printed:\n${messages.join('')}`);
    for (const { name, message } of this.failures) console.log(`\n✖ ${name}\n${message.replace(/^/gm, '    ')}`);
    total.failed = this.failures.length;
    const seconds = ((performance.now() - this.started) / 1000).toFixed(1);
    console.log(`\n${seconds} s\n${counts(total.passed, total.failed, total.skipped)}`);
    return total.failed === 0 && total.passed > 0;
  }
}

const counts = (passed, failed, skipped) => `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
