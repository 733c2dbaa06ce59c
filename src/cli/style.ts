/** ANSI styles, or none. */
export interface Style {
  readonly color: boolean;
  bold(text: string): string;
  dim(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

/** Colors where the output is a terminal, unless NO_COLOR or `--no-color` says otherwise (https://no-color.org). */
export function styleFor(stream: { readonly isTTY?: boolean }, wanted: boolean | undefined): Style {
  const color = wanted !== false && stream.isTTY === true && !process.env.NO_COLOR;
  const paint = (open: number, close: number) => (text: string) => (color ? `\x1b[${open}m${text}\x1b[${close}m` : text);
  return { color, bold: paint(1, 22), dim: paint(2, 22), green: paint(32, 39), yellow: paint(33, 39) };
}

/** 3.2 s, 1:05 min. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')} min`;
}

export const count = (n: number): string => Math.round(n).toLocaleString('en-US');
export const percent = (x: number): string => `${(100 * x).toFixed(2)} %`;
