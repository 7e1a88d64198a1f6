// Preloaded with --expose-gc by the idle memory row: garbage of the accept phase is not what a connection costs.
process
  .on("SIGUSR2", () => {
    globalThis.gc();
    globalThis.gc();
    process.stdout.write("collected\n");
  })
  .unref?.();
