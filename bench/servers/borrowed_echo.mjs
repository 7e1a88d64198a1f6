// Echo on borrowed views: what a codec that keeps nothing of what it is given pays.
import { Connection, run, startServer } from "eventmachine";

class Echo extends Connection {
  static borrowsData = true;

  receiveData(data) {
    this.sendData(data);
  }
}

await run(async () => {
  const listener = await startServer({ host: "127.0.0.1", port: 0 }, Echo);
  console.log(`listening on 127.0.0.1:${listener.address.port}`);
});
