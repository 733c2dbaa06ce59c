// The package's root with every export, for the size of the core bundle.
export * as chainrule from 'chainrule';
