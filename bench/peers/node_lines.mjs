// node:net answering line by line, each line with its own write; with --cork the writes of one chunk are corked by
// hand, which is what a careful user does. Lines stay buffers: measured, that is cheaper here than strings.
import net from "node:net";

const cork = process.argv.includes("--cork");
const NEWLINE = 10;

const server = net.createServer({ noDelay: true }, (socket) => {
  let tail = null;
  socket.on("data", (chunk) => {
    const bytes = tail === null ? chunk : Buffer.concat([tail, chunk]);
    let start = 0;
    if (cork) socket.cork();
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      socket.write(bytes.subarray(start, end + 1));
      start = end + 1;
    }
    if (cork) socket.uncork();
    tail = start < bytes.length ? bytes.subarray(start) : null;
  });
  socket.on("error", () => socket.destroy());
});
server.listen(0, "127.0.0.1", 1024, () => console.log(`listening on 127.0.0.1:${server.address().port}`));
