import { type ConnectAddress, Connection, connect, type Listener, Reactor, startServer } from "eventmachine";

/**
 * What the compiler must see about handler classes: their constructors' arguments are checked where they are given.
 * Nothing here runs; each expected error that does not come is an error itself.
 */

const address = { host: "127.0.0.1", port: 7000 };
const reactor = new Reactor();

class Plain extends Connection {}

class Named extends Connection {
  readonly name: string;
  readonly retries: number;
  constructor(name: string, retries = 3) {
    super();
    this.name = name;
    this.retries = retries;
  }
}

class Sync extends Connection {
  override receiveData(data: Buffer): void {
    this.sendData(data);
  }
  override unbind(): void {}
}

class Async extends Connection {
  override async receiveData(data: Buffer): Promise<void> {
    await this.sendFileData(data.toString());
  }
}

/** What a listener is depends on what it listens on; what `onConnection` is given, on the class. */
export async function ports(): Promise<number> {
  const inet = await startServer({ host: "127.0.0.1", port: 0 }, Plain);
  const unix = await startServer({ path: "/tmp/s" }, Plain);
  // @ts-expect-error a Unix socket has no port
  const none: number = unix.port;
  const named = await reactor.startServer(
    {
      port: 0,
      onConnection(connection) {
        const { name, retries } = connection;
        return name.length + retries;
      },
    },
    Named,
    "a name",
  );
  // @ts-expect-error there is no such field
  connect({ ...address, onConnection: (connection) => connection.title }, Named, "a name");
  connect({ ...address, onConnection: (connection) => connection.pause() });
  return inet.port + named.port + none + inet.address.port;
}

class NotAConnection {
  receiveData(): void {}
}

export async function servers(): Promise<Listener[]> {
  return [
    await startServer(address, Plain),
    await startServer(address, Named, "a name"),
    await startServer(address, Named, "a name", 5),
    await reactor.startServer({ path: "/tmp/s", mode: 0o600 }, Sync),
    await reactor.startServer({ port: 0, backlog: 10, allowHalfOpen: true }, Async),
    await reactor.attachServer({ fd: 3 }, Named, "a name"),
    // @ts-expect-error the name is missing
    await startServer(address, Named),
    // @ts-expect-error a number is no name
    await startServer(address, Named, 7),
    // @ts-expect-error retries is a number
    await reactor.startServer(address, Named, "a name", "5"),
    // @ts-expect-error one argument too many
    await startServer(address, Plain, "a name"),
    // @ts-expect-error one argument too many
    await startServer(address, Named, "a name", 5, true),
    // @ts-expect-error not a Connection
    await startServer(address, NotAConnection),
    // @ts-expect-error an instance is no class
    await startServer(address, new Plain()),
    // @ts-expect-error no handler at all
    await startServer(address),
    // @ts-expect-error there is neither a port nor a path
    await startServer({ host: "127.0.0.1" }, Plain),
    // @ts-expect-error there is no such option
    await startServer({ ...address, backlogs: 10 }, Plain),
    // @ts-expect-error there is no such policy
    await startServer({ ...address, whenFull: "wait" }, Plain),
    // @ts-expect-error a client's option
    await startServer({ ...address, connectTimeout: 10 }, Plain),
  ];
}

export function clients(): unknown[] {
  const named: Named = connect(address, Named, "a name");
  const { name, retries }: { name: string; retries: number } = reactor.connect(address, Named, "a name", 1);
  const bare: Connection = connect(address);
  const bound: Sync = reactor.bindConnect({ host: "127.0.0.1" }, address, Sync);
  // @ts-expect-error the name is missing
  connect(address, Named);
  // @ts-expect-error a Plain is no Named
  const wrong: Named = connect(address, Plain);
  // @ts-expect-error arguments without a handler
  connect(address, "a name");
  // @ts-expect-error a client needs a host
  connect({ port: 80 }, Plain);
  // @ts-expect-error a server's option
  connect({ ...address, backlog: 10 }, Plain);
  // @ts-expect-error not a Connection
  reactor.connect(address, NotAConnection);
  return [named, name, retries, bare, bound, wrong];
}

export function data(connection: Connection): void {
  connection.sendData("text");
  connection.sendData("00ff", "hex");
  connection.sendData(Buffer.from("x"));
  connection.sendData(new Uint8Array(3));
  connection.sendData(["a", new Uint8Array(1)] as const);
  // @ts-expect-error a number is no data
  connection.sendData(7);
  // @ts-expect-error undefined is no data
  connection.sendData(undefined);
  // @ts-expect-error there is no such encoding
  connection.sendData("x", "utf-9");
  // @ts-expect-error an array of numbers is no data
  connection.sendData([1, 2, 3]);
  // @ts-expect-error a connection cannot be awaited
  connection.then;
}

export function reasons(connection: Connection): string {
  const reason = connection.closeReason;
  if (reason === undefined) return "open";
  // @ts-expect-error not every reason has an error
  reason.error;
  switch (reason.kind) {
    case "peer-reset":
      return `${reason.error.errno}`;
    case "local-close":
      return `${reason.lingerExpired}`;
    case "timeout":
      return reason.deadline;
    case "connect-refused":
      return reason.error.errors.map(({ code }) => code).join();
    case "outbound-limit":
      return `${reason.error.limit}`;
    // @ts-expect-error there is no such kind
    case "closed":
      return "";
    default:
      return reason.kind;
  }
}

/** Options are not undefined by accident: what is optional is left out. */
export function options(timeout: number | undefined): ConnectAddress {
  // @ts-expect-error an option that is there has a value
  return { ...address, connectTimeout: timeout };
}
