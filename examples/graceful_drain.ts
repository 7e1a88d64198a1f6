// Answers every request after some work, and on SIGTERM finishes what is under way before it goes.
//   node .build/examples/graceful_drain.js [ADDRESS] [WORK-MS] [DEADLINE-MS]
import { addTimer, Connection, formatAddress, parseAddress, Reactor } from "eventmachine";

class Worker extends Connection {
  readonly #workTime: number;
  #underWay = 0;
  #leaving = false;

  constructor(workTime: number) {
    super();
    this.#workTime = workTime;
  }

  override receiveData(): void {
    this.#underWay++;
    this.sendData("working\n");
    addTimer(this.#workTime, () => {
      this.#underWay--;
      this.sendData("done\n");
      this.#leaveWhenIdle();
    });
  }

  override shutdownRequested(): void {
    this.#leaving = true;
    this.#leaveWhenIdle();
  }

  #leaveWhenIdle(): void {
    if (this.#leaving && this.#underWay === 0) this.closeConnectionAfterWriting();
  }
}

const [listen = "127.0.0.1:7000", workTime = "500", deadline = "5000"] = process.argv.slice(2);
const reactor = new Reactor();

reactor.addShutdownHook(() => console.log("stopping"));

await reactor.run(async () => {
  const server = await reactor.startServer(parseAddress(listen), Worker, Number(workTime));
  console.log(`listening on ${formatAddress(server.address)}`);

  // `run(block, { signals: true })` does this too; by hand one can look at what came of it.
  process.once("SIGTERM", async () => {
    const { finished, aborted } = await reactor.drain(Number(deadline));
    console.log(`${finished} finished, ${aborted} cut off`);
    reactor.stop();
  });
});
