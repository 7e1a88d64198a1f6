import assert from "node:assert/strict";
import { popen } from "../support/children.js";
import { onEveryEngine } from "../support/harness.js";

onEveryEngine("a child process", (engine) => {
  engine.rule("is given what is sent, and what it puts out is received", async (trial) => {
    const cat = popen(trial, ["cat"]);
    cat.sendData("hello\n");
    await trial.until(() => cat.text === "hello\n", "the echo");
    cat.halfClose();
    const reason = await cat.closed;
    assert.equal(reason.kind, "exited");
    assert.deepEqual(reason.exit, { code: 0, signal: undefined, isSuccess: true });
    assert.deepEqual(cat.order, ["postInit", "connectionCompleted", "receiveData", "receiveEnd", "unbind exited"]);
  });

  engine.rule("tells its exit status in the reason of unbind", async (trial) => {
    const child = popen(trial, ["sh", "-c", "exit 7"]);
    const reason = await child.closed;
    assert.equal(reason.kind, "exited");
    assert.deepEqual(reason.exit, { code: 7, signal: undefined, isSuccess: false });
    assert.deepEqual(child.exitStatus, reason.exit);
  });

  engine.rule("that cannot be run is told as such, with its name", async (trial) => {
    const child = popen(trial, ["/nonexistent/program"]);
    const reason = await child.closed;
    assert.equal(reason.kind, "exec-failed");
    assert.equal(reason.error.code, "ENOENT");
    assert.equal(reason.error.address, "/nonexistent/program");
    assert.deepEqual(child.order, ["postInit", "unbind exec-failed"]);
  });

  engine.rule("that is closed is asked to end, and tells by what it ended", async (trial) => {
    const child = popen(trial, ["sleep", "1000"]);
    await child.opened;
    child.closeConnection();
    const reason = await child.closed;
    assert.equal(reason.kind, "local-close");
    assert.equal(reason.exit?.signal, "SIGTERM");
  });
});
