import assert from "node:assert/strict";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { needs } from "../support/programs.js";

const KEYBOARD = program(import.meta.url, "./programs/keyboard.js");
/** Gives a program a terminal: what it reads is typed there. */
const TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";

onEveryEngine("the keyboard", (engine) => {
  const begin = async (child: Child, isTerminal: boolean): Promise<void> => {
    assert.deepEqual(await child.json(), { worker: "ERR_EM_MAIN_THREAD_ONLY" });
    assert.deepEqual(await child.json(), { unfit: isTerminal ? "ERR_EM_INVALID_ARGUMENT" : "ENOTTY" });
    assert.deepEqual(await child.json(), { class: "MINE" });
  };
  const opened = (name: string, raw: boolean) => ({
    open: name,
    send: "ERR_EM_NOT_WRITABLE",
    second: "ERR_EM_DESCRIPTOR_OWNED",
    raw,
  });

  engine.rule("may be a pipe, which is closed, opened again and read to its end", async () => {
    await using child = new Child(process.execPath, [KEYBOARD, engine.name, "lines"]);
    await begin(child, false);
    assert.deepEqual(await child.json(), opened("first", false));
    child.process.stdin?.write("one\n");
    assert.deepEqual(await child.json(), { data: "one\n" });
    child.process.stdin?.write("q\n");
    assert.deepEqual(await child.json(), { data: "q\n" });
    assert.deepEqual(await child.json(), { unbind: "local-close", raw: false });
    assert.deepEqual(await child.json(), opened("again", false));
    child.process.stdin?.end("two\n");
    assert.deepEqual(await child.json(), { data: "two\n" });
    assert.deepEqual(await child.json(), { unbind: "peer-closed", raw: false });
    assert.deepEqual(await child.json(), { ended: true });
    assert.deepEqual(await child.exit, { code: 0, signal: null }, child.stderr);
  });

  engine.rule("gives a terminal's lines when they are complete", async () => {
    await using child = new Child(needs("python3"), ["-c", TERMINAL, process.execPath, KEYBOARD, engine.name, "lines"]);
    await begin(child, true);
    assert.deepEqual(await child.json(), opened("first", false));
    child.process.stdin?.write("one");
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.process.stdin?.write(" two\n");
    // The terminal shows what is typed.
    assert.equal((await child.line()).trim(), "one two");
    assert.deepEqual(await child.json(), { data: "one two\n" });
    child.process.stdin?.write("\x04");
    const end = JSON.parse((await child.line()).replace("^D\b\b", ""));
    assert.deepEqual(end, { unbind: "peer-closed", raw: false });
    assert.deepEqual(await child.json(), { ended: true });
  });

  engine.rule("gives each key of a terminal if asked, and the terminal is as it was afterwards", async () => {
    await using child = new Child(needs("python3"), ["-c", TERMINAL, process.execPath, KEYBOARD, engine.name, "raw"]);
    await begin(child, true);
    assert.deepEqual(await child.json(), opened("first", true));
    for (const key of ["a", "\x03", "\x1b[A"]) {
      child.process.stdin?.write(key);
      assert.deepEqual(await child.json(), { data: key });
    }
    child.process.stdin?.write("q");
    assert.deepEqual(await child.json(), { data: "q" });
    assert.deepEqual(await child.json(), { unbind: "local-close", raw: false });
    assert.deepEqual(await child.json(), opened("again", true));
    child.process.stdin?.write("q");
    assert.deepEqual(await child.json(), { data: "q" });
    assert.deepEqual(await child.json(), { unbind: "local-close", raw: false });
    assert.deepEqual(await child.json(), { ended: true });
  });
});
