// The yardstick of the http row: node:http as it is.
import { createServer } from "node:http";

const server = createServer((_request, response) => response.end("hello world"));
server.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.on("SIGTERM", () => process.exit());
