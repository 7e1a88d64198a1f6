/** A promise to be settled from outside; made only when somebody asks for it. */
export interface Settling<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

/** One that fails with nothing but a connection's end, which `unbind` reports: whoever does not ask has missed nothing. */
export function endable<T>(): Settling<T> {
  const result = settling<T>();
  result.promise.catch(nothing);
  return result;
}

export function settling<T>(): Settling<T> {
  const result = {} as Settling<T>;
  result.promise = new Promise((resolve, reject) => {
    result.resolve = resolve;
    result.reject = reject;
  });
  return result;
}

function nothing(): void {}
