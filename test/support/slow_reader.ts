import type { Recorder } from "./recorder.js";
import type { Trial } from "./trial.js";

/** How long the reader stands still between two steps of the sender. */
const STEP = 600;

/**
 * Lets a connection read slowly for so many milliseconds, however fast the machine is and however much its kernel takes at
 * once: it reads until the sender gets on, by its own count, and then stands still for a while.
 */
export async function slowReader(trial: Trial, reader: Recorder, progress: () => number, ms: number): Promise<void> {
  const begun = trial.now();
  while (trial.now() - begun < ms) {
    reader.pause();
    await trial.sleep(STEP);
    const before = progress();
    reader.resume();
    await trial.until(() => progress() > before || reader.isUnbound, "the sender gets on");
    if (reader.isUnbound) return;
  }
}
