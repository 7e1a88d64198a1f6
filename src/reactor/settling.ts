/** A promise to be settled from outside; made only when somebody asks for it. */
export interface Settling<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

export function settling<T>(): Settling<T> {
  const result = {} as Settling<T>;
  result.promise = new Promise((resolve, reject) => {
    result.resolve = resolve;
    result.reject = reject;
  });
  return result;
}
