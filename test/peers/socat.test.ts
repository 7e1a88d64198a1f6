import assert from "node:assert/strict";
import { existsSync, openSync } from "node:fs";
import { Child } from "../support/child.js";
import { DatagramRecorder } from "../support/datagrams.js";
import { freePort } from "../support/free_port.js";
import { onEveryEngine } from "../support/harness.js";
import { Recorder } from "../support/recorder.js";
import { until } from "../support/wait.js";

onEveryEngine("socat", (engine) => {
  engine.rule("sends datagrams to an echo of ours, and is answered", async (trial) => {
    const echo = await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, DatagramRecorder, {
      receiveData: (me, data) => void me.sendData(data),
    });
    const { port } = echo.localAddress as { port: number };
    await using child = new Child("socat", ["-", `UDP4:127.0.0.1:${port}`]);
    for (const text of ["one", "two", "three"]) {
      child.process.stdin?.write(`${text}\n`);
      assert.equal(await child.line(), text);
    }
    assert.deepEqual(echo.texts, ["one\n", "two\n", "three\n"]);
  });

  engine.rule("answers the datagrams that we send", async (trial) => {
    const port = await freePort();
    await using child = new Child("socat", ["-d", "-d", `UDP4-RECVFROM:${port},bind=127.0.0.1,fork`, "SYSTEM:cat"]);
    await until(() => child.stderr.includes("receiving on"), "it receives");
    const socket = await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, DatagramRecorder);
    for (const text of ["one", "two", "three"]) {
      socket.sendDatagram(text, { host: "127.0.0.1", port });
      await trial.until(() => socket.texts.includes(text), `the answer to ${text}`);
    }
    assert.ok(socket.senders.every((sender) => "port" in sender && sender.port === port));
  });

  engine.ruleNeeding(
    "unixDatagrams",
    "exchanges Unix datagrams with us",
    async (trial) => {
      const [ours, its] = [trial.path("ours"), trial.path("its")];
      const echo = await trial.reactor.openDatagramSocket({ path: ours }, DatagramRecorder, {
        receiveData: (me, data) => void me.sendData(data),
      });
      await using child = new Child("socat", ["-", `UNIX-CLIENT:${ours},type=2,bind=${its}`]);
      child.process.stdin?.write("over a path\n");
      assert.equal(await child.line(), "over a path");
      assert.deepEqual(echo.texts, ["over a path\n"]);
    },
    (trial) => trial.reactor.openDatagramSocket({ path: trial.path("ours") }),
  );

  engine.rule("is the other side of a terminal that is attached, until it hangs up", async (trial) => {
    const path = trial.path("terminal");
    await using child = new Child("socat", ["-", `PTY,link=${path},raw,echo=0`]);
    await until(() => existsSync(path), "the terminal is there");
    const fd = openSync(path, "r+");
    const terminal = trial.reactor.attach({ fd }, Recorder, trial, { name: "terminal" });
    await terminal.opened;
    child.process.stdin?.write("from the other side\n");
    await trial.until(() => terminal.text === "from the other side\n", "it comes");
    terminal.sendData("and back\n");
    assert.equal(await child.line(), "and back");
    child.process.kill();
    await trial.until(() => terminal.isUnbound, "its end");
    assert.match(terminal.kind ?? "", /^(peer-closed|peer-reset|system-error)$/);
  });
});
