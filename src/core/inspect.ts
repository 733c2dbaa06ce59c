/** Makes console.log and Node's inspect print a class's objects by a function. */
export function printBy<T extends object>(prototype: T, text: (value: T) => string): void {
  Object.defineProperty(prototype, Symbol.for('nodejs.util.inspect.custom'), {
    configurable: true,
    value(this: T) {
      return text(this);
    },
  });
}
