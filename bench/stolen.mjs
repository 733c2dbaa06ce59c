// What the host of a virtual machine kept for others: while it runs them, our clock goes on and our processors do not.
import { existsSync, readFileSync } from 'node:fs';

/** Jiffies of all processors since boot: [all, stolen], or undefined where the system does not tell (all but Linux). */
function jiffies() {
  if (!existsSync('/proc/stat')) return undefined;
  const [, ...fields] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].trim().split(/\s+/);
  const [user, nice, system, idle, wait, irq, softirq, steal = 0] = fields.map(Number);
  return [user + nice + system + idle + wait + irq + softirq + steal, steal];
}

/** Starts to count: the result gives the share of processor time that was stolen since. */
export function countStolen() {
  const before = jiffies();
  return () => {
    const after = jiffies();
    if (before === undefined || after === undefined || after[0] === before[0]) return undefined;
    return (after[1] - before[1]) / (after[0] - before[0]);
  };
}
