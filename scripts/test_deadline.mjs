// Preloaded into every test file: one that hangs ends here, and what each took is noted. (--test-timeout is a file's on Node 20, a test's on Node 24.)
import { appendFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const limit = Number(process.env.TEST_FILE_TIMEOUT);

if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined) {
  setTimeout(() => {
    console.error(`${process.argv[1]} did not end within ${limit} ms`);
    process.exit(1);
  }, limit).unref();
  const times = process.env.TEST_TIMES;
  if (times !== undefined) {
    process.on("exit", () => {
      const { user, system } = process.cpuUsage();
      appendFileSync(
        times,
        `${JSON.stringify({ file: process.argv[1], ms: performance.now(), cpu: (user + system) / 1000 })}\n`,
      );
    });
  }
}
