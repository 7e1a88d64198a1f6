// The same over node:dgram.
import { createSocket } from "node:dgram";

const socket = createSocket("udp4");
socket.on("message", (data, { port, address }) => socket.send(data, port, address));
socket.bind(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${socket.address().port}`));
