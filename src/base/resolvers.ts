/** A promise to be resolved or rejected from outside; made only when somebody asks for it. */
export interface PromiseResolvers<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

/** One that fails with nothing but a connection's end, which `unbind` reports: whoever does not ask has missed nothing. */
export function endable<T>(): PromiseResolvers<T> {
  const result = withResolvers<T>();
  result.promise.catch(nothing);
  return result;
}

export function withResolvers<T>(): PromiseResolvers<T> {
  const result = {} as PromiseResolvers<T>;
  result.promise = new Promise((resolve, reject) => {
    result.resolve = resolve;
    result.reject = reject;
  });
  return result;
}

function nothing(): void {}
