import { setResponsible } from "../base/outcome.js";
import { setDefaultClock } from "../toolbox/default_clock.js";
import { currentReactor } from "./current.js";
import { reactor } from "./default_reactor.js";
import { processClock } from "./process_clock.js";
import { onlyRunning } from "./running.js";

// Who names no clock lives in the time of the reactor whose callback is running, else of the one that runs. Else turns are the
// default reactor's, which has them when it runs, and timers are the process's, which never stand still.
setDefaultClock(
  () => currentReactor() ?? onlyRunning() ?? reactor(),
  () => currentReactor() ?? onlyRunning() ?? processClock,
);

// The same reactor answers for operations whose promise nobody looks at.
setResponsible(() => currentReactor() ?? onlyRunning());
