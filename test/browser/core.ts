// Everything that a training program imports, for the size of the core bundle.
export * as chainrule from 'chainrule';
export * as data from 'chainrule/data';
export * as nn from 'chainrule/nn';
export * as optim from 'chainrule/optim';
export * as train from 'chainrule/train';
