// The entry `chainrule/init`: initializers, also `init` of `chainrule/nn`. Whichever entry is imported first, the engine is chosen before its code runs.
import '../index.js';

export * from '../nn/initAll.js';
