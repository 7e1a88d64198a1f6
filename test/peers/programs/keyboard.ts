import { Worker } from "node:worker_threads";
import { type CloseReason, Connection, type EngineName, Reactor } from "eventmachine";

/** Reads its keyboard: `keyboard.js ENGINE raw|lines`, and tells what came of each step, a line of JSON each. `q` closes the keyboard. */
const [, , engine, how] = process.argv;
const tell = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`);
const codeOf = (action: () => unknown): string => {
  try {
    action();
    return "nothing";
  } catch (error) {
    return (error as { code: string }).code;
  }
};

class Keyboard extends Connection {
  readonly name: string;

  constructor(name: string) {
    super();
    this.name = name;
  }

  override postInit(): void {
    const second = codeOf(() => reactor.openKeyboard(Keyboard, "second"));
    tell({ open: this.name, send: codeOf(() => this.sendData("x")), second, raw: process.stdin.isRaw === true });
  }

  override receiveData(data: Buffer): void {
    tell({ data: String(data) });
    if (String(data).startsWith("q")) this.closeConnection();
  }

  override unbind({ kind }: CloseReason): void {
    tell({ unbind: kind, raw: process.stdin.isRaw === true });
    if (this.name === "first" && kind === "local-close")
      reactor.openKeyboard({ raw: how === "raw" }, Keyboard, "again");
    else reactor.stop();
  }
}

const reactor = new Reactor({ engine: engine as EngineName });
const inWorker = `
  const { parentPort } = require("node:worker_threads");
  import("eventmachine").then(({ Connection, Reactor }) => {
    const reactor = new Reactor({ engine: ${JSON.stringify(engine)} });
    reactor.run(() => {
      try { reactor.openKeyboard(Connection); } catch (error) { parentPort.postMessage(error.code); }
      reactor.stop();
    });
  });
`;
await reactor.run(async () => {
  const worker = new Worker(inWorker, { eval: true });
  tell({ worker: await new Promise((resolve) => worker.once("message", resolve)) });
  tell({ unfit: codeOf(() => reactor.openKeyboard({ raw: !process.stdin.isTTY || (7 as never) }, Keyboard, "unfit")) });
  tell({
    class: codeOf(() =>
      reactor.openKeyboard(
        class Failing extends Connection {
          constructor() {
            super();
            throw Object.assign(new Error("no"), { code: "MINE" });
          }
        },
      ),
    ),
  });
  if (how === "raw") reactor.openKeyboard({ raw: true }, Keyboard, "first");
  else reactor.openKeyboard(Keyboard, "first");
});
tell({ ended: true });
