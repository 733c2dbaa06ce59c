/** Advice that is no error: said once for each key, then kept quiet. */

export type WarningListener = (text: string) => void;

const said = new Set<string>();
let listener: WarningListener = (text) => console.warn(text);

/** Where advice goes; null: nowhere. Gives the previous listener. Each kind of advice is given again to a new one. */
export function setWarningListener(next: WarningListener | null): WarningListener {
  const before = listener;
  listener = next ?? (() => {});
  said.clear();
  return before;
}

/** @internal */
export function warnOnce(key: string, text: string): void {
  if (said.has(key)) return;
  said.add(key);
  listener(text);
}
