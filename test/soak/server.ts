import type { CloseReason } from "eventmachine";
import type { Random } from "../support/random.js";
import { expectedOfServer, expectedWithoutPlan, type Terms } from "./expected.js";
import { count, type Ledger, SoakPeer } from "./peer.js";
import { decodePlan, HEAD_SIZE, isOrderly, type Plan } from "./plan.js";

/** The accepting end: reads the plan, then acts its part in it. */
export class SoakServer extends SoakPeer {
  readonly #file: string;
  #head = Buffer.alloc(0);
  #plan: Plan | undefined;
  #closedBack = false;

  constructor(ledger: Ledger, random: Random, terms: Terms, file: string) {
    super(ledger, random, terms);
    this.#file = file;
    ledger.connections++;
  }

  override receiveData(data: Buffer): void {
    if (this.#plan !== undefined) {
      this.#body(this.#plan, data);
      return;
    }
    this.#head = Buffer.concat([this.#head, data]);
    if (this.#head.length < HEAD_SIZE) return;
    const plan = decodePlan(this.#head);
    const body = this.#head.subarray(HEAD_SIZE);
    this.#head = Buffer.alloc(0);
    this.#plan = plan;
    const { ending } = plan;
    count(this.ledger.endings, ending);
    // Everybody but who has to wait for the client's last byte answers at once.
    if (ending === "client-closes" || ending === "client-aborts" || ending === "client-drops") {
      this.produce(plan.down, () => {});
    }
    this.#body(plan, body);
  }

  #body(plan: Plan, data: Buffer): void {
    if (data.length > 0) this.take(data);
    if (this.state !== "open") return;
    if (plan.ending === "server-aborts" && this.taken >= plan.cutAt) this.abort();
    else if (plan.ending === "server-drops" && this.taken >= plan.cutAt) this.closeConnection();
    else if (this.taken === plan.up) this.#haveAll(plan);
  }

  #haveAll(plan: Plan): void {
    if (plan.ending === "server-finishes") {
      this.produce(plan.down, () => this.closeConnectionAfterWriting());
    } else if (plan.ending === "server-sends-file") {
      this.sendFileData(this.#file).then(
        () => this.closeConnectionAfterWriting(),
        (error: Error) => this.ledger.wrong(`${this.describe()}: ${error.message}`),
      );
    }
  }

  override receiveEnd(): void {
    if (this.#plan?.ending === "client-half-closes") {
      this.produce(this.#plan.down, () => this.closeConnectionAfterWriting());
    } else if (this.random.oneIn(2)) {
      this.halfClose();
    } else {
      this.#closedBack = true;
      this.closeConnection();
    }
  }

  override unbind(reason: CloseReason): void {
    const plan = this.#plan;
    if (plan === undefined) {
      this.ended(reason, expectedWithoutPlan(this.terms, this.#closedBack));
      return;
    }
    this.ended(reason, expectedOfServer(plan.ending, this.terms, this.#closedBack));
    if (isOrderly(plan.ending) && this.taken !== plan.up) {
      this.ledger.wrong(`${this.describe()}: ${this.taken} bytes came`);
    }
  }

  describe(): string {
    return `server, ${this.terms.isSecure ? "TLS" : "in clear"}, ${JSON.stringify(this.#plan)}`;
  }
}
