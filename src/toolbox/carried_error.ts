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

const NATIVE: Readonly<Record<string, ErrorConstructor>> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

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
