// The same over node:dgram; those of a turn are under way at once.
import { createSocket } from "node:dgram";

const AT_ONCE = 64;

const socket = createSocket("udp4");
let received = 0;
let left = 0;
let data = Buffer.alloc(0);
let to;

const end = () => {
  if (left === 0) socket.send(".", to.port, to.address);
};

function send() {
  const count = Math.min(AT_ONCE, left);
  for (let i = 0; i < count; i++) socket.send(data, to.port, to.address);
  left -= count;
  if (left > 0) setImmediate(send);
  else end();
}

socket.on("message", (message, from) => {
  if (message.length === 1) end();
  else if (message.length >= 20) {
    if (++received % 32 === 0) socket.send(".", from.port, from.address);
  } else {
    const [count, size] = message.toString().split(" ").map(Number);
    left = count;
    data = Buffer.alloc(size, "x");
    to = from;
    send();
  }
});
socket.bind(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${socket.address().port}`));
