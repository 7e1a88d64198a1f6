import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { Duplex, type DuplexOptions } from "node:stream";
import { createGunzip } from "node:zlib";
import { EventMachineError } from "eventmachine";
import { pattern } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { Recorder, type Script, type Witness } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

const BROKEN = Object.assign(new Error("broken"), { code: "E_BROKEN", errno: -3 });

function over(trial: Trial, duplex: Duplex, script: Script = {}): Recorder {
  return trial.reactor.fromDuplex({ duplex }, Recorder, trial as Witness, script);
}

function stream(options: DuplexOptions): Duplex {
  return new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(), ...options });
}

function throws(): never {
  throw BROKEN;
}

/** Ends as a stream that failed, with what it failed with as the cause. */
async function failsWith(trial: Trial, connection: Recorder, cause: unknown, what: string): Promise<void> {
  await trial.allUnbound(connection);
  const { reason } = connection;
  assert.equal(reason?.kind, "system-error", what);
  assert.ok(reason.error instanceof EventMachineError, what);
  assert.equal(reason.error.code, "ERR_EM_STREAM_FAILED", what);
  assert.equal(reason.error.cause, cause, what);
}

onEveryEngine("a Node stream that fails or throws", (engine) => {
  engine.rule("an errno that is not the system's is no system error", async (trial) => {
    const gunzip = createGunzip();
    let said: NodeJS.ErrnoException | undefined;
    gunzip.on("error", (error: NodeJS.ErrnoException) => {
      said = error;
    });
    const connection = over(trial, gunzip, { connectionCompleted: (me) => me.sendData("no gzip at all") });
    await trial.allUnbound();
    assert.equal(said?.code, "Z_DATA_ERROR");
    await failsWith(trial, connection, said, "zlib");
  });

  engine.rule("the system's own errors stay what they are", async (trial) => {
    for (const [code, errno, kind] of [
      ["ECONNRESET", -104, "peer-reset"],
      ["ETIMEDOUT", -110, "system-error"],
    ] as const) {
      const error = Object.assign(new Error(code), { code, errno, syscall: "read" });
      const duplex = stream({});
      const connection = over(trial, duplex, { connectionCompleted: () => void duplex.destroy(error) });
      await trial.allUnbound();
      assert.ok(connection.reason !== undefined && "error" in connection.reason);
      assert.equal(connection.kind, kind);
      assert.equal((connection.reason.error as EventMachineError).code, code);
    }
  });

  const failing: readonly [string, DuplexOptions, Script][] = [
    [
      "write, that calls back",
      { write: (_c, _e, done) => done(BROKEN) },
      { connectionCompleted: (me) => me.sendData("x") },
    ],
    ["write", { write: throws }, { connectionCompleted: (me) => me.sendData("x") }],
    [
      "a later write, from the callback of the first",
      {
        // The second piece waits in the stream: its write is called from inside this callback.
        write: (chunk: Buffer, _encoding, done) => (String(chunk) === "a" ? setImmediate(done) : throws()),
      },
      { connectionCompleted: (me) => [me.sendData("a"), me.sendData("b".repeat(70_000))] },
    ],
    [
      "writev",
      { writev: throws },
      { connectionCompleted: (me) => [me.sendData("x".repeat(70_000)), me.sendData("y".repeat(70_000))] },
    ],
    ["final", { final: throws }, { connectionCompleted: (me) => me.closeConnectionAfterWriting() }],
    ["read", { read: throws }, {}],
  ];
  for (const [what, options, script] of failing) {
    engine.rule(`${what} fails the connection with the stream's error as the cause`, async (trial) => {
      await failsWith(trial, over(trial, stream(options), script), BROKEN, what);
    });
  }

  for (const method of ["write", "end", "cork", "uncork", "pause", "resume"] as const) {
    engine.rule(`${method} of its own that throws fails the connection`, async (trial) => {
      const duplex = stream({ writableHighWaterMark: 16 });
      const connection = over(trial, duplex, {
        connectionCompleted: (me) => {
          (duplex as unknown as Record<string, unknown>)[method] = throws;
          // Two pieces, which are corked.
          me.sendData("x");
          me.sendData("z".repeat(70_000));
          me.pause();
          me.resume();
          duplex.push("y");
          if (method === "end") me.halfClose();
        },
      });
      await failsWith(trial, connection, BROKEN, method);
    });
  }

  engine.rule("a write that throws under a file rejects the file", async (trial) => {
    const path = trial.path("file");
    writeFileSync(path, pattern(200_000));
    let writes = 0;
    const duplex = stream({
      write: (_chunk, _encoding, done) => {
        if (++writes > 1) throw BROKEN;
        setImmediate(done);
      },
    });
    const connection = over(trial, duplex);
    await assert.rejects(connection.sendFileData(path), { code: "ERR_EM_CLOSED" });
    await failsWith(trial, connection, BROKEN, "a file");
  });

  engine.rule("what it throws need not be an Error", async (trial) => {
    const connection = over(
      trial,
      stream({
        write: () => {
          throw "words";
        },
      }),
      { connectionCompleted: (me) => me.sendData("x") },
    );
    await trial.allUnbound();
    assert.ok(connection.reason?.kind === "system-error");
    assert.equal(connection.reason.error.code, "ERR_EM_STREAM_FAILED");
    assert.match(connection.reason.error.message, /words/);
  });

  engine.rule("destroy that throws does not keep the connection", async (trial) => {
    const duplex = stream({});
    const connection = over(trial, duplex, { connectionCompleted: (me) => me.closeConnection() });
    duplex.destroy = throws;
    await trial.allUnbound();
    assert.equal(connection.kind, "local-close");
  });
});
