import { Connection } from "eventmachine";
import { pattern } from "../../support/bytes.js";
import { onEveryEngine } from "../../support/harness.js";

// No rule of the conformance suite, for that runs on a sanitized build too, where the lent memory is poisoned as soon as it is
// lent no more, and reading it is the error it is meant to find.
onEveryEngine("lent bytes", (engine) => {
  engine.rule("a borrowed view that is sent on too late gives no bytes to rely on, and none too few", async (trial) => {
    class Late extends Connection {
      static override readonly borrowsData = true;
      override receiveData(data: Buffer): void {
        this.pause();
        trial.reactor.addTimer(5, () => this.sendData(data));
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Late);
    const client = trial.dial({ host: "127.0.0.1", port: listener.port as number });
    client.sendData(pattern(16_384));
    await trial.until(() => client.bytes >= 4097, "what was lent once");
    client.closeConnection();
  });
});
