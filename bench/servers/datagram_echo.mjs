// A datagram echo on the native engine: node datagram_echo.mjs [--borrow]
import { loadNative } from "../../dist/engine/native/addon.js";

const borrow = process.argv.includes("--borrow");
const nothing = () => {};
const engine = loadNative().create();
const options = { sendLimit: 1024 * 1024 };
engine.start({
  enter: nothing,
  leave: nothing,
  ticks: nothing,
  sendFailed: nothing,
  listening(handle) {
    console.log(`listening on 127.0.0.1:${engine.localAddress(handle).port}`);
  },
  datagram(handle, _chunk, start, end, sender) {
    const lending = engine.datagramLending;
    engine.sendDatagram(handle, borrow ? lending.view(start, end) : lending.copy(start, end), sender);
  },
  closed(_handle, _ended, errno, syscall) {
    throw new Error(`${syscall} ${errno}`);
  },
});
engine.openDatagrams({ family: "IPv4", host: "127.0.0.1", port: 0 }, options);
