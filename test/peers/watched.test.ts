import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Child } from "../support/child.js";
import { program, ROOT } from "../support/paths.js";

const READINESS = program(import.meta.url, "./programs/readiness.js");
const INOTIFY = join(ROOT, "test/peers/inotify.py");

/** A terminal of Python's, whose user types what stands on the lines of its standard input. */
const TERMINAL = `
import os, pty, sys
master, slave = pty.openpty()
os.set_inheritable(slave, True)
child = os.fork()
if child == 0:
    os.close(master)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.execvp(sys.argv[1], sys.argv[1:] + [str(slave)])
os.close(slave)
for line in sys.stdin:
    os.write(master, line.encode())
os.close(master)
os.waitpid(child, 0)
`;

describe("readiness of what others have made, on native", () => {
  it("of an inotify descriptor, as a library has one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "em-inotify-"));
    try {
      await using child = new Child("python3", [INOTIFY, folder, process.execPath, READINESS]);
      assert.deepEqual(await child.json(), { watching: true });
      for (const name of ["one.txt", "two.txt", "three.txt"]) {
        writeFileSync(join(folder, name), "x");
        // An event has a head of sixteen bytes, and its name filled up to as many.
        assert.deepEqual(await child.json(), { bytes: 32, names: [name] });
      }
      child.process.stdin?.write("enough\n");
      assert.deepEqual(await child.json(), { ended: "local-close" });
      assert.deepEqual(await child.exit, { code: 0, signal: null });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("of a terminal, until its other side hangs up", async () => {
    await using child = new Child("python3", ["-c", TERMINAL, process.execPath, READINESS]);
    assert.deepEqual(await child.json(), { watching: true });
    assert.deepEqual(await child.json(), { writable: true });
    child.process.stdin?.write("typed.txt\n");
    assert.deepEqual(await child.json(), { bytes: 10, names: ["typed.txt"] });
    child.process.stdin?.end();
    // A terminal whose other side is gone reads as its end, or as an error.
    const end = (await child.json()) as { bytes?: number; failed?: string };
    assert.ok(end.bytes === 0 || end.failed === "EIO", JSON.stringify(end));
    assert.deepEqual(await child.json(), { ended: "local-close" });
  });
});
