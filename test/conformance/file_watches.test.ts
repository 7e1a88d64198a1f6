import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { FileWatch, SystemError } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";
import { WatchRecorder, watchFile } from "../support/watches.js";

/** Waits until the watch has told that, and then whether there is more. */
async function told(trial: Trial, watch: WatchRecorder, ...expected: string[]): Promise<void> {
  await trial.until(() => watch.log.length >= expected.length, `${expected}, not only ${watch.log}`, 10_000);
  await trial.settle(20);
  assert.deepEqual(watch.take(), expected);
}

/** Times of files step by up to 10 ms: what is done later than that is seen for sure. */
const step = (trial: Trial) => trial.sleep(30);

/** What inotify watches for this process. */
function watched(): number {
  const files = readdirSync("/proc/self/fdinfo").map((fd) => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
    } catch {
      return "";
    }
  });
  return files.join("").match(/^inotify wd/gm)?.length ?? 0;
}

const open = () => readdirSync("/proc/self/fd").length;

onEveryEngine("a watch of a file", (engine) => {
  engine.rule("tells of its content and of its attributes", async (trial) => {
    const path = trial.path("file");
    writeFileSync(path, "one");
    await step(trial);
    const watch = trial.reactor.watchFile(path, WatchRecorder);
    assert.deepEqual([watch.path, watch.isWatching, watch.closeReason], [path, true, undefined]);
    assert.deepEqual(watch.take(), ["postInit"]);
    appendFileSync(path, " two");
    await told(trial, watch, "modified");
    await step(trial);
    chmodSync(path, 0o600);
    await told(trial, watch, "attributes");
    utimesSync(path, 1000, 1000);
    await told(trial, watch, "modified");
    await step(trial);
    writeFileSync(path, "ZZZ ZZZ");
    writeFileSync(path, "YYY YYY");
    await told(trial, watch, "modified");
    watch.stopWatching();
    assert.equal(watch.isWatching, false);
    appendFileSync(path, "unheard");
    await told(trial, watch, "unbind local-close");
    watch.stopWatching();
    await trial.settle();
    assert.deepEqual(watch.take(), []);
  });

  engine.rule("goes on through every way an editor replaces it", async (trial) => {
    const path = trial.path("file");
    writeFileSync(path, "0");
    const watch = watchFile(trial, path);
    const ways: Record<string, () => void> = {
      "a new one renamed over it": () => {
        writeFileSync(`${path}.new`, "1");
        renameSync(`${path}.new`, path);
      },
      "moved away and written anew": () => {
        renameSync(path, `${path}~`);
        writeFileSync(path, "2");
        unlinkSync(`${path}~`);
      },
      "deleted and written anew": () => {
        unlinkSync(path);
        writeFileSync(path, "3");
      },
      "copied away and written over": () => writeFileSync(path, "44"),
    };
    for (let round = 0; round < 3; round++) {
      for (const [way, replace] of Object.entries(ways)) {
        await step(trial);
        replace();
        await trial.until(() => watch.log.length > 0, way, 10_000);
        await trial.settle(20);
        assert.deepEqual(watch.take(), ["modified"], way);
      }
    }
  });

  engine.rule("tells when it is moved away, deleted, and there again", async (trial) => {
    const path = trial.path("file");
    writeFileSync(path, "0");
    const watch = watchFile(trial, path);
    renameSync(path, `${path}.moved`);
    await told(trial, watch, "moved");
    appendFileSync(`${path}.moved`, "elsewhere");
    await trial.settle(80);
    assert.deepEqual(watch.take(), []);
    writeFileSync(path, "");
    await told(trial, watch, "created");
    await step(trial);
    unlinkSync(path);
    await told(trial, watch, "deleted");
    renameSync(`${path}.moved`, path);
    await told(trial, watch, "created");
    await step(trial);
    appendFileSync(path, "more");
    await told(trial, watch, "modified");
    assert.equal(watch.isWatching, true);
  });

  engine.rule("follows links, and sees them lead elsewhere", async (trial) => {
    mkdirSync(trial.path("a"));
    mkdirSync(trial.path("b"));
    writeFileSync(trial.path("a/config"), "a");
    writeFileSync(trial.path("b/config"), "b");
    symlinkSync("a", trial.path("current"));
    symlinkSync("current/config", trial.path("config"));
    const watch = watchFile(trial, trial.path("config"));
    await step(trial);
    appendFileSync(trial.path("a/config"), "more");
    await told(trial, watch, "modified");
    symlinkSync("b", trial.path("next"));
    renameSync(trial.path("next"), trial.path("current"));
    await told(trial, watch, "modified");
    await step(trial);
    appendFileSync(trial.path("b/config"), "more");
    await told(trial, watch, "modified");
    appendFileSync(trial.path("a/config"), "more");
    await trial.settle();
    assert.deepEqual(watch.take(), []);
    linkSync(trial.path("b/config"), trial.path("hard"));
    await told(trial, watch, "attributes");
    await step(trial);
    appendFileSync(trial.path("hard"), "by another name");
    await told(trial, watch, "modified");
  });

  engine.rule("several of one path do not disturb each other", async (trial) => {
    const path = trial.path("file");
    writeFileSync(path, "");
    const watches = [1, 2, 3].map(() => watchFile(trial, path));
    const folder = watchFile(trial, trial.path("."));
    const [first, ...others] = watches as [WatchRecorder, ...WatchRecorder[]];
    await step(trial);
    appendFileSync(path, "1");
    for (const watch of watches) await told(trial, watch, "modified");
    await told(trial, folder, "modified file");
    first.stopWatching();
    await step(trial);
    appendFileSync(path, "2");
    for (const watch of others) await told(trial, watch, "modified");
    await told(trial, folder, "modified file");
    assert.deepEqual(first.take(), ["unbind local-close"]);
  });

  engine.rule("sees a link on the way to its folder lead elsewhere", async (trial) => {
    const [one, two] = [trial.path("one"), trial.path("two")];
    for (const [at, folder] of [one, two].entries()) {
      mkdirSync(`${folder}/below`, { recursive: true });
      writeFileSync(`${folder}/below/file`, `${at}`);
    }
    const link = trial.path("link");
    symlinkSync(one, `${link}.first`);
    symlinkSync(`${link}.first`, link);
    const watch = watchFile(trial, `${link}/below/file`);
    await step(trial);
    symlinkSync(two, `${link}.new`);
    renameSync(`${link}.new`, `${link}.first`);
    await told(trial, watch, "modified");
    await step(trial);
    appendFileSync(`${two}/below/file`, "more");
    await told(trial, watch, "modified");
    appendFileSync(`${one}/below/file`, "unheard");
    await trial.settle(50);
    assert.deepEqual(watch.take(), []);
  });

  engine.rule("that cannot be looked at any more ends, when it has had the time to come back, too", async (trial) => {
    for (const wait of [0, 80]) {
      const path = trial.path("file");
      writeFileSync(path, "");
      const watch = watchFile(trial, path);
      await step(trial);
      unlinkSync(path);
      // The loop is blocked while the time passes, or sees both steps.
      await trial.sleep(wait === 0 ? 0 : 20);
      symlinkSync(path, path);
      for (const end = Date.now() + wait; Date.now() < end; );
      await trial.until(() => watch.reasons.length === 1, "its end", 10_000);
      const [reason] = watch.reasons;
      assert.ok(reason?.kind === "system-error" && reason.error instanceof SystemError);
      assert.equal(reason.error.code, "ELOOP");
      assert.equal(trial.reactor.isRunning, true);
      unlinkSync(path);
    }
  });

  engine.rule("ends where its folder is gone", async (trial) => {
    mkdirSync(trial.path("folder"));
    const path = trial.path("folder/file");
    writeFileSync(path, "");
    const watch = watchFile(trial, path);
    rmSync(trial.path("folder"), { recursive: true });
    await told(trial, watch, "deleted", "unbind system-error");
    const [reason] = watch.reasons;
    assert.ok(reason?.kind === "system-error" && reason.error.code === "ENOENT");
    assert.equal(watch.closeReason, reason);
  });

  engine.rule("is refused where nothing is there, and for what is no path or class", async (trial) => {
    const { reactor } = trial;
    const before = open();
    const path = trial.path("nothing");
    assert.throws(
      () => reactor.watchFile(path, FileWatch),
      (error) => error instanceof SystemError && error.code === "ENOENT" && error.address === path,
    );
    for (const wrong of ["", "a\0b", 5, {}, null, { path: "/", recursive: 1 }, { path: "/", misspelt: 1 }]) {
      assert.throws(() => reactor.watchFile(wrong as string, FileWatch), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
    writeFileSync(path, "");
    assert.throws(() => reactor.watchFile({ path, recursive: true }, FileWatch), { code: "ERR_EM_INVALID_ARGUMENT" });
    for (const wrong of [undefined, Object, {}, "FileWatch"]) {
      assert.throws(() => reactor.watchFile(path, wrong as never), { code: "ERR_EM_INVALID_HANDLER" });
    }
    class Early extends FileWatch {
      constructor() {
        super();
        assert.equal(this.path, "");
        assert.equal(this.isWatching, false);
        this.stopWatching();
      }
    }
    assert.throws(() => reactor.watchFile(path, Early), { code: "ERR_EM_NOT_ATTACHED" });
    assert.equal(open(), before);
  });

  engine.rule("a callback that throws ends it, unless onError takes that", async (trial) => {
    const path = trial.path("file");
    writeFileSync(path, "");
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    const boom = new Error("boom");
    class Takes extends WatchRecorder {
      override onError(error: unknown): boolean {
        return error === boom;
      }
    }
    const fails = (_: WatchRecorder, what: string) => {
      if (what === "modified") throw boom;
    };
    const rejects = async (_: WatchRecorder, what: string) => fails(_, what);
    const watches = [
      trial.reactor.watchFile(path, WatchRecorder, fails),
      trial.reactor.watchFile(path, WatchRecorder, rejects),
    ];
    const taking = trial.reactor.watchFile(path, Takes, fails);
    await step(trial);
    appendFileSync(path, "1");
    for (const watch of watches) {
      await told(trial, watch, "postInit", "modified", "unbind handler-error");
      const [reason] = watch.reasons;
      assert.ok(reason?.kind === "handler-error" && reason.error === boom);
    }
    assert.deepEqual(errors, [boom, boom]);
    await told(trial, taking, "postInit", "modified");
    assert.equal(taking.isWatching, true);
  });

  engine.runRule("a drain leaves it, and a stop ends it", async (trial) => {
    const { reactor } = trial;
    const before = open();
    assert.throws(() => reactor.watchFile("/", FileWatch), { code: "ERR_EM_NOT_RUNNING" });
    const path = trial.path("file");
    writeFileSync(path, "");
    let watch: WatchRecorder | undefined;
    await reactor.run(async () => {
      watch = watchFile(trial, path);
      assert.deepEqual(await reactor.drain(1_000), { finished: 0, aborted: 0 });
      assert.equal(watch.isWatching, true);
      reactor.stop();
    });
    assert.deepEqual(watch?.take(), ["unbind stop"]);
    assert.ok(open() <= before + 1, "no descriptor is left");
  });
});

onEveryEngine("a watch of a folder", (engine) => {
  engine.rule("tells the names", async (trial) => {
    const folder = trial.path("folder");
    mkdirSync(folder);
    writeFileSync(`${folder}/old`, "");
    await step(trial);
    const watch = watchFile(trial, folder);
    writeFileSync(`${folder}/new`, "1");
    await told(trial, watch, "created new");
    await step(trial);
    appendFileSync(`${folder}/new`, "2");
    await told(trial, watch, "modified new");
    await step(trial);
    chmodSync(`${folder}/old`, 0o600);
    await told(trial, watch, "attributes old");
    renameSync(`${folder}/old`, `${folder}/other`);
    await told(trial, watch, "moved other old");
    renameSync(`${folder}/new`, `${folder}/other`);
    await told(trial, watch, "moved other new");
    writeFileSync(`${folder}/third`, "3");
    await told(trial, watch, "created third");
    renameSync(`${folder}/other`, `${folder}/older`);
    renameSync(`${folder}/third`, `${folder}/other`);
    writeFileSync(`${folder}/third`, "4");
    await told(trial, watch, "moved older other", "moved other third", "created third");
    unlinkSync(`${folder}/older`);
    unlinkSync(`${folder}/third`);
    await told(trial, watch, "deleted older", "deleted third");
    unlinkSync(`${folder}/other`);
    await told(trial, watch, "deleted other");
    mkdirSync(`${folder}/sub`);
    await told(trial, watch, "created sub");
    writeFileSync(`${folder}/sub/deep`, "");
    await trial.settle();
    assert.deepEqual(watch.take(), []);
    writeFileSync(trial.path("outside"), "");
    renameSync(trial.path("outside"), `${folder}/inside`);
    await told(trial, watch, "created inside");
    renameSync(`${folder}/inside`, trial.path("outside"));
    await told(trial, watch, "deleted inside");
  });

  engine.rule("and of all that is below it, if asked", async (trial) => {
    const folder = trial.path("folder");
    mkdirSync(`${folder}/a/b`, { recursive: true });
    writeFileSync(`${folder}/a/b/file`, "");
    await step(trial);
    const watch = watchFile(trial, { path: folder, recursive: true });
    appendFileSync(`${folder}/a/b/file`, "1");
    await told(trial, watch, "modified a/b/file");
    mkdirSync(`${folder}/c/d/e`, { recursive: true });
    writeFileSync(`${folder}/c/d/e/file`, "1");
    await told(trial, watch, "created c", "created c/d", "created c/d/e", "created c/d/e/file");
    await step(trial);
    appendFileSync(`${folder}/c/d/e/file`, "2");
    await told(trial, watch, "modified c/d/e/file");
    renameSync(`${folder}/c`, `${folder}/a/c`);
    await told(trial, watch, "moved a/c c");
    await step(trial);
    appendFileSync(`${folder}/a/c/d/e/file`, "3");
    await told(trial, watch, "modified a/c/d/e/file");
    rmSync(`${folder}/a`, { recursive: true });
    await trial.until(() => watch.log.includes("deleted a"), "it is gone", 10_000);
    await trial.settle(20);
    watch.take();
    mkdirSync(`${folder}/a`);
    await told(trial, watch, "created a");
    writeFileSync(`${folder}/a/again`, "");
    await told(trial, watch, "created a/again");
  });

  engine.rule("tells what is there in the end, however much happens at once", async (trial) => {
    const folder = trial.path("folder");
    mkdirSync(folder);
    const known = new Set<string>();
    const watch = trial.reactor.watchFile({ path: folder, recursive: true }, WatchRecorder, (_, what) => {
      const [event, name = "", from = ""] = what.split(" ");
      if (event === "created" || event === "moved") known.add(name);
      if (event === "moved") known.delete(from);
      if (event === "deleted")
        for (const each of known) if (each === name || each.startsWith(`${name}/`)) known.delete(each);
    });
    for (let round = 0; round < 30; round++) {
      mkdirSync(`${folder}/d${round % 5}`, { recursive: true });
      for (let n = 0; n < 20; n++) writeFileSync(`${folder}/d${round % 5}/${n}`, String(round));
      if (round % 3 === 0) renameSync(`${folder}/d${round % 5}/3`, `${folder}/d${round % 5}/moved${round}`);
      if (round % 4 === 0) rmSync(`${folder}/d${(round + 1) % 5}`, { recursive: true, force: true });
      if (round % 2 === 0) await trial.turn();
    }
    const there = () => (readdirSync(folder, { recursive: true }) as string[]).sort();
    await trial.until(() => [...known].sort().join() === there().join(), "it knows what is there", 10_000);
    assert.ok(watch.isWatching);
  });

  engine.rule("ends where a link on the way to it leads elsewhere", async (trial) => {
    const [one, two] = [trial.path("one"), trial.path("two")];
    for (const folder of [one, two]) mkdirSync(`${folder}/below`, { recursive: true });
    for (const below of ["", "/below"]) {
      const link = trial.path("link");
      symlinkSync(one, link);
      const watch = watchFile(trial, `${link}${below}`);
      writeFileSync(`${one}${below}/file`, "");
      await told(trial, watch, "created file");
      symlinkSync(two, `${link}.new`);
      renameSync(`${link}.new`, link);
      await told(trial, watch, "deleted", "unbind system-error");
      const [reason] = watch.reasons;
      assert.ok(reason?.kind === "system-error");
      assert.equal(reason.error.code, "ENOENT");
      unlinkSync(link);
    }
  });

  engine.rule(
    "sees the others where one below it cannot be entered, or is another kind of thing by now",
    async (trial) => {
      const folder = trial.path("folder");
      mkdirSync(folder);
      let isFirst = true;
      const watch = trial.reactor.watchFile({ path: folder, recursive: true }, WatchRecorder, (me, what) => {
        if (what !== "created below" || !isFirst) return;
        isFirst = false;
        rmdirSync(`${folder}/below`);
        writeFileSync(`${folder}/below`, "a file by now");
        me.take();
      });
      mkdirSync(`${folder}/below`);
      await trial.until(() => !isFirst, "it is told", 10_000);
      await trial.settle(50);
      writeFileSync(`${folder}/other`, "");
      await trial.until(() => watch.log.includes("created other"), "the other", 10_000);
      // Deeper than a path can be, step by step.
      const script = "import os, sys\nfor _ in range(30):\n  os.mkdir('d' * 200); os.chdir('d' * 200)\n";
      execFileSync("python3", ["-c", script], { cwd: folder });
      await trial.settle(50);
      writeFileSync(`${folder}/last`, "");
      await trial.until(() => watch.log.includes("created last"), "the last", 10_000);
      assert.equal(watch.isWatching, true);
      execFileSync("rm", ["-rf", `${folder}/${"d".repeat(200)}`]);
      await trial.until(() => watch.log.includes(`deleted ${"d".repeat(200)}`), "it is gone", 10_000);
      assert.equal(watch.isWatching, true);
      watch.stopWatching();
    },
  );

  engine.rule("opens nothing more when a callback has ended it", async (trial) => {
    const folder = trial.path("folder");
    mkdirSync(folder);
    const before = watched();
    const watch = trial.reactor.watchFile({ path: folder, recursive: true }, WatchRecorder, (me, what) => {
      if (what.startsWith("created")) me.stopWatching();
    });
    assert.ok(watched() > before);
    mkdirSync(`${folder}/a/b/c/d`, { recursive: true });
    await trial.until(() => !watch.isWatching, "it is told", 10_000);
    await trial.settle(50);
    assert.equal(watched(), before);
  });

  engine.rule("is through with thousands of changes in a moment", async (trial) => {
    const count = 4_000;
    const folder = trial.path("folder");
    mkdirSync(folder);
    for (let n = 0; n < count; n++) writeFileSync(`${folder}/a${n}`, "");
    const watch = watchFile(trial, folder);
    for (let n = 0; n < count; n++) {
      unlinkSync(`${folder}/a${n}`);
      writeFileSync(`${folder}/b${n}`, "b");
    }
    const before = process.cpuUsage();
    await trial.until(() => watch.log.filter((each) => each.startsWith("created")).length === count, "all", 20_000);
    const { user } = process.cpuUsage(before);
    // Each compared with each takes four seconds and more.
    assert.ok(user < 2_000_000, `${user} µs`);
  });

  engine.rule("ends where the folder is gone", async (trial) => {
    const folder = trial.path("folder");
    mkdirSync(folder);
    const watch = watchFile(trial, folder);
    rmSync(folder, { recursive: true });
    await told(trial, watch, "deleted", "unbind system-error");
    mkdirSync(folder);
    const moved = watchFile(trial, folder);
    renameSync(folder, trial.path("elsewhere"));
    await told(trial, moved, "deleted", "unbind system-error");
  });

  engine.rule("a hundred watches are given up without a trace", async (trial) => {
    const before = open();
    const folder = trial.path("folder");
    mkdirSync(folder);
    for (let n = 0; n < 50; n++) writeFileSync(`${folder}/${n}`, "");
    const watches = Array.from({ length: 100 }, (_, n) =>
      trial.reactor.watchFile(n % 2 === 0 ? folder : `${folder}/${n % 50}`, WatchRecorder),
    );
    await trial.turn();
    for (const watch of watches) watch.stopWatching();
    await trial.settle();
    assert.ok(watches.every(({ reasons }) => reasons.length === 1));
    // Node keeps one for all watches of the thread.
    assert.ok(open() <= before + 1, `${open()} descriptors of ${before}`);
  });
});
