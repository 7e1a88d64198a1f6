import assert from "node:assert/strict";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { PatternCheck, pattern } from "../support/bytes.js";
import { Fifo } from "../support/fifo.js";
import { onEveryEngine } from "../support/harness.js";
import { Recorder } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";
import { within } from "../support/wait.js";
import { Watcher } from "../support/watcher.js";
import type { Order } from "./thread_peer.js";

/** Another thread with a reactor of its own. */
class Thread implements AsyncDisposable {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async start(trial: Trial): Promise<Thread> {
    const workerData = { engine: trial.engine.name };
    const thread = new Thread(new Worker(new URL("./thread_peer.js", import.meta.url), { workerData }));
    assert.deepEqual(await thread.answer(), { ready: true });
    return thread;
  }

  order(order: Order): void {
    this.#worker.postMessage(order);
  }

  async answer(): Promise<unknown> {
    const [answer] = await within(once(this.#worker, "message"), "an answer of the thread");
    return answer;
  }

  async ask(order: Order): Promise<unknown> {
    const answer = this.answer();
    this.order(order);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#worker, "exit");
    this.order({ what: "stop" });
    assert.deepEqual(await within(ended, "the thread ends"), [0]);
  }
}

type Detached = { fd: number; unread: Uint8Array };

onEveryEngine("two threads", (engine) => {
  engine.ruleNeeding(
    "detach",
    "pass a connection to and fro, and its peer gets all its bytes back",
    async (trial) => {
      const rounds = 8;
      const piece = 500_000;
      const bytes = pattern(2 * rounds * piece);
      const check = new PatternCheck();
      const echoing = { keep: false, receiveData: (me: Recorder, data: Buffer) => me.sendData(data) };
      const { client, server } = await trial.pair({
        client: { keep: false, receiveData: (_, data) => check.take(data) },
        server: echoing,
      });
      await using thread = await Thread.start(trial);
      let owner = server;
      let sent = 0;
      // Each is passed on in the midst of what it echoes.
      const flows = async () => {
        client.sendData(bytes.subarray(sent, sent + piece));
        sent += piece;
        await trial.until(() => client.bytes > sent - piece, `bytes from ${sent - piece} on`);
      };
      for (let round = 1; round <= rounds; round++) {
        await flows();
        const { fd, unread } = await owner.detach();
        assert.deepEqual(await thread.ask({ what: "attach", fd, unread }), { attached: true });
        await flows();
        const back = (await thread.ask({ what: "give back" })) as Detached;
        owner = trial.reactor.attach({ fd: back.fd }, Recorder, trial, { name: `owner ${round}`, ...echoing });
        await owner.opened;
        owner.sendData(back.unread);
      }
      await trial.until(() => client.bytes === bytes.length, "every byte");
      assert.equal(client.state, "open");
      client.closeConnection();
      await trial.allUnbound();
    },
    async (trial) => (await trial.pair()).server.detach(),
  );

  engine.ruleNeeding(
    "watch",
    "watch a descriptor one after the other, and never at once",
    async (trial) => {
      const fifo = new Fifo(trial.path("fifo"));
      try {
        await using thread = await Thread.start(trial);
        const seen: (string | undefined)[] = [];
        const mine = () =>
          trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {
            notifyReadable: () => seen.push(fifo.read()),
          });
        for (let round = 0; round < 4; round++) {
          const watch = mine();
          fifo.write("mine");
          await trial.until(() => seen.length === 1, "it is read here");
          assert.deepEqual(seen.splice(0), ["mine"]);
          const order = { what: "watch", fd: fifo.reader } as const;
          assert.deepEqual(await thread.ask(order), { refused: "ERR_EM_DESCRIPTOR_OWNED" });
          await watch.detach();
          assert.deepEqual(await thread.ask(order), { watching: true });
          assert.throws(mine, { code: "ERR_EM_DESCRIPTOR_OWNED" });
          const read = thread.answer();
          fifo.write("the thread's");
          assert.deepEqual(await read, { read: "the thread's" });
          assert.deepEqual(((await thread.ask({ what: "give back" })) as Detached).fd, fifo.reader);
        }
        assert.deepEqual(seen, []);
      } finally {
        fifo.close();
      }
    },
    async (trial) => trial.reactor.watch(0, Watcher),
  );

  engine.rule("write to pipes that nobody reads any more, and no signal ends the process", async (trial) => {
    const fifo = new Fifo(trial.path("fifo"));
    try {
      await using thread = await Thread.start(trial);
      const ended = thread.ask({ what: "write", fd: fifo.writer });
      fifo.gaveAway(fifo.writer);
      fifo.closeReader();
      const { ended: how } = (await ended) as { ended: string };
      assert.match(how, /^(peer-closed|peer-reset|system-error)$/);
      assert.deepEqual(await thread.ask({ what: "write to a child" }), { ended: "exited" });
    } finally {
      fifo.close();
    }
  });
});
