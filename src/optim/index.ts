export { Adam, type AdamOptions, AdamW } from './adam.js';
export * from './clip.js';
export { Optimizer, type OptimizerState, type ParamGroup, type Params } from './optimizer.js';
export * from './schedules.js';
export { SGD, type SGDOptions } from './sgd.js';
export { defineUpdate, runUpdate, type Update } from './update.js';
