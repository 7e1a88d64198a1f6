import { readSync, writeSync } from "node:fs";
import { type CloseReason, Reactor, WatchedDescriptor } from "eventmachine";

/** Watches a descriptor that somebody else has made: `readiness.js FD` tells each read from it, and `writable` once, until it ends or is told to by a line. */
const fd = Number(process.argv[2]);
const tell = (what: object) => writeSync(1, `${JSON.stringify(what)}\n`);

class Watched extends WatchedDescriptor {
  override notifyReadable(): void {
    const room = Buffer.alloc(4096);
    try {
      const bytes = readSync(fd, room);
      tell({ bytes, names: room.toString("latin1", 0, bytes).match(/[a-z]+\.[a-z]+/g) ?? [] });
      if (bytes === 0) this.closeConnection();
    } catch (error) {
      tell({ failed: (error as { code?: string }).code });
      this.closeConnection();
    }
  }

  override notifyWritable(): void {
    this.notifiesWritable = false;
    tell({ writable: true });
  }

  override unbind({ kind }: CloseReason): void {
    tell({ ended: kind });
    reactor.stop();
  }
}

const reactor = new Reactor({ engine: "native" });
await reactor.run(() => {
  const watch = reactor.watch({ fd, notifiesReadable: true, notifiesWritable: true }, Watched);
  tell({ watching: true });
  process.stdin.once("data", () => watch.closeConnection());
});
process.stdin.destroy();
