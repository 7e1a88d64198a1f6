import assert from "node:assert/strict";
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { FileTail, type FileTailTarget } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";
import { TailRecorder } from "../support/watches.js";

const tail = (trial: Trial, target: string | FileTailTarget) => trial.reactor.tailFile(target, TailRecorder);

async function read(trial: Trial, recorder: TailRecorder, ...expected: string[]): Promise<void> {
  await trial.until(() => recorder.lines.length >= expected.length, `${expected}, not only ${recorder.lines}`, 10_000);
  await trial.settle(20);
  assert.deepEqual(recorder.take(), expected);
}

/** Until a tail has opened what is there. */
const opened = (trial: Trial) => trial.settle(20);

onEveryEngine("a tail of a file", (engine) => {
  engine.rule("reads what is added, line by line, from the end or from the start", async (trial) => {
    const path = trial.path("log");
    writeFileSync(path, "zero\n");
    const ends = tail(trial, path);
    const starts = tail(trial, { path, from: "start" });
    await opened(trial);
    appendFileSync(path, "one\ntwo\r\nthr");
    await read(trial, ends, "one", "two");
    await read(trial, starts, "zero", "one", "two");
    appendFileSync(path, "ee\n");
    await read(trial, ends, "three");
    appendFileSync(path, "x".repeat(300_000).replace(/.{60}/g, "$&\n"));
    await trial.until(() => ends.lines.length === 5000, "all of it");
    ends.stopWatching();
    assert.equal(ends.isWatching, false);
    await trial.until(() => ends.reasons.length === 1, "unbind");
    assert.equal(ends.closeReason?.kind, "local-close");
  });

  engine.rule("takes the delimiter, the encoding and the limit of lines", async (trial) => {
    const path = trial.path("log");
    writeFileSync(path, "");
    const recorder = tail(trial, { path, delimiter: ";", encoding: "latin1", maxLineLength: 10 });
    await opened(trial);
    appendFileSync(path, Buffer.from([0xe9, 0x3b, 0x41, 0x3b]));
    await read(trial, recorder, "é", "A");
    appendFileSync(path, `${"x".repeat(20)};on;`);
    await read(trial, recorder, "on");
    assert.deepEqual(
      recorder.errors.map((error) => (error as { code: string }).code),
      ["ERR_EM_LINE_TOO_LONG"],
    );
  });

  engine.rule("loses no line to a rotation, by whatever way", async (trial) => {
    const path = trial.path("log");
    writeFileSync(path, "");
    const recorder = tail(trial, path);
    await opened(trial);
    const expected: string[] = [];
    let count = 0;
    const line = () => {
      expected.push(`line ${++count}`);
      return `line ${count}\n`;
    };
    for (let round = 0; round < 8; round++) {
      appendFileSync(path, line() + line());
      if (round % 3 === 0) await trial.settle(20);
      appendFileSync(path, line());
      renameSync(path, `${path}.${round}`);
      if (round % 2 === 0) await trial.sleep(80);
      writeFileSync(path, line());
      // Each file has to be seen once while it has the name.
      await trial.until(
        () => recorder.lines.length === expected.length,
        `${count} lines, not ${recorder.lines} of ${JSON.stringify(recorder.positions)}`,
        10_000,
      );
    }
    await trial.until(() => recorder.lines.length >= expected.length, `${count} lines`, 20_000);
    assert.deepEqual(recorder.take().sort(), expected.sort());
  });

  engine.rule(
    "reads what is written late to a file that was rotated, and its last line without an end",
    async (trial) => {
      const path = trial.path("log");
      const writer = openSync(path, "a");
      const recorder = tail(trial, path);
      await opened(trial);
      writeSync(writer, "before\n");
      await read(trial, recorder, "before");
      renameSync(path, `${path}.1`);
      writeFileSync(path, "new\n");
      await read(trial, recorder, "new");
      writeSync(writer, "late\nunfinished");
      closeSync(writer);
      await read(trial, recorder, "late");
      await trial.until(() => recorder.lines.length === 1, "what will have no end", 15_000);
      assert.deepEqual(recorder.take(), ["unfinished"]);
    },
  );

  engine.rule("reads a file anew that was cut off", async (trial) => {
    const path = trial.path("log");
    writeFileSync(path, "a long line that is there at first\n");
    const recorder = tail(trial, path);
    await opened(trial);
    truncateSync(path);
    appendFileSync(path, "one\n");
    await read(trial, recorder, "one");
    appendFileSync(path, "half a li");
    await trial.settle();
    truncateSync(path);
    await trial.settle(60);
    appendFileSync(path, "two\n");
    await read(trial, recorder, "two");
  });

  engine.rule("waits for a file that comes later, and for one that was deleted", async (trial) => {
    const path = trial.path("later");
    const recorder = tail(trial, path);
    assert.deepEqual(recorder.positions, {});
    await opened(trial);
    writeFileSync(path, "one\n");
    await read(trial, recorder, "one");
    unlinkSync(path);
    await trial.sleep(120);
    writeFileSync(path, "two\n");
    await read(trial, recorder, "two");
  });

  engine.rule("follows links, also when they lead elsewhere", async (trial) => {
    writeFileSync(trial.path("a"), "");
    writeFileSync(trial.path("b"), "first of b\n");
    symlinkSync("a", trial.path("log"));
    const recorder = tail(trial, trial.path("log"));
    await opened(trial);
    appendFileSync(trial.path("a"), "one\n");
    await read(trial, recorder, "one");
    symlinkSync("b", trial.path("next"));
    renameSync(trial.path("next"), trial.path("log"));
    await read(trial, recorder, "first of b");
    appendFileSync(trial.path("b"), "two\n");
    await read(trial, recorder, "two");
  });

  engine.rule("gives out how far it is, and takes that back", async (trial) => {
    const path = trial.path("log");
    writeFileSync(path, "one\ntwo\nthree\nfour\nhalf");
    const seen: number[] = [];
    const first = trial.reactor.tailFile({ path, from: "start" }, TailRecorder, (me, line) => {
      seen.push(me.positions[path]?.offset as number);
      if (line === "two") me.stopWatching();
    });
    await trial.until(() => first.reasons.length === 1, "it stops");
    assert.deepEqual(seen, [4, 8]);
    const { positions } = first;
    assert.equal(positions[path]?.offset, 8);
    const second = tail(trial, { path, positions: JSON.parse(JSON.stringify(positions)) });
    await read(trial, second, "three", "four");
    second.stopWatching();
    // Rotated while nobody read: what is left of the old one comes first.
    appendFileSync(path, " a line\n");
    renameSync(path, `${path}.1`);
    writeFileSync(path, "new\n");
    const third = tail(trial, { path, positions: second.positions });
    await trial.until(() => third.lines.length === 2, "both", 10_000);
    assert.deepEqual(third.take().sort(), ["half a line", "new"]);
    third.stopWatching();
    // Cut off while nobody read.
    const cut = third.positions;
    writeFileSync(path, "x\n");
    const fourth = tail(trial, { path, positions: cut });
    await read(trial, fourth, "x");
    // Of a file that is another one, and whose old one is gone.
    const fifth = tail(trial, { path, positions: { [path]: { file: "none", offset: 1 } } });
    await read(trial, fifth, "x");
  });

  engine.rule("delivers nothing while paused, and everything afterwards", async (trial) => {
    const path = trial.path("log");
    writeFileSync(path, "one\ntwo\nthree\n");
    const recorder = trial.reactor.tailFile({ path, from: "start" }, TailRecorder, (me, line) => {
      if (line === "one") me.pause();
    });
    await trial.until(() => recorder.lines.length > 0, "a line");
    appendFileSync(path, "four\n");
    await trial.settle(60);
    assert.deepEqual(recorder.take(), ["one"]);
    assert.equal(recorder.isPaused, true);
    assert.equal(recorder.positions[path]?.offset, 4);
    recorder.resume();
    assert.deepEqual(recorder.lines, []);
    await read(trial, recorder, "two", "three", "four");
  });

  engine.rule("reads all files of a pattern, with those to come, and each once", async (trial) => {
    const folder = trial.path("logs");
    mkdirSync(`${folder}/a`, { recursive: true });
    writeFileSync(`${folder}/a/one.log`, "old\n");
    writeFileSync(`${folder}/a/other.txt`, "");
    const recorder = tail(trial, { glob: `${folder}/*/*.log*` });
    const last = () => recorder.paths.map((path) => path.slice(folder.length + 1));
    await opened(trial);
    appendFileSync(`${folder}/a/one.log`, "one\n");
    appendFileSync(`${folder}/a/other.txt`, "never\n");
    await trial.until(() => recorder.lines.length === 1, "one");
    assert.deepEqual([last(), recorder.take()], [["a/one.log"], ["one"]]);
    writeFileSync(`${folder}/a/two.log`, "two\n");
    await trial.until(() => recorder.lines.length === 1, "two");
    assert.deepEqual([last(), recorder.take()], [["a/two.log"], ["two"]]);
    mkdirSync(`${folder}/b`);
    writeFileSync(`${folder}/b/three.log`, "three\n");
    await read(trial, recorder, "three");
    // Its new name is of the pattern, too.
    renameSync(`${folder}/a/one.log`, `${folder}/a/one.log.1`);
    writeFileSync(`${folder}/a/one.log`, "new\n");
    await read(trial, recorder, "new");
    appendFileSync(`${folder}/a/one.log.1`, "to the old\n");
    await read(trial, recorder, "to the old");
    unlinkSync(`${folder}/a/two.log`);
    await trial.sleep(100);
    writeFileSync(`${folder}/a/two.log`, "again\n");
    await read(trial, recorder, "again");
    writeFileSync(`${folder}/.hidden.log`, "no\n");
    writeFileSync(`${folder}/a/.hidden.log`, "no\n");
    writeFileSync(`${folder}/top.log`, "no\n");
    await trial.settle();
    assert.deepEqual(recorder.take(), []);
    assert.deepEqual(Object.keys(recorder.positions).length, 4);
  });

  engine.rule("reads patterns as shells do", async (trial) => {
    const folder = trial.path("logs");
    mkdirSync(`${folder}/x/y`, { recursive: true });
    const names = ["a1.log", "a2.log", "b1.log", "x/c.log", "x/y/d.log", "a(1).log", "ä.log", "[.log"];
    for (const name of names) writeFileSync(`${folder}/${name}`, `${name}\n`);
    const told: [string, string[]][] = [
      ["a?.log", ["a1.log", "a2.log"]],
      ["[ab]1.log", ["a1.log", "b1.log"]],
      ["[!a]1.log", ["b1.log"]],
      ["[a-b][2-9].log", ["a2.log"]],
      ["?.log", ["[.log", "ä.log"]],
      ["a(?).log", ["a(1).log"]],
      ["*/*.log", ["x/c.log"]],
      ["**/*.log", names],
      ["x/**/?.log", ["x/c.log", "x/y/d.log"]],
    ];
    for (const [glob, expected] of told) {
      const recorder = tail(trial, { glob: `${folder}/${glob}`, from: "start" });
      await trial.until(() => recorder.lines.length >= expected.length, glob, 10_000);
      await trial.settle(10);
      assert.deepEqual(recorder.take().sort(), [...expected].sort(), glob);
      recorder.stopWatching();
    }
  });

  engine.rule("refuses what it cannot do, by name", async (trial) => {
    const { reactor } = trial;
    assert.throws(() => reactor.tailFile("/nonexistent/folder/file", FileTail), { code: "ENOENT" });
    assert.throws(() => reactor.tailFile({ glob: "/nonexistent/*.log" }, FileTail), { code: "ENOENT" });
    const path = trial.path("log");
    const wrong: unknown[] = [
      "",
      5,
      {},
      { path, glob: "*" },
      { glob: "/no/wildcard" },
      { glob: "/a/*/../b" },
      { path, from: "middle" },
      { path, positions: 5 },
      { path, positions: { [path]: 5 } },
      { path, positions: { [path]: { file: "a", offset: -1 } } },
      { path, delimiter: "" },
      { path, maxLineLength: 0 },
      { path, misspelt: 1 },
    ];
    for (const target of wrong) {
      assert.throws(() => reactor.tailFile(target as string, FileTail), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
    assert.throws(() => reactor.tailFile(path, Object as never), { code: "ERR_EM_INVALID_HANDLER" });
    class Early extends FileTail {
      constructor() {
        super();
        assert.equal(this.isWatching, false);
        this.pause();
      }
    }
    assert.throws(() => reactor.tailFile(path, Early), { code: "ERR_EM_NOT_ATTACHED" });
  });

  engine.rule("a file that cannot be read is told of", async (trial) => {
    // What it shows at its beginning is no memory of the process's.
    const recorder = tail(trial, { path: "/proc/self/mem", from: "start" });
    await trial.until(() => recorder.failures.length > 0, "it fails");
    assert.deepEqual(recorder.failures, ["EIO /proc/self/mem"]);
    assert.equal(recorder.isWatching, true);
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push((error as { code?: string }).code));
    const plain = trial.reactor.tailFile({ path: "/proc/self/mem", from: "start" }, FileTail);
    await trial.until(() => !plain.isWatching, "it ends");
    assert.equal(plain.closeReason?.kind, "handler-error");
    assert.deepEqual(errors, ["EIO"]);
  });

  engine.runRule("ends with the reactor, and leaves nothing open", async (trial) => {
    const { reactor } = trial;
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    assert.throws(() => reactor.tailFile("/tmp", FileTail), { code: "ERR_EM_NOT_RUNNING" });
    const path = trial.path("log");
    writeFileSync(path, "one\n");
    let recorder: TailRecorder | undefined;
    await reactor.run(async () => {
      recorder = tail(trial, { path, from: "start" });
      await read(trial, recorder, "one");
      renameSync(path, `${path}.1`);
      writeFileSync(path, "two\n");
      await read(trial, recorder, "two");
      reactor.stop();
    });
    assert.deepEqual(
      recorder?.reasons.map(({ kind }) => kind),
      ["stop"],
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(open() <= before + 1, `${open()} descriptors of ${before}`);
  });
});
