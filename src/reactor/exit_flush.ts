/** What is flushed when the process exits: one listener for all running reactors, however many there are. */
const flushes = new Set<() => void>();

function flushAll(): void {
  for (const flush of flushes) flush();
}

/** Calls `flush` at process exit, until the returned function is called. */
export function flushAtExit(flush: () => void): () => void {
  if (flushes.size === 0) process.on("exit", flushAll);
  flushes.add(flush);
  return () => {
    flushes.delete(flush);
    if (flushes.size === 0) process.off("exit", flushAll);
  };
}
