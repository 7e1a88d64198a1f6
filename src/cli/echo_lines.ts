import { LineText2 } from "../index.js";

/** Answers each line, its newline included, with a send of its own. */
export class EchoLines extends LineText2 {
  constructor() {
    super({ encoding: "latin1" }); // One character a byte: whatever bytes a line has, the same go back.
  }

  override receiveLine(line: string): void {
    if (!this.sendData(`${line}\n`, "latin1")) this.pause();
  }

  override drained(): void {
    this.resume();
  }

  override shutdownRequested(): void {
    this.closeConnectionAfterWriting();
  }
}
