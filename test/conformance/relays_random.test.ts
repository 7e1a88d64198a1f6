import { onEveryEngine } from "../support/harness.js";
import { relayAtRandom } from "../support/relay_model.js";

onEveryEngine("relays at random", (engine) => {
  engine.ruleOnEach("each byte reaches either the target or the handler, once and in order", async (trial) => {
    for (let seed = 1; seed <= 10; seed++) await relayAtRandom(trial, seed, 40);
  });
});
