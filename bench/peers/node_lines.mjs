// node:net answering line by line, each line with its own write; with --cork the writes of one chunk are
// corked by hand, which is what a careful user does.
import net from "node:net";

const cork = process.argv.includes("--cork");

const server = net.createServer({ noDelay: true }, (socket) => {
  let tail = "";
  socket.setEncoding("latin1");
  socket.on("data", (chunk) => {
    const text = tail + chunk;
    let start = 0;
    if (cork) socket.cork();
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      socket.write(`${text.slice(start, end)}\n`, "latin1");
      start = end + 1;
    }
    if (cork) socket.uncork();
    tail = text.slice(start);
  });
  socket.on("error", () => socket.destroy());
});
server.listen(0, "127.0.0.1", 1024, () => console.log(`listening on 127.0.0.1:${server.address().port}`));
