// TypeScript types in the small language of src/ops/kinds.ts.
import { SyntaxKind } from 'typescript/unstable/ast';
import { API, SignatureKind, SymbolFlags, TypeFlags } from 'typescript/unstable/sync';
import { inRoot } from '../build/files.mjs';

const api = new API({ cwd: inRoot() });
const { checker, program } = api.updateSnapshot({ openProjects: [inRoot('tsconfig.json')] }).getProjects()[0];

/** Ends the compiler's process. */
export const close = () => api.close();

/** Numbers of rows that count or name a place: they are integers wherever they occur. */
const rowIntegers = new Set(
  `ranges dim dims dim0 dim1 dim2 dimA dimB axis start end step index length size sizes shape diagonal offset k n num steps stride dilation
  groups kernelSize padding outputPadding outputSize numClasses repeats shifts split chunks sections unfoldDim startDim endDim blankIdx
  ignoreIndex paddingIdx factor decimals N axis0 axis1 batchSizes bins blank destination source divisorOverride edgeOrder embedDimToCheck ind
  inputLengths targetLengths minlength niter normalizedShape numGroups numHeads numLayers nFft hopLength winLength pads r storageOffset strides pcaLowrank.q
  svdLowrank.q mvlgamma.p`.split(/\s+/),
);
/** The same of everything else; `-owner.name` is a fraction all the same. */
const integers = new Set(
  `accumulate arms batchSize batchSizes beamWidth bins blank blocks bottleneck cgIterations channels classes columns components context
  cooldown count counts cutoffs dModel depth depths dilation dim dim1 dim2 dimFeedforward dims discriminatorSteps downscaleFactor edgeItems
  embedDim embeddingDim endDim epochs everySteps features fisherSamples groups growth growthInterval heads hidden hiddenSize historySize
  identities ignoreIndex imageSize in1Features in2Features inChannels inDims inFeatures index initial innerSteps inputLengths inputSize k kdim
  kernelSize keys kvHeads latent layers length lengths lineWidth maskToken maxEval maxIter maxIterations maxLength milestones multipleOf n
  nClasses nIter nLayer nPowerIterations nhead normalizedShape nsSteps numChannels numClasses numDecoderLayers numEmbeddings
  numEncoderLayers numExperts numFeatures numGroups numHeads numKvHeads numLayers numParameters numReplicas numSamples objects offset outChannels outDims
  outFeatures outputPadding outputSize outputs padding paddingIdx patchSize physicalLayout pieces projSize queries r rank ranks repeats
  resamples rounds rows runs samples seed seeds sentences shape shapes shots size squeezed startDim stepsPerEpoch steps stride symbols tasks
  teeth threads topK topics totalLength totalSteps trials units upscaleFactor validationBatchSize vdim verify vocabulary width widths
  windowLength words workers lnStructured.dim -lnStructured.n -LnStructured.n -EfficientNet.width -EfficientNet.depth -efficientnet.width -efficientnet.depth
  -efficientnetB0.width -efficientnetB0.depth -MobileNetV2.width -mobilenetV2.width`.split(/\s+/),
);
/** Options that are values like those of a tensor: NaN is one of them. Elsewhere an option that is NaN is a mistake. */
const anyNumbers = new Set('value min max nan posinf neginf fillValue'.split(' '));
const anyNumbersOfRows = new Set('alpha beta'.split(' '));
/** How deep objects inside options are read. */
const deepest = 3;

const resolved = (s) => (s.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(s) : s);
/** What a file exports: names and symbols. */
export const exportsOf = (path) => {
  const module = checker.getSymbolAtLocation(program.getSourceFile(path));
  return module ? membersOf(module) : [];
};
/** The same of a namespace that a file exports. */
export const membersOf = (module) => checker.getExportsOfModule(module).map((s) => [s.name, resolved(s)]);

/** The types of a union, undefined left out. */
const partsOf = (type) =>
  (type.isUnionType() ? type.getTypes() : [type]).filter((t) => !(t.flags & (TypeFlags.Undefined | TypeFlags.Void)));

/** `at`: the function, whether its numbers may be NaN, how many objects and lists deep. */
function encode(type, name, at) {
  if (at.lists > 2) return '*'; // nested lists of any depth
  const words = [];
  const codes = new Set();
  for (const part of partsOf(type)) {
    if (part.isStringLiteralType()) words.push(part.value);
    else codes.add(encodeOne(part, name, at));
  }
  if (words.length) codes.add(`<${words.join(',')}>`);
  if (codes.has('*') || codes.size === 0) return '*';
  for (const code of codes) if ((codes.has('s') && code.startsWith('<')) || (codes.has('o') && code.startsWith('{'))) codes.delete(code);
  return codes.size > 4 ? '*' : [...codes].sort().join('|'); // more would make no sentence
}

function isInteger(name, { op, row }) {
  const known = row ? rowIntegers : integers;
  if (/^localresponsenorm$/i.test(op) && name === 'k') return false;
  return (known.has(name) && !known.has(`-${op}.${name}`)) || known.has(`${op}.${name}`);
}

function encodeOne(type, name, at) {
  const { flags } = type;
  if (flags & (TypeFlags.Number | TypeFlags.NumberLiteral)) {
    if (isInteger(name, at)) return 'i';
    return anyNumbers.has(name) || (at.row && (at.objects === 0 || anyNumbersOfRows.has(name))) ? 'n' : 'r';
  }
  if (flags & (TypeFlags.Boolean | TypeFlags.BooleanLiteral)) return 'b';
  if (flags & TypeFlags.String) return 's';
  if (flags & TypeFlags.Null) return 'z';
  if (type.isIntersectionType()) return encodeObject(type, at);
  if (!type.isObjectType()) return '*';
  if (checker.isTupleType(type) || checker.isArrayType(type)) {
    const elements = checker.getTypeArguments(type).map((t) => encode(t, name, { ...at, isOptions: false, lists: at.lists + 1 }));
    return `[${[...new Set(elements)].join('|')}]`;
  }
  const symbol = type.getSymbol();
  if (symbol?.name === 'Tensor') return 'T';
  if (symbol?.name === 'Module') return 'M';
  if (symbol?.name === 'Iterable') return '*'; // functions say themselves what should come in a list
  if (checker.getSignaturesOfType(type, SignatureKind.Call).length) return 'f';
  if (checker.getSignaturesOfType(type, SignatureKind.Construct).length) return 'f';
  return symbol !== undefined && symbol.flags & SymbolFlags.Class ? 'o' : encodeObject(type, at);
}

/**
 * Options, whose keys are all known: what is taken apart on the spot or may be left out as a whole, and objects of nothing but things
 * that may be left out. Others are data or interfaces, which may have more than is asked for.
 */
function encodeObject(type, at) {
  const members = checker.getPropertiesOfType(type);
  const hasMethods = !at.isNamedOptions && members.some((m) => m.flags & SymbolFlags.Method);
  const isOptions = at.isOptions || members.every((m) => m.flags & SymbolFlags.Optional);
  if (hasMethods || !isOptions || checker.getIndexInfosOfType(type).length > 0 || at.objects >= deepest || members.length === 0) return 'o';
  const inside = { ...at, isOptions: false, isNamedOptions: false, objects: at.objects + 1 };
  const entries = members.map(
    (m) => `${m.name}${m.flags & SymbolFlags.Optional ? '' : '!'}:${encode(checker.getTypeOfSymbol(m), m.name, inside)}`,
  );
  return `{${entries.join(' ')}}`;
}

/** Every form in which a function may be called. `row`: a row of the table of ops, whose positional numbers are values. */
export function signatureOf(type, op, { row = false, kind = SignatureKind.Call } = {}) {
  const at = { op, row, objects: 0, lists: 0 };
  const forms = checker.getSignaturesOfType(type, kind).map((signature) =>
    checker
      .signatureToSignatureDeclaration(signature, SyntaxKind.FunctionType)
      .parameters.map((p, i) => {
        const name = p.name.text ?? 'options'; // taken apart on the spot
        const isNamedOptions = name.startsWith('options');
        const isOptions = isNamedOptions || p.questionToken !== undefined;
        if (p.dotDotDotToken) {
          const list = checker.getRestTypeOfSignature(signature); // `any` where the rest is part of a tuple of arguments
          const each = list.flags & TypeFlags.Any ? checker.getParameterType(signature, i) : list;
          return `...${name}:${encode(each, name, at)}`;
        }
        return `${name}${p.questionToken ? '?' : ''}:${encode(checker.getParameterType(signature, i), name, { ...at, isOptions, isNamedOptions })}`;
      })
      .join(' '),
  );
  return forms.join(';');
}

/** The type of a variable, function or class. */
export const typeOf = (symbol) => checker.getTypeOfSymbol(symbol);

/** What `new` takes, or null where a class is abstract or has no constructor of its own use. */
export function constructorOf(type, name) {
  const made = checker.getSignaturesOfType(type, SignatureKind.Construct);
  return made.length === 0 || made.some((s) => s.isAbstract) ? null : signatureOf(type, name, { kind: SignatureKind.Construct });
}

const hidden = new Set([SyntaxKind.PrivateKeyword, SyntaxKind.ProtectedKeyword]);
const isPublic = (symbol) => !symbol.valueDeclaration?.resolve()?.modifiers?.some((m) => hidden.has(m.kind));

/** The public methods of a class's instances, or its static ones: names and types. */
export function methodsOf(symbol, isStatic) {
  const type = isStatic ? checker.getTypeOfSymbol(symbol) : checker.getDeclaredTypeOfSymbol(symbol);
  return checker
    .getPropertiesOfType(type)
    .filter((m) => m.flags & SymbolFlags.Method && isPublic(m))
    .map((m) => [m.name, checker.getTypeOfSymbol(m)]);
}
