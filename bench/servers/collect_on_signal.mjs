// Preloaded with --expose-gc by the idle memory row: garbage of the accept phase is not what a connection costs.
process.on("SIGUSR2", () => {
  for (let i = 0; i < 3; i++) globalThis.gc({ type: "major", execution: "sync", flavor: "last-resort" });
  process.stdout.write("collected\n");
});
