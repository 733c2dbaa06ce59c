import { platform } from '#platform';

let last = 0;

/** Lets timers, signals and finalizers run, at most every few milliseconds: steps can be much shorter than that. */
export async function pause(): Promise<void> {
  const now = performance.now();
  if (now - last < 4) return;
  await platform.yieldNow();
  last = performance.now();
}
