// Two connections, of which one asks for time stamps that nobody can read: what becomes of both, as one line of JSON.
import { type CloseReason, Connection, Reactor } from "eventmachine";

const SO_TIMESTAMPING = 37;
const STAMPS = (1 << 1) | (1 << 4) | (1 << 7) | (1 << 11);

const reactor = new Reactor({ engine: "native" });

class Stamped extends Connection {
  override postInit(): void {
    this.setSockOpt(1, SO_TIMESTAMPING, STAMPS);
    this.sendData("hello");
  }
  override unbind(reason: CloseReason): void {
    const { code, syscall } = reason.kind === "system-error" ? reason.error : { code: "", syscall: "" };
    const { spins } = reactor.stats();
    console.log(JSON.stringify({ kind: reason.kind, code, syscall, spins, others: other?.state }));
    reactor.stop();
  }
}

let other: Connection | undefined;
await reactor.run(async () => {
  const idle = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection);
  const stamped = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Stamped);
  other = reactor.connect({ host: "127.0.0.1", port: idle.port as number });
  await other.opened;
  reactor.connect({ host: "127.0.0.1", port: stamped.port as number });
});
