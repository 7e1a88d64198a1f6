import { describe } from "../base/describe.js";

/**
 * An error on its way to another thread. The structured clone would lose its name, its code and whatever else its makers
 * hung on it.
 */
export interface CarriedError {
  /** Set where what was thrown is no error: the value itself, or words for one that cannot be copied. */
  readonly thrown?: unknown;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Those of the error's own properties that hold text, numbers and the like: `code`, `errno`, `path`. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** The names of symbols it bears: by these `instanceof` knows the package's own errors. */
  readonly brands: readonly string[];
  readonly cause: CarriedError | undefined;
  /** Those of an AggregateError. */
  readonly errors: readonly CarriedError[] | undefined;
}

/** How many causes of causes are carried: a chain may be a circle. */
const DEPTH = 8;
/** How many of an AggregateError's errors are carried. */
const BREADTH = 32;

const NATIVE: Readonly<Record<string, ErrorConstructor>> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

export function packError(error: unknown, depth = 0): CarriedError {
  if (!(error instanceof Error)) return packValue(error);
  const facts: Record<string, unknown> = {};
  for (const key of Object.keys(error)) {
    try {
      const value = (error as unknown as Record<string, unknown>)[key];
      if (isFact(value)) facts[key] = value;
    } catch {
      // A getter that throws says nothing that could be carried.
    }
  }
  const isDeep = depth >= DEPTH;
  const errors = error instanceof AggregateError && !isDeep ? error.errors.slice(0, BREADTH) : undefined;
  return {
    name: String(error.name),
    message: String(error.message),
    stack: error.stack,
    facts,
    brands: Object.getOwnPropertySymbols(error).flatMap((symbol) => Symbol.keyFor(symbol) ?? []),
    cause: error.cause === undefined || isDeep ? undefined : packError(error.cause, depth + 1),
    errors: errors?.map((one: unknown) => packError(one, depth + 1)),
  };
}

export function unpackError(carried: CarriedError): unknown {
  if ("thrown" in carried) return carried.thrown;
  const { name, message, stack, facts, brands, cause, errors } = carried;
  const options = cause === undefined ? undefined : { cause: unpackError(cause) };
  const error =
    errors === undefined
      ? new (NATIVE[name] ?? Error)(message, options)
      : new AggregateError(errors.map(unpackError), message, options);
  const hidden = { configurable: true, writable: true };
  if (error.name !== name) Object.defineProperty(error, "name", { ...hidden, value: name });
  Object.defineProperty(error, "stack", { ...hidden, value: stack });
  for (const brand of brands) Object.defineProperty(error, Symbol.for(brand), { value: true });
  return Object.assign(error, facts);
}

function packValue(value: unknown): CarriedError {
  const none = { name: "", message: "", stack: undefined, facts: {}, brands: [], cause: undefined, errors: undefined };
  try {
    return { ...none, thrown: structuredClone(value) };
  } catch {
    return { ...none, thrown: inWords(value) };
  }
}

function inWords(value: unknown): string {
  try {
    return String(value);
  } catch {
    return describe(value);
  }
}

function isFact(value: unknown): boolean {
  return value === null || (typeof value !== "object" && typeof value !== "function" && typeof value !== "symbol");
}
