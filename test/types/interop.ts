import { Agent } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ReadableStream, WritableStream } from "node:stream/web";
import {
  Connection,
  type ConnectionDuplex,
  connect,
  type DiagnosticsMessages,
  frame,
  frames,
  fromDuplex,
  lines,
  Reactor,
  toDuplex,
  toWeb,
} from "eventmachine";

/** What the compiler must see about bridges. Nothing here runs; each expected error that does not come is an error itself. */

class Named extends Connection {
  constructor(readonly: string) {
    super();
    void readonly;
  }
}

const reactor = new Reactor();

export function sockets(connection: Connection): Socket[] {
  const duplex: ConnectionDuplex = toDuplex(connection);
  const socket: Socket = toDuplex(connection, { allowHalfOpen: true, highWaterMark: 1000 });
  const agent = new Agent();
  agent.createConnection = () => toDuplex(connect({ host: "127.0.0.1", port: 80 }));
  const owner: Connection = duplex.connection;
  void owner;
  // @ts-expect-error a Socket is no Connection
  toDuplex(socket);
  // @ts-expect-error there is no such option
  toDuplex(connection, { halfOpen: true });
  // @ts-expect-error an option that is there has a value
  toDuplex(connection, { allowHalfOpen: undefined });
  return [duplex, socket];
}

export function streams(duplex: Duplex): Connection[] {
  const named: Named = fromDuplex(duplex, Named, "a name");
  const idle: Named = reactor.fromDuplex({ duplex, commInactivityTimeout: 1000 }, Named, "a name");
  // @ts-expect-error the name is missing
  fromDuplex(duplex, Named);
  // @ts-expect-error a connect option
  fromDuplex({ duplex, connectTimeout: 5 }, Named, "a name");
  // @ts-expect-error not a stream
  fromDuplex("a stream", Named, "a name");
  return [named, idle];
}

export function web(connection: Connection): [ReadableStream<Uint8Array>, WritableStream<Uint8Array | string>] {
  const { readable, writable } = toWeb(connection);
  return [readable, writable];
}

export async function loops(connection: Connection): Promise<void> {
  for await (const chunk of connection) chunk.readUInt8(0);
  for await (const line of lines(connection, { delimiter: "\r\n" })) line.trim();
  for await (const whole of frames(connection, { headerSize: 2 })) whole.readUInt8(0);
  connection.sendData(frame(Buffer.from("x")));
  // @ts-expect-error three bytes are no size
  frames(connection, { headerSize: 3 });
  // @ts-expect-error not bytes
  lines(["a", "b"]);
}

export function diagnostics(message: DiagnosticsMessages["eventmachine:connection:close"]): string {
  // @ts-expect-error messages are not to be changed
  message.reason = { kind: "stop" };
  return message.reason.kind;
}
