let recomputing = false;

/** Whether a checkpoint runs its function again: what counts or averages over calls must not do so twice. */
export const isRecomputing = (): boolean => recomputing;

/** @internal Runs `body` as a repetition. */
export function asRepetition<T>(body: () => T): T {
  const before = recomputing;
  recomputing = true;
  try {
    return body();
  } finally {
    recomputing = before;
  }
}
