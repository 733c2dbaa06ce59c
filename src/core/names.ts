/** PyTorch's spelling of a name of ours: `maxPool2d` to `max_pool2d`. */
export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
