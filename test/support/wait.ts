import { setTimeout as sleep } from "node:timers/promises";

/** How long anything may take before a test gives up, in milliseconds: far above what it takes, sanitizers included. */
export const PATIENCE = 30_000;

/** The promise's value; rejects when it has not come in time. */
export async function within<T>(promise: Promise<T>, what: string, patience: number = PATIENCE): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${patience} ms: ${what}`)), patience);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `holds` says so, asking again and again. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  patience: number = PATIENCE,
): Promise<void> {
  const end = performance.now() + patience;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${patience} ms: ${what}`);
    await sleep(5);
  }
}

/** A promise with its ends in hand. */
export interface Pending<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function pending<T>(): Pending<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
